"""Months of nine tenants, with everything that Stripe and they can do: every book tells the same at their end.

`python -m bench.year` plays whole years, with other seeds.
"""

import pytest

from tests.year.books import assert_books_agree, told
from tests.year.plays import Play, played

pytestmark = pytest.mark.anyio
SEED, DAYS = 4, 60
LEAST = {
    ("use", "done"): 20,
    ("use late", "done"): 3,
    ("correct", "done"): 3,
    ("seats", "done"): 3,
    ("change plan", "done"): 3,
    ("card", "decline"): 3,
    ("leave", "done"): 1,
    ("come back", "done"): 1,
    ("upload", "done"): 1,
}
"""What this seed does for certain: a play in which little happened would prove little."""


async def test_the_books_agree_in_bad_weather(database_url: str) -> None:
    async with played(database_url, Play.BAD_WEATHER, SEED, DAYS) as year:
        await assert_books_agree(year)


async def test_the_same_end_in_order_and_shuffled(database_url: str, other_database_url: str) -> None:
    async with played(database_url, Play.IN_ORDER, SEED, DAYS) as year:
        await assert_books_agree(year)
        done, outcomes, books = year.told, year.outcomes, await told(year)
    assert {deed: done[deed] for deed, least in LEAST.items() if done[deed] < least} == {}
    async with played(other_database_url, Play.SHUFFLED, SEED, DAYS) as year:
        await assert_books_agree(year)
        assert year.outcomes == outcomes
        again = await told(year)
        for reference, found in books.items():
            assert again[reference] == found, reference
