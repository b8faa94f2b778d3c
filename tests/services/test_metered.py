"""A METERED plan: Stripe bills usage that is reported to its meters, and our rating is held against it."""

from datetime import timedelta

import pytest

from storage.database import rows
from storage.plans import Price as StoredPrice
from storage.subscriptions import Period
from tests.services.metered_steps import (
    AHEAD,
    APRIL,
    FEE,
    JULY,
    JUNE,
    MAY,
    SEATS,
    USAGE,
    at_stripe,
    correct,
    cycle,
    differences,
    join,
    lines,
    reports,
)
from tests.services.steps import INVITES, event, fault, make_plan, price, stripe_books
from tests.services.terms import billed, cancel, change_plan, change_seats, resume, told
from tests.world import START, World

pytestmark = pytest.mark.anyio


async def test_a_month(world: World) -> None:
    customer = await join(world, USAGE, FEE, SEATS, seats=2)
    await customer.record(event("a", 8), event("b", 4, "documents_created"))
    await world.travel_to(START + timedelta(days=1))
    await world.work()
    assert await reports() == [(8, "SENT")]
    await customer.record(event("c", 5))
    await cycle(world, APRIL)
    opening, ours = await billed(customer)
    assert told(ours) == [
        ("USAGE", "Per invite", "2.50"),
        ("USAGE", "Overage per document", "3.00"),
        ("FEE", "Fee", "10.00"),
        ("FEE", "Per seat", "18.00"),
    ]
    theirs = (await at_stripe(world))[-1]
    assert sorted(line[1:] for line in lines(theirs)) == [(1, 1000), (2, 1800), (4, 300), (13, 250)]
    assert (opening["state"], ours["state"], theirs["status"], theirs["total"]) == ("PAID", "PAID", "paid", 3350)
    assert await differences() == []


async def test_a_quarter_is_reported_once_and_billed_by_stripe(world: World) -> None:
    customer = await join(world)
    for end, used in ((APRIL, 7), (MAY, 0), (JUNE, 40)):
        await customer.record(event(f"u{end.month}", used)) if used else None
        await cycle(world, end)
    assert [told(invoice) for invoice in await billed(customer)] == [
        [("USAGE", "Per invite", "1.00")],
        [],
        [("USAGE", "Per invite", "9.25")],
    ]
    assert [invoice["total"] for invoice in await at_stripe(world)] == [100, 0, 925]
    assert {invoice["state"] for invoice in await billed(customer)} == {"PAID"}
    assert (await reports(), await differences()) == ([(7, "SENT"), (40, "SENT")], [])


async def test_late_usage_is_a_line_of_ours_on_the_same_invoice(world: World) -> None:
    """What came after Stripe could take it, and before the period was closed."""
    customer = await join(world)
    await customer.record(event("a", 8))
    await world.travel_to(APRIL)
    await world.work()
    await world.travel_to(APRIL + timedelta(minutes=40))
    await customer.record(event("late", 4, occurred_at=(APRIL - timedelta(minutes=5)).isoformat()))
    await cycle(world, APRIL + timedelta(minutes=40))
    [ours], [theirs] = await billed(customer), await at_stripe(world)
    assert [(kind, amount) for kind, _, amount in told(ours)] == [("USAGE", "1.25"), ("ADJUSTMENT", "1.00")]
    assert sorted(line[2] for line in lines(theirs)) == [100, 125]
    assert (await reports(), ours["state"], await differences()) == ([(8, "SENT")], "PAID", [])


async def test_usage_after_the_close_is_adjusted_on_the_next_invoice(world: World) -> None:
    customer = await join(world)
    await customer.record(event("a", 8))
    await cycle(world, APRIL)
    await customer.record(event("late", 4, occurred_at=(APRIL - timedelta(minutes=5)).isoformat()))
    await cycle(world, MAY)
    second, theirs = (await billed(customer))[-1], (await at_stripe(world))[-1]
    assert [(kind, amount) for kind, _, amount in told(second)] == [("ADJUSTMENT", "1.00")]
    assert (theirs["total"], second["state"], await differences()) == (100, "PAID", [])


async def test_a_correction_takes_a_young_report_back(world: World) -> None:
    customer = await join(world)
    await customer.record(event("a", 8))
    await world.travel_to(START + timedelta(hours=1))
    await world.work()
    assert (await correct(customer, "a", 5))["status"] == "CORRECTED"
    await world.travel_to(START + timedelta(hours=2))
    await world.work()
    assert await reports() == [(8, "CANCELLED"), (5, "SENT")]
    await cycle(world, APRIL)
    assert [i["total"] for i in await at_stripe(world)] == [50]
    assert ((await billed(customer))[-1]["state"], await differences()) == ("PAID", [])


async def test_a_correction_of_what_stripe_no_longer_takes_back_is_a_line_of_ours(world: World) -> None:
    customer = await join(world)
    await customer.record(event("a", 8))
    await world.travel_to(START + timedelta(hours=1))
    await world.work()
    await world.travel_to(START + timedelta(days=2))
    await correct(customer, "a", 5)
    await cycle(world, APRIL)
    [ours], [theirs] = await billed(customer), await at_stripe(world)
    assert [(kind, amount) for kind, _, amount in told(ours)] == [("USAGE", "1.25"), ("ADJUSTMENT", "-0.75")]
    assert (await reports(), theirs["total"], ours["state"]) == ([(8, "SENT")], 50, "PAID")


