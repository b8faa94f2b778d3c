"""Reports to Stripe's meters: each unit is counted there once, whatever is lost on the way."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from services import discrepancies, usage_reports
from storage.discrepancies import Discrepancy
from storage.invoices import Invoice
from storage.usage_reports import UsageReport
from storage.webhooks import WebhookEvent
from tests.services.credit_steps import give
from tests.services.metered_steps import APRIL, at_stripe, cycle, differences, join, reports
from tests.services.steps import do, event, fault, refused
from tests.world import START, World

pytestmark = pytest.mark.anyio

EVENTS = "/v1/billing/meter_events"
STRIPE = {"authorization": "Bearer sk_test_inkmeter"}


async def counted(world: World, day: date | None = None) -> float:
    """What Stripe's one meter has counted, of March and April or of one day."""
    start, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
    if day is not None:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        end = start + timedelta(days=1)
    books = (await world.stripe.get("/_sandbox/books")).json()
    [meter], [customer] = books["billing.meter"], books["customer"]
    path = f"/v1/billing/meters/{meter['id']}/event_summaries"
    params = {"customer": customer["id"], "start_time": int(start.timestamp()), "end_time": int(end.timestamp())}
    found = (await world.stripe.get(path, params=params, headers=STRIPE)).json()["data"]
    return float(sum(summary["aggregated_value"] for summary in found))


async def pass_hours(world: World, *hours: float, since: datetime = START) -> None:
    for number in hours:
        await world.travel_to(since + timedelta(hours=number))
        await world.work()


@pytest.mark.parametrize(
    ("kind", "times"),
    [("500", 3), ("500", 30), ("timeout_before", 3), ("timeout_after", 1), ("timeout_after", 3), ("429", 9)],
)
async def test_units_are_counted_once_whatever_fails(world: World, kind: str, times: int) -> None:
    customer = await join(world)
    await customer.record(event("a", 8))
    await fault(world.stripe, kind, times, on=EVENTS)
    await pass_hours(world, *range(1, 12))
    await customer.record(event("b", 2))
    await pass_hours(world, 12, 13)
    assert await counted(world) == 10
    assert await reports() == [(8, "SENT"), (2, "SENT")]
    await cycle(world, APRIL)
    assert [i["total"] for i in await at_stripe(world)] == [175]
    assert await differences() == []


@pytest.mark.parametrize(("kind", "outcome"), [("timeout_after", "SENT"), ("timeout_before", "FAILED")])
async def test_after_a_day_only_stripes_sums_tell(world: World, kind: str, outcome: str) -> None:
    """Stripe has forgotten the identifier by then: a repeat would count twice."""
    customer = await join(world)
    await customer.record(event("a", 8))
    await fault(world.stripe, kind, 3, on=EVENTS)
    await pass_hours(world, 0.25)
    await fault(world.stripe, "500", 1000, on=EVENTS)
    await pass_hours(world, *range(2, 24))
    assert (await reports(), await counted(world)) == ([(8, "SENDING")], 8 if outcome == "SENT" else 0)
    await pass_hours(world, 24.5, 25, 25.5, 26)
    assert (await reports())[0] == (8, outcome)


async def test_a_report_that_was_never_sent_is_sent_anew_under_another_name(world: World) -> None:
    customer = await join(world)
    await customer.record(event("a", 8))
    await fault(world.stripe, "500", 300, on=EVENTS)
    await pass_hours(world, *range(1, 27))
    assert await reports() == [(8, "FAILED"), (8, "SENDING")]
    await clear_faults(world)
    await pass_hours(world, 27, 28)
    assert (await reports(), await counted(world)) == ([(8, "FAILED"), (8, "SENT")], 8)


async def clear_faults(world: World) -> None:
    """Use up what is left."""
    for _ in range(1000):
        answer = await world.stripe.post(EVENTS, headers=STRIPE)
        if answer.status_code != 500:
            return


