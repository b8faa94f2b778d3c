"""A month of random operations, crashes, duplicates and reorderings ends with every book equal.

This is a short one; `python -m bench.month` plays others, as long as wanted.
"""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.month.books import assert_books_agree
from tests.month.month import open_month

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("seed", [1])
async def test_every_book_agrees_after_a_month_of_crashes(database_url: str, tmp_path: Path, seed: int) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    async with open_month(database_url, seed, notes, lanes=1 if database_url.startswith("sqlite") else 2) as month:
        await month.play(days=33, each=timedelta(days=2))
        await assert_books_agree(month)
        assert month.deaths.total() > 3
        assert {"upload", "invite", "event RECORDED", "correction CORRECTED", "give"} <= month.agenda.outcomes.keys()