async def test_seats_are_a_quantity_and_change_with_the_next_period(world: World) -> None:
    customer = await join(world, SEATS, seats=2)
    await change_seats(customer, 5)
    await world.work()
    await cycle(world, APRIL)
    [opening, ours], [first, theirs] = await billed(customer), await at_stripe(world)
    assert (opening["total"]["amount"], ours["total"]["amount"]) == ("18.00", "45.00")
    assert (first["total"], lines(theirs)[0][1:], theirs["status"]) == (1800, (5, 4500), "paid")
    assert await differences() == []


@pytest.mark.parametrize("at", ["NOW", "PERIOD_END"])
async def test_who_leaves_gets_a_last_invoice_of_ours(world: World, at: str) -> None:
    customer = await join(world, USAGE, FEE)
    await customer.record(event("a", 8))
    await world.travel_to(START + timedelta(days=3))
    await world.work()
    await cancel(customer, at)
    await world.work()
    await cycle(world, START + timedelta(days=4) if at == "NOW" else APRIL)
    await cycle(world, MAY)
    invoices = await billed(customer)
    assert {invoice["state"] for invoice in invoices} == {"PAID"}
    assert sum(i["total"] for i in await at_stripe(world)) == sum(
        round(float(i["total"]["amount"]) * 100) for i in invoices
    )
    assert ("USAGE", "Per invite", "1.25") in told(invoices[-1])
    assert (await differences(), (await stripe_books(world))["subscription"][0]["status"]) == ([], "canceled")


async def test_a_plan_follows_another_at_the_periods_end(world: World) -> None:
    """METERED, another METERED one, COMPUTED and back: each period is billed once."""
    customer = await join(world)
    other = await make_plan(world, price("invites_sent", "per-document", unitPrice="1.00"), FEE, code="b", **AHEAD)
    computed = await make_plan(world, INVITES, code="c")
    for number, (end, plan) in enumerate([(APRIL, other), (MAY, None), (JUNE, computed), (JULY, other)]):
        await customer.record(event(f"u{number}", 10))
        if plan is not None:
            changed = await change_plan(customer, plan, "PERIOD_END")
            assert changed["userErrors"] == [], changed
        await world.travel_to(end - timedelta(days=5))
        await world.work()
        await cycle(world, end)
    invoices = await billed(customer)
    assert [i["total"]["amount"] for i in invoices] == ["11.75", "20.00", "10.00", "30.00"]
    assert [i["total"] for i in await at_stripe(world)] == [1175, 2000, 1000, 3000]
    assert {i["state"] for i in invoices} == {"PAID"}
    assert await differences() == []


async def test_a_withdrawn_cancellation(world: World) -> None:
    """What was taken over stays ours until the period's end."""
    customer = await join(world)
    await customer.record(event("a", 8))
    await world.travel_to(START + timedelta(days=1))
    await world.work()
    await cancel(customer, "PERIOD_END")
    await world.work()
    await resume(customer)
    await world.work()
    await customer.record(event("b", 4))
    await cycle(world, APRIL)
    await customer.record(event("c", 5))
    await cycle(world, MAY)
    assert [i["total"] for i in await at_stripe(world)] == [225, 50]
    assert {i["state"] for i in await billed(customer)} == {"PAID"}
    assert (await reports(), await differences()) == ([(8, "SENT"), (5, "SENT")], [])


async def test_a_line_that_stripe_rates_otherwise_is_held(world: World) -> None:
    customer = await join(world)
    await customer.record(event("a", 8))
    stored = await StoredPrice.all().first()
    assert stored is not None
    # As if somebody had edited our books: Stripe's price stays 0.25.
    await StoredPrice.filter(id=stored.id).update(config={"unitPrice": "0.30", "freeUnits": 3})
    world.platform.metering.terms.clear()
    await cycle(world, APRIL)
    [(kind, _)] = await differences()
    assert kind == "METERED_LINE"
    assert (await billed(customer))[-1]["state"] == "FINALIZED"
    assert [i["status"] for i in await at_stripe(world)] == ["draft"]


async def test_an_outage_that_outlasts_a_period(world: World) -> None:
    """Nothing could be reported: all of the usage is ours to bill, once Stripe can be asked again."""
    customer = await join(world)
    await customer.record(event("a", 8))
    await fault(world.stripe, "500", 3000, on="/v1/billing/meter_events")
    await world.travel_to(START + timedelta(days=20))
    await world.work()
    for hours in (0, 1, 2, 3):
        await cycle(world, APRIL + timedelta(hours=hours))
    [ours], [theirs] = await billed(customer), await at_stripe(world)
    assert [(kind, amount) for kind, _, amount in told(ours)] == [("ADJUSTMENT", "1.25")]
    assert (theirs["total"], ours["state"], {state for _, state in await reports()}) == (125, "PAID", {"FAILED"})
    assert await differences() == []


async def test_a_period_that_never_became_metered_is_ours(world: World) -> None:
    customer = await join(world)
    await Period.all().update(stripe_usage=None)
    await rows("UPDATE job SET state = 'DONE' WHERE topic = 'usage.report'")
    await customer.record(event("a", 8))
    await cycle(world, APRIL)
    assert [i["total"] for i in await at_stripe(world)] == [125]
    assert ((await billed(customer))[0]["state"], await reports(), await differences()) == ("PAID", [], [])
