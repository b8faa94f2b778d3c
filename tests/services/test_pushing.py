"""Invoices that have no cycle at Stripe, each with one of its own there, and the end of a subscription."""

from datetime import UTC, datetime, timedelta

import pytest

from storage.discrepancies import Discrepancy
from storage.invoices import LineItem
from tests.services.steps import Customer, Json, event, fault, price, provision, stripe_books
from tests.services.terms import FEE, SEATS, billed, cancel, change_seats, plan_of, resume
from tests.world import START, World

pytestmark = pytest.mark.anyio

STRIPE = {"authorization": "Bearer sk_test_inkmeter"}
APRIL, MAY = (datetime(2026, month, 10, tzinfo=UTC) for month in (4, 5))
HALF = datetime(2026, 4, 25, tzinfo=UTC)


async def join(world: World, plan: str, **terms: object) -> Customer:
    customer = await provision(world)
    assert (await customer.subscribe(plan, **terms))["userErrors"] == []
    return customer


async def at_stripe(world: World) -> list[Json]:
    return list((await stripe_books(world))["invoice"])


async def work_for_hours(world: World, since: datetime) -> None:
    """A worker that looks again and again."""
    for minutes in (60, 61, 62, 64, 70, 90, 120, 180, 240):
        await world.travel_to(since + timedelta(minutes=minutes))
        await world.work()


async def set_card(world: World, card: str) -> None:
    [theirs] = (await stripe_books(world))["customer"]
    (await world.stripe.post(f"/_sandbox/customers/{theirs['id']}/card", json={"card": card})).raise_for_status()


async def test_an_opening_has_an_invoice_of_its_own(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE, SEATS, fees="ADVANCE"), seats=2)
    await world.work()
    [opening], [theirs] = await billed(customer), await at_stripe(world)
    assert (opening["state"], theirs["status"], theirs["total"], theirs["parent"]) == ("PAID", "paid", 12000, None)
    assert [(line["description"], line["amount"]) for line in theirs["lines"]["data"]] == [
        ("Fee (1 × 60.00)", 6000),
        ("Per seat (2 × 30.00)", 6000),
    ]


@pytest.mark.parametrize(
    ("kind", "times", "on"),
    [
        ("500", 3, "/v1/invoices"),
        ("500_remembered", 3, "/v1/invoices"),
        ("timeout_before", 3, "/v1/invoices"),
        ("timeout_after", 3, "/v1/invoices"),
        ("timeout_after", 5, "/v1/invoices"),
        ("timeout_after", 6, "/v1/invoices/"),
    ],
)
async def test_it_is_made_once_whatever_fails(world: World, kind: str, times: int, on: str) -> None:
    customer = await join(world, await plan_of(world, FEE, fees="ADVANCE"))
    await fault(world.stripe, kind, times, on=on)
    await world.work()
    await work_for_hours(world, START + timedelta(days=2))  # Stripe has forgotten its keys
    [opening], [theirs] = await billed(customer), await at_stripe(world)
    assert (opening["state"], theirs["total"]) == ("PAID", 6000)
    assert len((await stripe_books(world))["invoiceitem"]) == 1


async def test_pending_items_of_others_stay_off_it(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE, fees="ADVANCE"))
    [theirs] = (await stripe_books(world))["customer"]
    data = {"customer": theirs["id"], "amount": 900, "currency": "usd", "description": "By hand"}
    (await world.stripe.post("/v1/invoiceitems", data=data, headers=STRIPE)).raise_for_status()
    await world.work()
    assert ((await billed(customer))[0]["state"], (await at_stripe(world))[0]["total"]) == ("PAID", 6000)


async def test_the_last_invoice_after_a_cancellation(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE))
    await world.travel_to(START + timedelta(days=2))
    await customer.record(event("a", 3))
    await world.travel_to(START + timedelta(days=2, seconds=1))
    await cancel(customer)
    await world.work()
    [mirrored] = (await stripe_books(world))["subscription"]
    assert mirrored["status"] == "canceled"
    await world.travel_to(START + timedelta(days=3))
    await world.work()
    [ours], [theirs] = await billed(customer), await at_stripe(world)
    assert (ours["state"], theirs["status"], theirs["billing_reason"]) == ("PAID", "paid", "manual")
    await world.travel_to(MAY)
    await world.work()
    assert len(await at_stripe(world)) == 1, "no cycle comes any more"


