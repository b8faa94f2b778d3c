"""A month of all operations of tenants of every isolation, with every fault of SignNow's sandbox switched on, ends with
our usage equal to the sandbox's own books, a margin that is right to the cent, and no gap unexplained.

This is a short one; `python -m bench.signing_month` plays others, as long as wanted.
"""

from pathlib import Path

import pytest

from tests.signing_month.books import assert_books_agree
from tests.signing_month.month import open_signing_month
from tests.signing_month.stories import STORIES

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("seed", [1])
async def test_usage_and_margin_are_right_after_a_month_of_faults(database_url: str, tmp_path: Path, seed: int) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    lanes = 1 if database_url.startswith("sqlite") else 2
    async with open_signing_month(database_url, seed, notes, lanes) as month:
        await month.play(days=24, stories=len(STORIES))
        await assert_books_agree(month)
        assert month.deaths.total() > 3
        assert {"token revoked", "unsubscribed", "foreign", "sign", "decline"} <= month.outcomes.keys()
