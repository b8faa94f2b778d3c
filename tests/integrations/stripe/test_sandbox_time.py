"""What the sandbox does as time passes: cycles, the draft window, retries, and the end of a subscription."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.stripe.sandbox.boundaries import next_boundary
from tests.integrations.stripe.conftest import START, World, new_world

pytestmark = pytest.mark.anyio

FIRST_END = datetime(2027, 2, 28, 12, tzinfo=UTC)


def at(timestamp: int) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


async def invoices(world: World) -> list[dict[str, Any]]:
    return (await world.books())["invoice"]


async def subscription(world: World) -> dict[str, Any]:
    [only] = (await world.books())["subscription"]
    return only


async def test_a_first_invoice_is_finalized_and_paid_at_once(world: World) -> None:
    made = await world.subscribe(4500)
    [first] = await invoices(world)
    assert (first["billing_reason"], first["status"], first["amount_paid"]) == ("subscription_create", "paid", 4500)
    assert (made["status"], made["latest_invoice"]) == ("active", first["id"])
    assert first["parent"]["subscription_details"]["subscription"] == made["id"]


async def test_up_to_an_anchor_the_time_is_free_and_has_no_invoice(world: World) -> None:
    anchor = int((START + timedelta(days=5)).timestamp())
    made = await world.subscribe(4500, billing_cycle_anchor=anchor, proration_behavior="none")
    assert made["items"]["data"][0]["current_period_end"] == anchor
    assert (made["latest_invoice"], await invoices(world)) == (None, [])


@pytest.mark.parametrize(
    ("days", "proration", "reason"),
    [(-1, "none", "future"), (40, "none", "natural billing date"), (5, "create_prorations", "prorate")],
)
async def test_an_anchor_is_in_the_future_and_within_the_first_cycle(
    world: World, days: int, proration: str, reason: str
) -> None:
    anchor = int((START + timedelta(days=days)).timestamp())
    with pytest.raises(AssertionError, match=reason):
        await world.subscribe(billing_cycle_anchor=anchor, proration_behavior=proration)


async def test_a_cycle_ends_in_a_draft_that_looks_back_with_prices_that_look_ahead(world: World) -> None:
    await world.subscribe(4500)
    customer = (await subscription(world))["customer"]
    for amount in (100, 200):
        await world.post("/v1/invoiceitems", customer=customer, amount=amount, currency="usd")
    await world.travel(FIRST_END)
    _, draft = await invoices(world)
    assert (draft["status"], draft["billing_reason"], draft["total"]) == ("draft", "subscription_cycle", 4800)
    assert (at(draft["period_start"]), at(draft["period_end"])) == (START, FIRST_END)
    assert [line["amount"] for line in draft["lines"]["data"]] == [200, 100, 4500]  # pending first, newest first
    ahead = draft["lines"]["data"][2]["period"]
    assert (at(ahead["start"]), at(ahead["end"])) == (FIRST_END, datetime(2027, 3, 31, 12, tzinfo=UTC))


async def test_a_draft_finalizes_an_hour_after_its_webhook_was_answered(world: World) -> None:
    await world.subscribe(4500)
    await world.travel(FIRST_END + timedelta(minutes=20))
    _, draft = await invoices(world)
    assert at(draft["webhooks_delivered_at"]) == FIRST_END + timedelta(minutes=20)
    assert at(draft["automatically_finalizes_at"]) == FIRST_END + timedelta(minutes=80)
    await world.travel(FIRST_END + timedelta(minutes=79))
    assert (await invoices(world))[1]["status"] == "draft"
    await world.travel(FIRST_END + timedelta(minutes=80))
    assert (await invoices(world))[1]["status"] == "paid"


async def test_an_unanswered_webhook_keeps_the_draft_for_up_to_three_days(world: World) -> None:
    await world.subscribe(4500)
    world.inbox.status = 503
    await world.travel(FIRST_END)
    await world.travel(FIRST_END + timedelta(hours=71))
    assert (await invoices(world))[1]["status"] == "draft"
    await world.travel(FIRST_END + timedelta(hours=72))
    assert (await invoices(world))[1]["status"] == "paid"


async def test_without_an_endpoint_the_hour_begins_at_once() -> None:
    async with new_world() as world:
        [endpoint] = (await world.get("/v1/webhook_endpoints"))["data"]
        await world.call("DELETE", f"/v1/webhook_endpoints/{endpoint['id']}")
        await world.subscribe(4500)
        await world.travel(FIRST_END + timedelta(hours=2))
        _, cycle = await invoices(world)
        assert cycle["status"] == "paid"
        assert at(cycle["status_transitions"]["finalized_at"]) == FIRST_END + timedelta(hours=1)


async def test_a_held_draft_waits_until_it_is_let_go(world: World) -> None:
    await world.subscribe(4500)
    await world.travel(FIRST_END)
    _, draft = await invoices(world)
    await world.post(f"/v1/invoices/{draft['id']}", auto_advance="false")
    await world.travel(FIRST_END + timedelta(days=10))
    assert (await invoices(world))[1]["status"] == "draft"
    released = await world.post(f"/v1/invoices/{draft['id']}", auto_advance="true")
    assert at(released["automatically_finalizes_at"]) == world.clock.now() + timedelta(hours=1)


async def test_a_leap_over_months_skips_no_cycle_and_keeps_the_anchors_day(world: World) -> None:
    await world.subscribe()
    await world.travel(datetime(2027, 6, 1, tzinfo=UTC))
    ends = [at(invoice["period_end"]).date().isoformat() for invoice in (await invoices(world))[1:]]
    assert ends == ["2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]
    births = [at(invoice["created"]).date().isoformat() for invoice in (await invoices(world))[1:]]
    assert births == ends


async def test_a_shared_clock_is_followed_by_a_tick(world: World) -> None:
    await world.subscribe()
    world.clock.travel_to(FIRST_END)
    assert len(await invoices(world)) == 1
    await world.control("tick")
    assert len(await invoices(world)) == 2


async def test_failed_charges_are_retried_and_a_new_card_heals_the_subscription(world: World) -> None:
    await world.subscribe(4500)
    customer = (await subscription(world))["customer"]
    await world.control(f"customers/{customer}/card", card="decline")
    await world.travel(FIRST_END)
    await world.travel(FIRST_END + timedelta(hours=1))
    failed_at = world.clock.now()
    assert (await subscription(world))["status"] == "past_due"
    attempts = {0: 1, 3: 2, 8: 3, 15: 4, 27: 4}
    for days, count in attempts.items():
        await world.travel(failed_at + timedelta(days=days))
        assert (await invoices(world))[1]["attempt_count"] == count
    assert (await invoices(world))[1]["next_payment_attempt"] is None
    assert world.inbox.types().count("invoice.payment_failed") == 4
    assert (await subscription(world))["status"] == "past_due"

    await world.control(f"customers/{customer}/card", card="success")
    await world.control("flush")
    assert (await invoices(world))[1]["status"] == "paid"
    assert (await subscription(world))["status"] == "active"
    assert world.inbox.types()[-3:] == ["invoice.paid", "invoice.payment_succeeded", "customer.subscription.updated"]


@pytest.mark.parametrize(
    ("after_retries", "status"), [("cancel", "canceled"), ("unpaid", "unpaid"), ("pause", "paused")]
)
async def test_after_the_last_retry_the_accounts_settings_decide(after_retries: str, status: str) -> None:
    async with new_world(after_retries=after_retries) as world:
        await world.subscribe(4500)
        customer = (await subscription(world))["customer"]
        await world.control(f"customers/{customer}/card", card="decline")
        for passed in (timedelta(), timedelta(hours=1), timedelta(days=16)):
            await world.travel(FIRST_END + passed)
        ended = await subscription(world)
        assert ended["status"] == status
        if status == "canceled":
            assert ended["cancellation_details"]["reason"] == "payment_failed"
            assert world.inbox.types()[-1] == "customer.subscription.deleted"
            assert (await invoices(world))[1]["auto_advance"] is False
        await world.travel(datetime(2027, 4, 2, tzinfo=UTC))
        following = (await invoices(world))[2:]
        assert [(i["status"], i["auto_advance"]) for i in following] == (
            [("draft", False)] if status == "unpaid" else []
        )


async def test_how_dunning_goes_can_be_set(world: World) -> None:
    await world.subscribe(4500)
    customer = (await subscription(world))["customer"]
    await world.control("dunning", retry_days=[1], after_retries="unpaid", gives_up_invoices=True)
    await world.control(f"customers/{customer}/card", card="decline")
    for passed in (timedelta(), timedelta(hours=1), timedelta(days=1, hours=1)):
        await world.travel(FIRST_END + passed)
    cycle = (await invoices(world))[1]
    assert (cycle["status"], cycle["attempt_count"]) == ("uncollectible", 2)
    assert cycle["status_details"] == {"uncollectible": {"reason": "max_payment_attempts"}}
    assert (await subscription(world))["status"] == "unpaid"


async def test_a_card_can_fail_some_times_and_then_work(world: World) -> None:
    await world.subscribe(4500)
    customer = (await subscription(world))["customer"]
    await world.control(f"customers/{customer}/card", card="success", declines=2)
    for passed in (timedelta(), timedelta(hours=1), timedelta(days=4), timedelta(days=9)):
        await world.travel(FIRST_END + passed)
    cycle = (await invoices(world))[1]
    assert (cycle["status"], cycle["attempt_count"]) == ("paid", 3)
    assert world.inbox.types().count("invoice.payment_failed") == 2


async def test_a_pause_makes_no_invoices_and_ends_where_it_was_made(world: World) -> None:
    made = await world.subscribe(4500)
    await world.control(f"subscriptions/{made['id']}/pause")
    await world.travel(datetime(2027, 3, 15, tzinfo=UTC))
    paused = await subscription(world)
    assert (paused["status"], len(await invoices(world))) == ("paused", 1)
    assert paused["status_details"]["paused"]["subscription"] == {"type": "pause_requested"}
    await world.control(f"subscriptions/{made['id']}/resume")
    await world.control("flush")
    resumed = await subscription(world)
    assert (resumed["status"], resumed["status_details"]) == ("active", None)
    assert at(resumed["items"]["data"][0]["current_period_end"]) > datetime(2027, 3, 15, tzinfo=UTC)
    assert world.inbox.types()[-2:] == ["customer.subscription.paused", "customer.subscription.resumed"]


async def test_a_pause_of_collection_keeps_drafts(world: World) -> None:
    made = await world.subscribe(4500)
    await world.post(f"/v1/subscriptions/{made['id']}", **{"pause_collection[behavior]": "keep_as_draft"})
    await world.travel(FIRST_END + timedelta(days=2))
    cycle, status = (await invoices(world))[1], (await subscription(world))["status"]
    assert (cycle["status"], cycle["auto_advance"], status) == ("draft", False, "active")
    await world.post(f"/v1/subscriptions/{made['id']}", pause_collection="")
    assert (await subscription(world))["pause_collection"] is None


@pytest.mark.parametrize("is_paid", [True, False])
async def test_a_first_payment_that_fails_has_23_hours(is_paid: bool) -> None:
    async with new_world(default_card="decline") as world:
        made = await world.subscribe(4500)
        assert made["status"] == "incomplete"
        if is_paid:
            await world.control(f"customers/{made['customer']}/card", card="success")
        await world.travel(START + timedelta(hours=23))
        status = (await subscription(world))["status"]
        assert status == ("active" if is_paid else "incomplete_expired")
        assert (await invoices(world))[0]["status"] == ("paid" if is_paid else "void")


async def test_a_subscription_can_end_with_its_cycle(world: World) -> None:
    made = await world.subscribe(4500)
    await world.post(f"/v1/subscriptions/{made['id']}", cancel_at_period_end="true")
    await world.travel(FIRST_END + timedelta(days=1))
    ended = await subscription(world)
    assert (ended["status"], at(ended["ended_at"])) == ("canceled", FIRST_END)
    assert len(await invoices(world)) == 1


async def test_canceling_stops_the_collection_of_open_invoices(world: World) -> None:
    made = await world.subscribe(4500)
    await world.control(f"customers/{made['customer']}/card", card="decline")
    await world.travel(FIRST_END)
    await world.travel(FIRST_END + timedelta(hours=1))
    await world.call("DELETE", f"/v1/subscriptions/{made['id']}")
    await world.travel(FIRST_END + timedelta(days=9))
    _, cycle = await invoices(world)
    assert (cycle["status"], cycle["auto_advance"], cycle["attempt_count"]) == ("open", False, 1)


@pytest.mark.parametrize(
    ("interval", "count", "end"),
    [
        ("day", 3, datetime(2027, 2, 3, 12, tzinfo=UTC)),
        ("week", 1, datetime(2027, 2, 7, 12, tzinfo=UTC)),
        ("month", 3, datetime(2027, 4, 30, 12, tzinfo=UTC)),
        ("year", 1, datetime(2028, 1, 31, 12, tzinfo=UTC)),
    ],
)
def test_cycles_of_every_interval(interval: str, count: int, end: datetime) -> None:
    start = int(START.timestamp())
    assert at(next_boundary(start, start, {"interval": interval, "interval_count": count})) == end