async def test_sums_that_fit_neither_way_are_a_discrepancy_and_nothing_is_sent(world: World) -> None:
    customer = await join(world)
    await customer.record(event("a", 8))
    await fault(world.stripe, "timeout_before", 3, on=EVENTS)
    await fault(world.stripe, "500", 1000, on=EVENTS)
    await pass_hours(world, 1)
    await clear_faults(world)
    await send_by_hand(world, 5)
    await UsageReport.all().update(first_tried_at=START - timedelta(days=2), last_tried_at=START)
    await pass_hours(world, 2, 3)
    assert await reports() == [(8, "SENDING")]
    assert [kind for kind, _ in await differences()] == ["METER_REPORT"]
    await cycle(world, APRIL)
    assert "is not settled with Stripe" in refused(await customer.close())["message"]
    for number, kind in enumerate(("METER_REPORT", "METER_PERIOD")):
        await world.travel_to(APRIL + timedelta(hours=3 + 2 * number))
        await world.work()
        [found] = await Discrepancy.filter(kind=kind, state="OPEN")
        await discrepancies.explain_discrepancy(world.platform, found.id, "five were sales'")
        await world.travel_to(APRIL + timedelta(hours=4 + 2 * number))
        await world.work()
    assert await reports() == [(8, "FAILED"), (5, "CONFIRMED")]
    assert [invoice.total_minor for invoice in await Invoice.all()] == [125]


async def send_by_hand(world: World, value: int) -> None:
    """Someone else reports to our meter."""
    [theirs] = (await world.stripe.get("/_sandbox/books")).json()["customer"]
    form = {"event_name": "inkmeter_invites_sent", "identifier": f"by-hand-{value}", "payload[value]": str(value)}
    form["payload[stripe_customer_id]"] = theirs["id"]
    (await world.stripe.post(EVENTS, data=form, headers=STRIPE)).raise_for_status()


async def test_a_report_that_stripe_has_found_wrong(world: World) -> None:
    """Its units are ours to bill; after a day reporting is tried again."""
    customer = await join(world)
    [meter] = (await world.stripe.get("/_sandbox/books")).json()["billing.meter"]
    path = f"/v1/billing/meters/{meter['id']}"
    (await world.stripe.post(f"{path}/deactivate", headers=STRIPE)).raise_for_status()
    await customer.record(event("a", 8))
    await pass_hours(world, 1, 2)
    assert await taken_errors(world) == [("APPLIED", None)]
    assert await reports() == [(8, "FAILED")]
    assert [kind for kind, _ in await differences()] == ["METER_REPORT"]
    (await world.stripe.post(f"{path}/reactivate", headers=STRIPE)).raise_for_status()
    await pass_hours(world, 3, 27, 28)
    assert (await reports(), await counted(world)) == ([(8, "FAILED"), (8, "SENT")], 8)


async def taken_errors(world: World) -> list[tuple[str, str | None]]:
    """What became of Stripe's thin events."""
    found = await WebhookEvent.filter(type__startswith="v1.billing.meter.").order_by("id")
    return [(row.state.value, row.note) for row in found]


async def test_errors_of_others_are_none_of_ours(world: World) -> None:
    await join(world)
    form = {"event_name": "somebody_elses", "identifier": "x", "payload[value]": "1"}
    (await world.stripe.post(EVENTS, data=form, headers=STRIPE)).raise_for_status()
    await pass_hours(world, 1)
    assert await taken_errors(world) == [("IGNORED", "no report of ours")]


async def test_what_credits_pay_for_is_not_reported(world: World) -> None:
    customer = await join(world)
    await give(customer, 3, meter="invites_sent")
    await customer.record(event("a", 8))
    await pass_hours(world, 1)
    assert await reports() == [(5, "SENT")]


async def test_two_workers_make_one_report(world: World) -> None:
    customer = await join(world)
    await customer.record(event("a", 8))
    await asyncio.gather(*(usage_reports.report_due(world.platform) for _ in range(4)))
    assert await reports() == [(8, "SENT")]
    await pass_hours(world, 1)
    assert await counted(world) == 8


async def test_reporting_by_hand(world: World) -> None:
    customer = await join(world)
    await customer.record(event("a", 8))
    selection = "reporting { reports { identifier meter units state at reason } }"
    answer = await do(world.operator, "reportUsageToStripe", selection, tenantId=customer.id)
    [report] = answer["reporting"]["reports"]
    assert (report["meter"], report["units"], report["state"]) == ("invites_sent", "8", "SENT")
    assert await reports() == [(8, "SENT")]
