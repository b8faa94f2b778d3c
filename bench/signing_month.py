"""Random signing months: `python -m bench.signing_month [postgresql://…] [--days N] [--seed S] [--stories N]`.

The scenario of tests/signing_month with other seeds and as many stories as wanted: all operations of tenants of every
isolation, every fault of SignNow's sandbox, processes that are killed; in the end usage, margin and SignNow's books
must tell the same. Fails with the first that does not; `--months` plays so many. Each makes a database of its own,
which on PostgreSQL the given server must allow; there two processes work at once.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from tests.databases import own_database
from tests.signing_month.books import assert_books_agree
from tests.signing_month.month import open_signing_month


async def run(url: str | None, days: int, seed: int, stories: int, lanes: int | None) -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as notes:
        async with own_database(url) as own:
            await _play(own, Path(notes), days, seed, stories, lanes or (1 if url is None else 2))
    print(f"  every book agrees, after {time.monotonic() - began:.0f} s")


async def _play(url: str, notes: Path, days: int, seed: int, stories: int, lanes: int) -> None:
    async with open_signing_month(url, seed, notes, lanes) as month:
        await month.play(days, stories)
        await assert_books_agree(month)
        print(f"seed {seed}: {days} days, {month.rounds} rounds, {month.deaths.total()} processes killed")
        print(f"  before {', '.join(f'{step} ({n})' for step, n in month.deaths.most_common())}")
        print(f"  {', '.join(f'{what} {n}' for what, n in sorted(month.outcomes.items()))}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--days", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--months", type=int, default=1, help="so many months, with one seed after the other")
    parser.add_argument("--stories", type=int, default=96, help="so many documents whose story is told")
    parser.add_argument("--lanes", type=int, help="processes at once: 1 on SQLite and 2 on PostgreSQL unless given")
    chosen = parser.parse_args()
    for number in range(chosen.months):
        asyncio.run(run(chosen.url, chosen.days, chosen.seed + number, chosen.stories, chosen.lanes))