async def test_cancelled_days_after_a_cycle_whose_draft_still_waits(world: World) -> None:
    """Two drafts near each other: each invoice finds its own."""
    customer = await join(world, await plan_of(world, FEE))
    await customer.record(event("a", 3))
    await world.travel_to(APRIL)
    await world.work()
    [draft] = await at_stripe(world)
    await fault(world.stripe, "500", 40, on=f"/v1/invoices/{draft['id']}/add_lines")
    await world.travel_to(APRIL + timedelta(days=2))
    await world.work()
    await cancel(customer)
    await work_for_hours(world, APRIL + timedelta(days=2))
    for days in range(3, 8):
        await work_for_hours(world, APRIL + timedelta(days=days))
    cycle, final = await at_stripe(world)
    assert [i["state"] for i in await billed(customer)] == ["PAID", "PAID"]
    assert (cycle["billing_reason"], cycle["total"], cycle["status"]) == ("subscription_cycle", 6400, "paid")
    assert (final["billing_reason"], final["total"], final["status"]) == ("manual", 400, "paid")
    assert await Discrepancy.all().count() == 0


async def test_cancelled_at_the_periods_end(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE), zone="Europe/Berlin")
    await cancel(customer, "PERIOD_END")
    [mirrored] = (await stripe_books(world))["subscription"]
    assert mirrored["status"] == "active", "until then it may be withdrawn"
    end = datetime(2026, 4, 9, 22, tzinfo=UTC)
    await world.travel_to(end)
    await world.work()
    await work_for_hours(world, end)
    [mirrored] = (await stripe_books(world))["subscription"]
    [ours] = await billed(customer)
    assert (mirrored["status"], ours["state"]) == ("canceled", "PAID")
    assert sum(i["total"] for i in await at_stripe(world)) == 6000


async def test_an_unpaid_invoice_is_collected_after_the_end(world: World) -> None:
    """Stripe stops collecting when a subscription is cancelled; the debt remains."""
    customer = await join(world, await plan_of(world, FEE))
    await set_card(world, "decline")
    await world.travel_to(APRIL)
    await world.work()
    await work_for_hours(world, APRIL)
    assert [i["state"] for i in await billed(customer)] == ["PAST_DUE"]
    await cancel(customer)
    await world.work()
    [cycle] = await at_stripe(world)
    assert (cycle["status"], cycle["auto_advance"]) == ("open", True)
    await world.travel_to(APRIL + timedelta(hours=5))
    assert (await at_stripe(world))[0]["attempt_count"] == 2
    await set_card(world, "success")
    await work_for_hours(world, APRIL + timedelta(days=1))
    assert [i["state"] for i in await billed(customer)] == ["PAID", "PAID"]
    assert await customer.state() == "ACTIVE"


@pytest.mark.parametrize("kind", ["500", "timeout_before", "timeout_after"])
async def test_the_cancellation_is_repeated_until_it_is_certain(world: World, kind: str) -> None:
    customer = await join(world, await plan_of(world, FEE))
    await world.travel_to(START + timedelta(days=2))
    await fault(world.stripe, kind, 4, on="/v1/subscriptions", method="DELETE")
    await cancel(customer)
    await work_for_hours(world, START + timedelta(days=2))
    [mirrored] = (await stripe_books(world))["subscription"]
    assert mirrored["status"] == "canceled"


