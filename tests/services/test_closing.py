"""Closing a period: one invoice, from what is known then; what comes later is an adjustment."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from inkmeter import InvoiceDraft, Line, hookimpl
from plugins.manager import load_plugins
from services import closing, timetable
from storage.database import rows
from tests.services.steps import INVITES, Customer, Json, event, fault, make_plan, price, provision, refused, sign_up
from tests.world import World, open_world

pytestmark = pytest.mark.anyio

TIERED = price("invites_sent", "tiered", fee="49.00", included=2, overage={"unitPrice": "4.25"})
APRIL, MAY, JUNE = (datetime(2026, month, 10, tzinfo=UTC) for month in (4, 5, 6))
"""When periods of a subscription begin that starts on 10 March."""


def total(payload: Json) -> str:
    assert payload["userErrors"] == []
    return str(payload["invoice"]["total"]["amount"])


def adjustments(invoice: Json) -> list[tuple[str, str]]:
    return [(line["meter"], line["amount"]["amount"]) for line in invoice["lines"] if line["kind"] == "ADJUSTMENT"]


async def late(customer: Customer, key: str, quantity: int, *, meter: str = "invites_sent") -> None:
    """Usage of the first period that is recorded now."""
    [answer] = await customer.record(event(key, quantity, meter, occurred_at="2026-03-20T00:00:00Z"))
    assert answer["status"] == "RECORDED"


async def test_a_period_that_runs_is_not_closed(world: World) -> None:
    customer = await sign_up(world)
    error = refused(await customer.close())
    assert (error["__typename"], error["path"]) == ("Conflict", ["tenantId"])
    await world.travel_to(APRIL - timedelta(microseconds=1))
    assert refused(await customer.close())["__typename"] == "Conflict"
    await world.travel_to(APRIL)
    assert (await customer.close())["userErrors"] == []


async def test_closing_twice_bills_once(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("a", 3))
    await world.travel_to(APRIL)
    first = await customer.close()
    assert total(first) == "6.00"
    assert await customer.close() == first
    assert len(await customer.invoices()) == 1
    await world.travel_to(APRIL + timedelta(days=29))
    assert (await customer.close())["invoice"]["id"] == first["invoice"]["id"]


async def test_many_workers_at_once_make_one_invoice(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("a", 3))
    await world.travel_to(APRIL + timedelta(hours=2))
    made = await asyncio.gather(
        *(customer.close() for _ in range(4)),
        *(timetable.run_due_work(world.platform) for _ in range(3)),
        closing.close_all(world.platform),
    )
    assert {total(answer) for answer in made[:4] if isinstance(answer, dict)} == {"6.00"}
    await world.work()
    assert [(i["total"]["amount"], i["state"]) for i in await customer.invoices()] == [("6.00", "PAID")]


async def test_the_job_closes_by_itself_an_hour_after_the_end(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("a", 1))
    await world.travel_to(APRIL + timedelta(minutes=59))
    await world.work()
    assert await customer.invoices() == []
    [answer] = await customer.record(event("late", 1, occurred_at="2026-04-09T23:59:59Z"))
    assert answer["status"] == "RECORDED"
    await world.travel_to(APRIL + timedelta(minutes=60))
    await world.work()
    [invoice] = await customer.invoices()
    assert (invoice["total"]["amount"], adjustments(invoice)) == ("4.00", [])


async def test_unsettled_operations_hold_the_close(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    world.clock.travel_to(APRIL - timedelta(seconds=30))
    await fault(world.signnow, "timeout_after", on="/document")
    assert refused(await customer.invite(document))["__typename"] == "OutcomeUnknown"
    await world.travel_to(APRIL + timedelta(seconds=30))
    error = refused(await customer.close())
    assert (error["__typename"], "1 operations" in error["message"]) == ("Conflict", True)
    await fault(world.signnow, "500", 9, on="/document", method="GET")
    await world.travel_to(APRIL + timedelta(hours=1))
    await world.work()
    assert await customer.invoices() == [], "the job waits too"
    await world.signnow.get("/document/x", headers={"authorization": "Bearer sandbox-api-key"})
    for minutes in (6, 12, 18):
        await world.travel_to(APRIL + timedelta(hours=1, minutes=minutes))
        await world.work()
    [invoice] = await customer.invoices()
    assert invoice["total"]["amount"] == "2.00"
    assert invoice["upstream"]["units"] == "1"


async def test_usage_goes_on_while_the_last_period_waits_to_be_closed(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("march", 3))
    await world.travel_to(APRIL + timedelta(minutes=5))
    await customer.record(event("april", 5))
    await customer.send(1)
    assert (await customer.usage())["invites_sent"] == (6, 0)
    assert total(await customer.close()) == "6.00"
    await world.travel_to(MAY)
    assert total(await customer.close()) == "12.00"


async def test_late_usage_is_the_exact_difference_on_the_next_invoice(world: World) -> None:
    customer = await sign_up(world, TIERED, price("downloads", "per-document", unitPrice="0.005"))
    await customer.record(event("a", 1), event("d", 1, "downloads"))
    await world.travel_to(APRIL)
    assert total(await customer.close()) == "49.01"
    await late(customer, "b", 1)
    await late(customer, "c", 3)
    await late(customer, "e", 1, meter="downloads")
    await world.travel_to(MAY)
    closed = (await customer.close())["invoice"]
    # 5 invites would have been 49.00 + 3 × 4.25; two downloads are 0.010, rounded 0.01, as one had been before
    assert adjustments(closed) == [("invites_sent", "12.75")]
    assert closed["total"]["amount"] == "61.75"
    [line] = [line for line in closed["lines"] if line["kind"] == "ADJUSTMENT"]
    assert line["label"] == "Adjustment of 2026-03-10 to 2026-04-10: late invites_sent"
    assert Decimal(line["quantity"]) * Decimal(line["unitPrice"]) == Decimal("12.75")
    await world.travel_to(JUNE)
    assert adjustments((await customer.close())["invoice"]) == [], "what was adjusted is not adjusted again"


async def test_late_usage_again_and_again(world: World) -> None:
    customer = await sign_up(world, INVITES)
    await world.travel_to(APRIL)
    assert total(await customer.close()) == "0.00"
    await late(customer, "a", 1)
    await world.travel_to(MAY)
    assert adjustments((await customer.close())["invoice"]) == [("invites_sent", "2.00")]
    await late(customer, "b", 10)
    await customer.record(event("c", 100, occurred_at="2026-04-20T00:00:00Z"))
    await world.travel_to(JUNE)
    closed = (await customer.close())["invoice"]
    assert adjustments(closed) == [("invites_sent", "20.00"), ("invites_sent", "200.00")]
    assert sum(Decimal(i["total"]["amount"]) for i in await customer.invoices()) == Decimal("222.00")


async def test_late_usage_can_lower_a_bill(world: World) -> None:
    tiers = [{"upTo": 10, "unitPrice": "2.00"}, {"unitPrice": "1.00"}]
    customer = await sign_up(world, price("invites_sent", "metered", tiers=tiers, tiersMode="VOLUME"))
    await customer.record(event("a", 10))
    await world.travel_to(APRIL)
    assert total(await customer.close()) == "20.00"
    await world.work()  # Stripe's draft waits an hour for our lines, not a month
    await late(customer, "b", 1)
    await world.travel_to(MAY)
    closed = (await customer.close())["invoice"]
    assert (adjustments(closed), closed["total"]["amount"]) == ([("invites_sent", "-9.00")], "-9.00")
    await world.work()
    assert [(i["total"]["amount"], i["state"]) for i in await customer.invoices()] == [
        ("20.00", "PAID"),
        ("-9.00", "PAID"),
    ]


async def test_months_of_silence_are_closed_one_after_another(world: World) -> None:
    customer = await sign_up(world, TIERED)
    await customer.record(event("a", 1))
    await world.travel_to(datetime(2026, 7, 15, tzinfo=UTC))
    await customer.record(event("b", 4))
    for _ in range(4):
        assert (await customer.close())["userErrors"] == []
    invoices = await customer.invoices()
    assert [i["period"]["start"][:10] for i in invoices] == ["2026-03-10", "2026-04-10", "2026-05-10", "2026-06-10"]
    assert [i["total"]["amount"] for i in invoices] == ["49.00"] * 4
    assert (await customer.close())["invoice"]["id"] == invoices[-1]["id"]
    await world.travel_to(datetime(2026, 8, 10, tzinfo=UTC))
    assert total(await customer.close()) == "57.50"


async def test_the_jobs_catch_up_after_a_long_absence(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("a", 1))
    await world.travel_to(datetime(2026, 7, 15, tzinfo=UTC))
    await customer.record(event("b", 4))
    for hours in range(5):
        world.clock.travel_to(datetime(2026, 7, 15, hours, tzinfo=UTC))
        await world.work()
    invoices = await customer.invoices()
    assert [i["total"]["amount"] for i in invoices] == ["2.00", "0.00", "0.00", "0.00"]
    assert {i["state"] for i in invoices} == {"PAID"}


async def test_an_anchor_on_the_31st_and_the_clock_change(world: World) -> None:
    world.clock.travel_to(datetime(2026, 1, 31, 12, tzinfo=UTC))
    customer = await sign_up(world, TIERED, zone="Europe/Berlin")
    for text in ("2026-02-27T23:00:00Z", "2026-03-30T22:00:00Z", "2026-04-29T22:00:00Z", "2026-05-30T22:00:00Z"):
        moment = datetime.fromisoformat(text)
        await world.travel_to(moment - timedelta(seconds=1))
        await customer.record(event(f"last before {text}", 3))
        await world.work()  # Stripe's cycle may end days before ours; its draft has to be held within the hour
        await world.travel_to(moment)
        await customer.record(event(f"first of {text}", 1))
        await world.work()
        await world.travel_to(moment + timedelta(hours=1))
        await world.work()
    shown = [(i["period"]["start"], i["total"]["amount"], i["state"]) for i in await customer.invoices()]
    assert shown == [
        ("2026-01-30T23:00:00Z", "53.25", "PAID"),
        ("2026-02-27T23:00:00Z", "57.50", "PAID"),
        ("2026-03-30T22:00:00Z", "57.50", "PAID"),
        ("2026-04-29T22:00:00Z", "57.50", "PAID"),
    ]


async def test_a_month_without_usage_is_an_invoice_too(world: World) -> None:
    customer = await sign_up(world)
    await world.travel_to(APRIL + timedelta(hours=1))
    await world.work()
    [invoice] = await customer.invoices()
    assert (invoice["total"]["amount"], invoice["state"], invoice["lines"]) == ("0.00", "PAID", [])


async def test_a_counter_that_was_changed_by_hand_stops_the_close(world: World) -> None:
    customer, other = await sign_up(world, reference="acme"), await sign_up(world, reference="bolt")
    await customer.record(event("a", 3))
    await rows("UPDATE usage_counter SET used = used + 1 WHERE tenant_id = ?", customer.tenant.id)
    await world.travel_to(APRIL + timedelta(hours=1))
    answer = await world.operator.post(
        "mutation ($id: ID!) { closePeriod(input: {tenantId: $id}) { invoice { id } } }", id=customer.id
    )
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    await world.work()
    assert await customer.invoices() == []
    assert [i["state"] for i in await other.invoices()] == ["PAID"], "one tenant's trouble is its own"
    [wrong] = await closing.close_all(world.platform, customer.tenant.id)
    assert not wrong.is_closed
    assert "counters say" in wrong.outcome
    await rows("UPDATE usage_counter SET used = used - 1 WHERE tenant_id = ?", customer.tenant.id)
    assert total(await customer.close()) == "6.00"


async def test_events_that_were_removed_by_hand_stop_the_close(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("a", 3), event("b", 1, "downloads"))
    await rows("DELETE FROM usage_event WHERE tenant_id = ? AND meter = 'downloads'", customer.tenant.id)
    await world.travel_to(APRIL)
    with pytest.raises(closing.LedgerBroken):
        await closing.close_period(world.platform, customer.tenant)


class Fees:
    """Adds a line to each invoice, or breaks while it is told to."""

    def __init__(self) -> None:
        self.is_broken = False

    @hookimpl
    def extra_lines(self, draft: InvoiceDraft) -> Iterable[Line]:
        if self.is_broken:
            raise RuntimeError("out of ink")
        return [Line(f"Levy on {draft.total}", Decimal(1), Decimal("1.00"))]


async def test_a_plugin_that_breaks_leaves_the_period_open(database_url: str) -> None:
    fees = Fees()
    async with open_world(database_url) as world:
        object.__setattr__(world.platform, "plugins", load_plugins(extra=[fees]))
        customer = await sign_up(world)
        await customer.record(event("a", 3))
        fees.is_broken = True
        await world.travel_to(APRIL)
        await world.work()
        answer = await world.operator.post(
            "mutation ($id: ID!) { closePeriod(input: {tenantId: $id}) { invoice { id } } }", id=customer.id
        )
        assert answer["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        await world.travel_to(APRIL + timedelta(hours=1))
        await world.work()
        assert await customer.invoices() == []
        assert await customer.usage() == {}, "April goes on"
        await customer.record(event("b", 1))
        fees.is_broken = False
        await world.travel_to(APRIL + timedelta(hours=2))
        await world.work()
        [invoice] = await customer.invoices()
        assert [(line["kind"], line["label"], line["amount"]["amount"]) for line in invoice["lines"]] == [
            ("USAGE", "Per invite", "6.00"),
            ("EXTRA", "Levy on 6.00 USD", "1.00"),
        ]
        assert (invoice["total"]["amount"], invoice["state"]) == ("7.00", "PAID")
        await late(customer, "late", 1)
        await world.travel_to(MAY)
        assert total(await customer.close()) == "5.00", "2.00 of late usage, 2.00 of April's, and a levy of its own"


async def test_the_margin_is_what_is_billed_less_what_signnow_charges(world: World) -> None:
    customer = await sign_up(world)
    for number in range(2):
        await customer.send(number)
    await customer.record(event("reported", 10))
    await world.travel_to(APRIL)
    closed = await customer.close()
    upstream = {"units": "2", "cost": {"amount": "3.00"}, "margin": {"amount": "21.00"}}
    assert closed["invoice"]["upstream"] == upstream


async def test_a_margin_between_currencies_is_not_made_up(world: World) -> None:
    customer = await sign_up(world, currency="EUR")
    await customer.send(1)
    await world.travel_to(APRIL)
    closed = (await customer.close())["invoice"]
    assert closed["upstream"] == {"units": "1", "cost": {"amount": "1.50"}, "margin": None}


async def test_close_all_leaves_later_periods_alone_while_an_earlier_one_is_open(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("march", 1))
    await rows("UPDATE usage_counter SET used = used + 1 WHERE tenant_id = ?", customer.tenant.id)
    await world.travel_to(APRIL + timedelta(days=1))
    await customer.record(event("april", 1))
    await world.travel_to(MAY + timedelta(days=1))
    results = await closing.close_all(world.platform)
    assert [result.is_closed for result in results] == [False]
    await rows("UPDATE usage_counter SET used = used - 1 WHERE used = 2")
    assert [result.is_closed for result in await closing.close_all(world.platform)] == [True, True]
    assert [i["total"]["amount"] for i in await customer.invoices()] == ["2.00", "2.00"]


async def test_a_year_of_seats(world: World) -> None:
    customer = await provision(world)
    plan = await make_plan(world, price("seats", "per-document", unitPrice="100.00"), interval="YEAR")
    await customer.subscribe(plan, seats=3)
    await world.travel_to(datetime(2027, 3, 9, tzinfo=UTC))
    assert refused(await customer.close())["__typename"] == "Conflict"
    await world.travel_to(datetime(2027, 3, 10, tzinfo=UTC))
    assert total(await customer.close()) == "300.00"
