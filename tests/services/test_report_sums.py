"""What others do to Stripe's meters: the period is held, somebody is told, and there is a way out."""

from datetime import timedelta

import pytest

from services import discrepancies
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.invoices import Invoice
from storage.usage_reports import UsageReport
from tests.services.metered_steps import APRIL, at_stripe, cycle, join
from tests.services.steps import Customer, Json
from tests.world import World

pytestmark = pytest.mark.anyio
STRIPE = {"authorization": "Bearer sk_test_inkmeter"}
EVENTS = "/v1/billing/meter_events"


async def used(world: World) -> Customer:
    """Ten invites at 0.25, three of them free, reported."""
    customer = await join(world)
    event: Json = {"meter": "invites_sent", "quantity": 10, "idempotencyKey": "a"}
    await customer.record(event)
    await world.travel_to(world.clock.now() + timedelta(hours=1))
    await world.work()
    return customer


async def cancel_by_hand(world: World) -> None:
    [report] = await UsageReport.all()
    form = {"event_name": "inkmeter_invites_sent", "type": "cancel", "cancel[identifier]": str(report.id)}
    response = await world.stripe.post("/v1/billing/meter_event_adjustments", data=form, headers=STRIPE)
    response.raise_for_status()


async def send_by_hand(world: World, value: int) -> None:
    if not value:
        return
    [theirs] = (await world.stripe.get("/_sandbox/books")).json()["customer"]
    form = {"event_name": "inkmeter_invites_sent", "identifier": "by-hand", "payload[value]": str(value)}
    form["payload[stripe_customer_id]"] = theirs["id"]
    (await world.stripe.post(EVENTS, data=form, headers=STRIPE)).raise_for_status()


async def end_period(world: World) -> None:
    """Two hours after its end: until then Stripe may still be counting."""
    await cycle(world, APRIL)
    await world.travel_to(APRIL + timedelta(hours=2))
    await world.work()


async def try_again(world: World) -> None:
    """The close, and then the push."""
    for hours in (3, 4):
        await world.travel_to(APRIL + timedelta(hours=hours))
        await world.work()


async def found() -> list[tuple[str, DiscrepancyState]]:
    rows = await Discrepancy.filter(kind="METER_PERIOD").order_by("id")
    return [(row.explanation or "", row.state) for row in rows]


@pytest.mark.parametrize("theirs", [0, 4, 15])
async def test_sums_that_differ_hold_the_close_until_somebody_explains_them(world: World, theirs: int) -> None:
    await used(world)
    if theirs < 10:
        await cancel_by_hand(world)
    await send_by_hand(world, theirs if theirs < 10 else theirs - 10)
    await end_period(world)
    assert await Invoice.all().count() == 0
    assert await found() == [
        (
            f"10 invites_sent were reported for 2026-03-10 to 2026-04-10, Stripe's sums say {theirs}; "
            "the period is not closed.",
            DiscrepancyState.OPEN,
        )
    ]
    [row] = await Discrepancy.filter(kind="METER_PERIOD")
    await discrepancies.explain_discrepancy(world.platform, row.id, "sales did it")
    await try_again(world)
    [invoice] = await Invoice.all()
    assert (invoice.total_minor, invoice.state) == (175, "PAID")
    [theirs_now] = [one for one in await at_stripe(world) if one["billing_reason"] == "subscription_cycle"]
    assert (theirs_now["status"], theirs_now["total"]) == ("paid", 175)


async def test_what_others_have_sent_where_we_have_reported_nothing_holds_the_close(world: World) -> None:
    await join(world)
    await send_by_hand(world, 5)
    await end_period(world)
    [row] = await Discrepancy.filter(kind="METER_PERIOD")
    await discrepancies.explain_discrepancy(world.platform, row.id, "sales did it")
    await try_again(world)
    [invoice] = await Invoice.all()
    assert (invoice.total_minor, invoice.state) == (0, "PAID")
    [theirs] = [one for one in await at_stripe(world) if one["billing_reason"] == "subscription_cycle"]
    assert (theirs["status"], theirs["total"]) == ("paid", 0)


async def test_sums_that_agree_again_close_the_period(world: World) -> None:
    await used(world)
    await cancel_by_hand(world)
    await end_period(world)
    [(_, state)] = await found()
    assert state is DiscrepancyState.OPEN
    [report] = await UsageReport.all()
    await UsageReport.filter(id=report.id).update(state="CANCELLED")  # as if it had been ours to cancel
    await try_again(world)
    assert [state for _, state in await found()] == [DiscrepancyState.RESOLVED]
    assert [invoice.total_minor for invoice in await Invoice.all()] == [175]