async def test_a_subscription_that_reached_stripe_after_its_first_cycle(world: World) -> None:
    customer, plan = await provision(world), await plan_of(world, FEE)
    await fault(world.stripe, "500", 3, on="/v1/subscriptions")
    assert not (await customer.subscribe(plan))["subscription"]["isMirrored"]
    world.clock.travel_to(APRIL + timedelta(days=2))  # nobody worked for a month
    await world.work()
    await work_for_hours(world, APRIL + timedelta(days=2))
    [ours], [theirs] = await billed(customer), await at_stripe(world)
    assert (ours["state"], theirs["billing_reason"], theirs["total"]) == ("PAID", "manual", 6000)
    await world.travel_to(MAY)
    await world.work()
    await work_for_hours(world, MAY)
    assert [i["state"] for i in await billed(customer)] == ["PAID", "PAID"]
    assert [i["billing_reason"] for i in await at_stripe(world)] == ["manual", "subscription_cycle"]


async def test_a_subscription_that_ended_before_it_reached_stripe(world: World) -> None:
    customer, plan = await provision(world), await plan_of(world, FEE)
    await fault(world.stripe, "500", 3, on="/v1/subscriptions")
    await customer.subscribe(plan)
    await world.travel_to(START + timedelta(seconds=30))
    await cancel(customer)
    await work_for_hours(world, START)
    [ours], [mirrored] = await billed(customer), (await stripe_books(world))["subscription"]
    assert (ours["state"], mirrored["status"]) == ("PAID", "canceled")


async def test_a_cycle_that_stripe_has_finalized_and_nobody_told(world: World) -> None:
    """The webhooks are lost for good and no worker ran: the cycle has passed, and our lines go on one of their own."""
    customer = await join(world, await plan_of(world, FEE))
    await world.stripe.post("/_sandbox/webhooks", json={"drop": 1000})
    await world.travel_to(APRIL)
    await world.travel_to(APRIL + timedelta(days=4))
    await world.work()
    await work_for_hours(world, APRIL + timedelta(days=4))
    missed, own = await at_stripe(world)
    assert (missed["status"], missed["total"], own["total"]) == ("paid", 0, 6000)
    assert [i["state"] for i in await billed(customer)] in (["PUSHED"], ["PAID"])


async def test_a_negative_total_is_credit_for_the_next(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE, fees="ADVANCE"))
    await world.work()
    await world.travel_to(START + timedelta(days=2))
    await cancel(customer)
    await work_for_hours(world, START + timedelta(days=2))
    opening, final = await billed(customer)
    assert (opening["state"], final["state"]) == ("PAID", "PAID")
    assert final["total"]["amount"].startswith("-")
    [theirs] = (await stripe_books(world))["customer"]
    back = int(final["total"]["amount"].replace(".", ""))
    assert theirs["balance"] == back
    await customer.subscribe(await plan_of(world, FEE, code="again", fees="ADVANCE"))
    await world.work()
    last = (await at_stripe(world))[-1]
    assert last["amount_paid"] == last["total"] + back


async def test_more_lines_than_stripe_takes(world: World) -> None:
    customer = await join(world, await plan_of(world, SEATS))
    for number in range(260):
        world.clock.travel_to(START + timedelta(hours=number))
        assert (await change_seats(customer, number % 2 + 40))["userErrors"] == []
    await world.travel_to(APRIL)
    await world.work()
    await work_for_hours(world, APRIL)
    [ours], [theirs] = await billed(customer), await at_stripe(world)
    assert len(ours["lines"]) > 250
    assert (ours["state"], theirs["total"]) == ("PAID", int(ours["total"]["amount"].replace(".", "")))
    items = {item["id"] for item in (await stripe_books(world))["invoiceitem"]}
    assert len(items) == 250
    assert {item.stripe_item_id for item in await LineItem.all() if item.amount_minor} == items


async def test_a_withdrawn_end_leaves_the_mirror_alone(world: World) -> None:
    customer = await join(world, await plan_of(world, price("invites_sent", "flat", fee="9.00")))
    await cancel(customer, "PERIOD_END")
    await resume(customer)
    await world.travel_to(APRIL)
    await world.work()
    await work_for_hours(world, APRIL)
    [mirrored] = (await stripe_books(world))["subscription"]
    assert mirrored["status"] == "active"
    assert [i["state"] for i in await billed(customer)] == ["PAID"]
