"""Random months of crashes: `python -m bench.month [postgresql://…] [--days N] [--seed S] [--months M]`.

The scenario of tests/month with other seeds and for more days: processes do random operations of eight tenants and are
killed amid them, others go on, and in the end every book must tell the same. Fails with the first that does not. Each
month makes a database of its own, which on PostgreSQL the given server must allow; there two processes work at once.
"""

import argparse
import asyncio
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from tests.databases import own_database
from tests.month.books import assert_books_agree
from tests.month.month import open_month


async def run(url: str | None, days: int, seed: int, hours: int, lanes: int | None) -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as notes:
        async with own_database(url) as own:
            await _play(own, Path(notes), days, seed, hours, lanes or (1 if url is None else 2))
    print(f"  every book agrees, after {time.monotonic() - began:.0f} s")


async def _play(url: str, notes: Path, days: int, seed: int, hours: int, lanes: int) -> None:
    async with open_month(url, seed, notes, lanes) as month:
        await month.play(days, timedelta(hours=hours))
        await assert_books_agree(month)
        print(f"seed {seed}: {days} days, {month.rounds} rounds, {month.deaths.total()} processes killed")
        print(f"  before {', '.join(f'{step} ({n})' for step, n in month.deaths.most_common())}")
        told = {
            what: n
            for what, n in sorted(month.agenda.outcomes.items())
            if not what.startswith(("recorded ", "corrected "))
        }
        print(f"  {', '.join(f'{what} {n}' for what, n in told.items())}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--months", type=int, default=1, help="so many months, with one seed after the other")
    parser.add_argument("--hours", type=int, default=8, help="between two times at which something new is wanted")
    parser.add_argument("--lanes", type=int, help="processes at once: 1 on SQLite and 2 on PostgreSQL unless given")
    chosen = parser.parse_args()
    for number in range(chosen.months):
        asyncio.run(run(chosen.url, chosen.days, chosen.seed + number, chosen.hours, chosen.lanes))
