"""Years of nine tenants: `python -m bench.year [postgresql://…] [--days N] [--seed S] [--years Y] [--play P]`.

The scenario of tests/year with other seeds and for longer: each is played in order, then with its webhooks shuffled
and doubled, then in bad weather. Every book must agree at each end, and the first two must tell the same. Each play
makes a database of its own, which on PostgreSQL the given server must allow.
"""

import argparse
import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import stripe

from tests.databases import own_database
from tests.year.books import assert_books_agree, told
from tests.year.plays import Play, played


async def run(url: str | None, seed: int, days: int, plays: Sequence[Play]) -> None:
    """Play one year in these ways; what two tell is only compared if both are among them."""
    in_order: dict[str, Any] = {}
    for play in plays:
        began = time.monotonic()
        async with own_database(url) as own, played(own, play, seed, days) as year:
            await assert_books_agree(year)
            books = await told(year)
        if play is Play.IN_ORDER:
            in_order = books
        elif play is Play.SHUFFLED and in_order:
            assert books == in_order, [name for name in books if books[name] != in_order[name]]
        done = sum(n for (_, outcome), n in year.told.items() if outcome == "done")
        print(f"seed {seed}, {days} days {play}: every book agrees after {time.monotonic() - began:.0f} s;", end=" ")
        count = sum(len(b["invoices"]) for b in books.values())
        print(f"{len(year.outcomes)} deeds, {done} done, {count} invoices", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--years", type=int, default=1, help="so many, with one seed after the other")
    parser.add_argument("--play", action="append", choices=[play.value for play in Play], help="all, if none is named")
    chosen = parser.parse_args()
    plays = [play for play in Play if not chosen.play or play.value in chosen.play]
    logging.disable(logging.WARNING)  # each fault would tell of itself
    stripe.HTTPClient.INITIAL_DELAY = stripe.HTTPClient.MAX_DELAY = 0
    for number in range(chosen.years):
        asyncio.run(run(chosen.url, chosen.seed + number, chosen.days, plays))
