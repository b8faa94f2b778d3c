"""What SignNow says is stored once, corrected by newer versions, and never half."""

import asyncio
from decimal import Decimal

import pytest

from services import upstream_books
from services.upstream_books import NewBill, NewFigure, NewRecord, read_days
from storage.upstream import UpstreamBill, UpstreamFigure, current_bills
from tests.services.steps import problems
from tests.services.upstream_steps import record
from tests.world import World

pytestmark = pytest.mark.anyio
MARCH = {"period": "2026-03", "invites": "40"}
BILL = {"number": "INV-1", "period": "2026-03", "amount": "60.00", "currency": "USD"}


async def test_what_is_said_again_adds_nothing(world: World) -> None:
    said = {"figures": [MARCH, {**MARCH, "folder": "f"}, {**MARCH, "kind": "DEVELOPMENT"}], "bills": [BILL]}
    assert (await record(world, **said))["recorded"] == {"new": 4, "corrected": 0, "unchanged": 0}
    assert (await record(world, **said))["recorded"] == {"new": 0, "corrected": 0, "unchanged": 4}
    changed = {"figures": [{**MARCH, "invites": "41"}], "bills": [{**BILL, "amount": "61.50"}]}
    assert (await record(world, **changed))["recorded"] == {"new": 0, "corrected": 2, "unchanged": 0}
    assert (await record(world, **changed, source="other"))["recorded"] == {"new": 1, "corrected": 0, "unchanged": 1}
    assert [(b.version, b.amount_minor) for b in await upstream_books.list_bills()] == [(2, 6150)]
    assert await UpstreamBill.all().count() == 2, "earlier versions are kept"
    assert sorted(f.units for f in await upstream_books.list_figures()) == [40, 40, 41, 41]


async def test_a_bill_that_moves_to_another_month_is_one_bill(world: World) -> None:
    await record(world, bills=[BILL])
    await record(world, bills=[{**BILL, "period": "2026-04"}])
    assert await current_bills("2026-03-01", "2026-04-01") == []
    assert [bill.version for bill in await current_bills("2026-04-01", "2026-05-01")] == [2]


async def test_two_at_once_store_it_once(world: World) -> None:
    said = [NewRecord((), NewBill("2026-03", "INV-1", Decimal("60.00"), "USD")), NewRecord((), NewFigure("2026-03", 4))]
    done = await asyncio.gather(*(upstream_books.record(world.platform, said, "csv") for _ in range(6)))
    assert sum(recorded.new for recorded in done) == 2
    assert sum(recorded.unchanged for recorded in done) == 10
    assert (await UpstreamBill.all().count(), await UpstreamFigure.all().count()) == (1, 1)


async def test_all_that_is_wrong_is_told_and_nothing_stored(world: World) -> None:
    said = {
        "figures": [{**MARCH, "period": "2026-3"}, {**MARCH, "invites": "-1"}, MARCH, MARCH, {**MARCH, "user": "\t"}],
        "bills": [{**BILL, "amount": "1.001"}, {**BILL, "number": ""}, {**BILL, "number": "2", "period": "x/y"}],
    }
    assert list(problems(await record(world, **said))) == [
        "figures.0.period",
        "figures.1.invites",
        "figures.2",
        "figures.3",
        "figures.4.user",
        "bills.0.amount",
        "bills.1.number",
        "bills.2.period",
    ]
    assert list(problems(await record(world, bills=[{**BILL, "amount": "10000000000000.01"}]))) == ["bills.0.amount"]
    assert list(problems(await record(world))) == [""]
    assert list(problems(await record(world, figures=[MARCH], source=""))) == ["source"]
    assert (await UpstreamBill.all().count(), await UpstreamFigure.all().count()) == (0, 0)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2026-12", ("2026-12-01", "2027-01-01")),
        ("2026-02-28", ("2026-02-28", "2026-03-01")),
        ("2026-01-01/2027-01-01", ("2026-01-01", "2027-01-01")),
    ],
)
def test_a_period_is_days(text: str, days: tuple[str, str]) -> None:
    assert tuple(day.isoformat() for day in read_days(text)) == days


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-02-30", "2026-03-01/2026-03-01", "/", "2026-03-02/2026-03-01"]
)
def test_what_is_no_period(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_days(text)
