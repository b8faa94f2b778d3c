"""Changes of a running subscription: each once, from its moment on, and what it costs."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from inkmeter import Event, SubscriptionCancelled, SubscriptionChanged, hookimpl
from plugins.manager import load_plugins
from tests.bookkeeping import used_units
from tests.services.steps import (
    INVITES,
    Customer,
    Json,
    event,
    fault,
    make_plan,
    price,
    problems,
    provision,
    quota,
    refused,
    sign_up,
)
from tests.services.terms import (
    FEE,
    SEATS,
    billed,
    cancel,
    change_plan,
    change_seats,
    plan_of,
    resume,
    shown,
    told,
    upcoming,
)
from tests.world import START, World, open_world

pytestmark = pytest.mark.anyio

APRIL, MAY, JUNE = (datetime(2026, month, 10, tzinfo=UTC) for month in (4, 5, 6))
HALF = datetime(2026, 4, 25, tzinfo=UTC)
"""The middle of the 30 days from 10 April."""


async def in_april(world: World, *prices: Json, seats: int = 2) -> Customer:
    """A subscription whose second period begins now, at midnight; the first is closed."""
    customer = await sign_up(world, *(prices or (SEATS,)), seats=seats)
    await world.travel_to(APRIL)
    await customer.close()
    return customer


async def closed(customer: Customer) -> Json:
    """The invoice of the period that is over."""
    made = await customer.close()
    assert made["userErrors"] == []
    return next(i for i in await billed(customer) if i["id"] == made["invoice"]["id"])


async def test_more_seats_now_are_charged_by_the_second(world: World) -> None:
    customer = await in_april(world)
    await world.travel_to(HALF)
    changed = await change_seats(customer, 4)
    assert changed["subscription"]["seats"] == 4
    assert [(p["startsAt"], p["seats"], p["reason"]) for p in changed["subscription"]["phases"]] == [
        ("2026-03-10T00:00:00Z", 2, "START"),
        ("2026-04-25T00:00:00Z", 4, "SEATS"),
    ]
    assert (await upcoming(customer))["total"]["amount"] == "90.00"
    await world.travel_to(MAY)
    assert told(await closed(customer)) == [
        ("FEE", "Per seat (15 of 30 days)", "30.00"),
        ("FEE", "Per seat (15 of 30 days)", "60.00"),
    ]
    await world.travel_to(JUNE)
    assert told(await closed(customer)) == [("FEE", "Per seat", "120.00")]


async def test_seats_at_the_periods_end_cost_nothing_before(world: World) -> None:
    customer = await in_april(world)
    await world.travel_to(HALF)
    planned = await change_seats(customer, 1, "PERIOD_END")
    assert planned["subscription"]["seats"] == 2
    assert [(p["startsAt"], p["seats"]) for p in planned["subscription"]["phases"]][-1] == ("2026-05-10T00:00:00Z", 1)
    await world.travel_to(MAY)
    assert told(await closed(customer)) == [("FEE", "Per seat", "60.00")]
    await world.travel_to(JUNE)
    assert told(await closed(customer)) == [("FEE", "Per seat", "30.00")]


async def test_the_same_key_changes_nothing_more(world: World) -> None:
    customer = await in_april(world)
    first = await change_seats(customer, 4, key="more")
    await world.travel_to(HALF)
    await change_seats(customer, 7, key="much more")
    again = await change_seats(customer, 4, key="more")
    assert again["userErrors"] == []
    assert again["subscription"]["seats"] == 7
    assert len(again["subscription"]["phases"]) == len(first["subscription"]["phases"]) + 1
    for other in (change_seats(customer, 5, key="more"), change_seats(customer, 4, "PERIOD_END", key="more")):
        error = refused(await other)
        assert (error["__typename"], error["path"]) == ("Conflict", ["idempotencyKey"])
    plan = await make_plan(world, INVITES, code="other")
    assert refused(await change_plan(customer, plan, key="more"))["__typename"] == "Conflict"


async def test_many_calls_with_one_key_are_one_change(world: World) -> None:
    customer = await in_april(world)
    answers = await asyncio.gather(*(change_seats(customer, 4, key="more") for _ in range(6)))
    assert {len(answer["userErrors"]) for answer in answers} == {0}
    assert {len(answer["subscription"]["phases"]) for answer in answers} == {2}


async def test_a_hard_quota_on_seats_holds(world: World) -> None:
    customer = await sign_up(world, SEATS, quotas=[quota("seats", "HARD", 5)], seats=5)
    assert problems(await change_seats(customer, 6)) == {"seats": "the plan allows 5"}
    assert problems(await change_seats(customer, 6, "PERIOD_END")) == {"seats": "the plan allows 5"}
    assert problems(await change_seats(customer, -1)) == {"seats": "0 to 1000000 seats"}
    assert problems(await change_seats(customer, 5, key=" ")).keys() == {"idempotencyKey"}
    small = await make_plan(world, SEATS, code="small", quotas=[quota("seats", "HARD", 3)])
    assert problems(await change_plan(customer, small)) == {"seats": "the plan allows 3"}
    await change_seats(customer, 3, "PERIOD_END")
    assert problems(await change_plan(customer, small)) == {"seats": "the plan allows 3"}, "five until then"
    assert (await change_plan(customer, small, "PERIOD_END"))["userErrors"] == []
    found = await shown(customer)
    assert found is not None
    assert [(p["seats"], p["plan"]["code"]) for p in found["phases"]] == [(5, "growth"), (3, "growth"), (3, "small")]


async def test_another_plan_now(world: World) -> None:
    """Fees of both in proportion; the usage of the whole period by the plan in force at its end."""
    customer = await in_april(world, FEE, seats=1)
    large = await make_plan(
        world,
        price("invites_sent", "tiered", fee="120.00", included=10, overage={"unitPrice": "1.00"}),
        code="large",
    )
    await customer.record(event("a", 8))
    await world.travel_to(HALF)
    changed = await change_plan(customer, large)
    assert changed["subscription"]["plan"]["code"] == "large"
    await customer.record(event("b", 4))
    await world.travel_to(MAY)
    assert told(await closed(customer)) == [
        ("FEE", "Fee (15 of 30 days)", "30.00"),
        ("FEE", "Fee (15 of 30 days)", "60.00"),
        ("USAGE", "Overage per invite", "2.00"),
    ]


async def test_another_plan_by_days_or_from_the_next_period(world: World) -> None:
    by_day, later = await in_april(world, FEE, seats=1), await sign_up(world, FEE, reference="bolt")
    large = await make_plan(world, price("invites_sent", "flat", fee="120.00"), code="large")
    await world.travel_to(HALF + timedelta(hours=13))
    assert (await change_plan(by_day, large, proration="DAY"))["userErrors"] == []
    assert (await change_plan(later, large, proration="NONE"))["userErrors"] == []
    await world.travel_to(MAY)
    assert told(await closed(by_day)) == [
        ("FEE", "Fee (15 of 30 days)", "30.00"),
        ("FEE", "Flat fee (15 of 30 days)", "60.00"),
    ]
    await world.travel_to(MAY + timedelta(days=15))
    # Signed up on the 10th of April, like the other's second period.
    assert told(await closed(later)) == [("FEE", "Fee", "60.00")]
    await world.travel_to(JUNE)
    assert told(await closed(later)) == [("FEE", "Flat fee", "120.00")]


async def test_plans_that_do_not_fit_are_refused_with_what_to_do(world: World) -> None:
    customer = await in_april(world)
    euros = await make_plan(world, INVITES, code="euros", currency="EUR")
    years = await make_plan(world, INVITES, code="years", interval="YEAR")
    for plan, words in ((euros, "pays in USD"), (years, "cancelSubscription at PERIOD_END, then subscribeTenant")):
        error = refused(await change_plan(customer, plan))
        assert (error["__typename"], error["path"]) == ("Conflict", ["planId"])
        assert words in error["message"]


async def test_the_latest_instruction_wins_from_its_moment_on(world: World) -> None:
    customer = await in_april(world, FEE)
    small, large = [await make_plan(world, FEE, code=code, name=code) for code in ("small", "large")]

    async def terms() -> list[tuple[str, int, str]]:
        found = await shown(customer)
        assert found is not None
        return [(p["startsAt"][5:10], p["seats"], p["plan"]["code"]) for p in found["phases"][1:]]

    await change_seats(customer, 3, "PERIOD_END")
    await change_plan(customer, small, "PERIOD_END")
    assert await terms() == [("05-10", 3, "growth"), ("05-10", 3, "small")]
    await change_seats(customer, 8)
    assert await terms() == [("04-10", 8, "growth"), ("05-10", 8, "small")], "the plan stays as it was planned"
    await change_plan(customer, large)
    assert await terms() == [("04-10", 8, "growth"), ("04-10", 8, "large")]


async def test_what_is_planned_can_be_withdrawn(world: World) -> None:
    customer = await in_april(world)
    assert (await resume(customer))["userErrors"] == [], "nothing is planned, nothing happens"
    await change_seats(customer, 9, "PERIOD_END", key="nine")
    ending = await cancel(customer, "PERIOD_END")
    assert ending["subscription"]["endsAt"] == "2026-05-10T00:00:00Z"
    resumed = await resume(customer)
    assert resumed["subscription"]["endsAt"] is None
    assert [p["seats"] for p in resumed["subscription"]["phases"]] == [2]
    assert await resume(customer) == resumed
    assert refused(await change_seats(customer, 8, "PERIOD_END", key="nine"))["__typename"] == "Conflict"
    await world.travel_to(MAY + timedelta(hours=1))
    await world.work()
    assert told((await billed(customer))[-1]) == [("FEE", "Per seat", "60.00")]
    assert await customer.usage() == {}


async def test_a_change_needs_a_running_subscription(world: World) -> None:
    nobody = await provision(world, "nobody")
    plan = await make_plan(world, SEATS)
    for answer in (
        await change_seats(nobody, 2),
        await change_plan(nobody, plan),
        await cancel(nobody),
        await resume(nobody),
    ):
        assert refused(answer)["__typename"] == "SubscriptionInactive"
    customer = await in_april(world)
    await world.travel_to(HALF)
    await cancel(customer)
    assert refused(await change_seats(customer, 3))["__typename"] == "SubscriptionInactive"
    assert refused(await change_plan(customer, plan))["__typename"] == "SubscriptionInactive"
    assert refused(await resume(customer))["__typename"] == "Conflict"


async def test_cancelled_now_is_billed_to_this_instant(world: World) -> None:
    customer = await in_april(world, FEE, seats=1)
    await customer.record(event("a", 5))
    await world.travel_to(HALF)
    gone = await cancel(customer)
    assert gone["subscription"]["endsAt"] == "2026-04-25T00:00:00Z"
    assert await cancel(customer) == gone
    assert await cancel(customer, "PERIOD_END") == gone
    assert refused(await customer.upload())["__typename"] == "SubscriptionInactive"
    [late, after] = await customer.record(
        event("late", 1, occurred_at="2026-04-24T00:00:00Z"), event("after", 1, occurred_at="2026-04-25T00:00:00Z")
    )
    assert (late["status"], after["userError"]["__typename"]) == ("RECORDED", "SubscriptionInactive")
    await world.travel_to(HALF + timedelta(hours=1))
    await world.work()
    last = (await billed(customer))[-1]
    assert (last["period"]["end"], last["state"]) == ("2026-04-25T00:00:00Z", "PAID")
    assert told(last) == [("FEE", "Fee (15 of 30 days)", "30.00"), ("USAGE", "Overage per invite", "16.00")]
    assert await shown(customer) is None
    assert (await customer.close())["invoice"]["id"] == last["id"]


@pytest.mark.parametrize(
    ("proration", "fee"), [("SECOND", "31.00"), ("DAY", "32.00"), ("NONE", "60.00")], ids=["second", "day", "none"]
)
async def test_a_cancellation_is_charged_as_it_says(world: World, proration: str, fee: str) -> None:
    customer = await in_april(world, FEE, seats=1)
    await world.travel_to(HALF + timedelta(hours=12))
    await cancel(customer, proration=proration)
    await world.travel_to(MAY)
    assert (await closed(customer))["total"]["amount"] == fee


async def test_the_end_of_a_period_is_the_end(world: World) -> None:
    customer = await in_april(world, FEE, seats=1)
    ending = await cancel(customer, "PERIOD_END")
    assert await cancel(customer, "PERIOD_END") == ending
    await world.travel_to(MAY - timedelta(seconds=1))
    assert (await customer.record(event("last", 1)))[0]["status"] == "RECORDED"
    await world.travel_to(MAY)
    assert refused(await customer.upload())["__typename"] == "SubscriptionInactive"
    await world.travel_to(MAY + timedelta(hours=1))
    await world.work()
    assert [told(i) for i in await billed(customer)][-1] == [("FEE", "Fee", "60.00")]
    assert await shown(customer) is None
    await world.travel_to(JUNE + timedelta(days=9))
    await world.work()
    assert len(await billed(customer)) == 2


async def test_usage_ahead_of_the_clock_moves_the_end(world: World) -> None:
    """Clocks differ by minutes: what was counted ahead is billed, and nothing comes after it."""
    customer = await in_april(world, FEE, seats=1)
    await world.travel_to(HALF)
    await customer.record(event("ahead", 3, occurred_at="2026-04-25T00:02:00Z"))
    gone = await cancel(customer)
    assert gone["subscription"]["endsAt"] == "2026-04-25T00:02:00.000001Z"
    await world.travel_to(MAY)
    assert told(await closed(customer))[-1] == ("USAGE", "Overage per invite", "4.00")


async def test_usage_ahead_of_the_period_ends_in_a_stub(world: World) -> None:
    customer = await in_april(world, FEE, seats=1)
    await world.travel_to(MAY - timedelta(minutes=2))
    await customer.record(event("ahead", 3, occurred_at="2026-05-10T00:02:00Z"))
    ending = await cancel(customer, "PERIOD_END")
    assert ending["subscription"]["endsAt"] == "2026-05-10T00:02:00.000001Z"
    resumed = await resume(customer)
    assert resumed["subscription"]["endsAt"] is None
    assert await cancel(customer, "PERIOD_END") == ending
    await world.travel_to(MAY + timedelta(hours=2))
    await world.work()
    assert [told(i) for i in await billed(customer)][1:] == [
        [("FEE", "Fee", "60.00")],
        [("USAGE", "Overage per invite", "4.00")],
    ]


async def test_a_tenant_may_come_back(world: World) -> None:
    customer = await in_april(world, FEE, seats=1)
    await world.travel_to(HALF)
    await cancel(customer)
    plan = await plan_of(world, FEE, code="back")
    back = await customer.subscribe(plan)
    assert back["userErrors"] == [], "at once, before the old one is closed"
    assert back["subscription"]["anchorOn"] == "2026-04-25"
    assert back["subscription"]["isMirrored"]
    await customer.record(event("new", 3), event("old", 4, occurred_at="2026-04-20T00:00:00Z"))
    await world.travel_to(HALF + timedelta(hours=1))
    await world.work()
    await world.travel_to(datetime(2026, 5, 25, 1, tzinfo=UTC))
    await world.work()
    assert [(told(i), i["period"]["start"][:10], i["state"]) for i in (await billed(customer))[1:]] == [
        ([("FEE", "Fee (15 of 30 days)", "30.00"), ("USAGE", "Overage per invite", "8.00")], "2026-04-10", "PAID"),
        ([("FEE", "Fee", "60.00"), ("USAGE", "Overage per invite", "4.00")], "2026-04-25", "PAID"),
    ]


async def test_late_usage_of_a_subscription_that_ended_is_billed_by_the_next(world: World) -> None:
    customer = await in_april(world, FEE, seats=1)
    await world.travel_to(HALF)
    await cancel(customer)
    await closed(customer)
    await world.travel_to(HALF + timedelta(days=3))
    await customer.subscribe(await plan_of(world, INVITES, code="back"))
    [late, gap] = await customer.record(
        event("late", 3, occurred_at="2026-04-20T00:00:00Z"), event("gap", 1, occurred_at="2026-04-26T00:00:00Z")
    )
    assert (late["status"], gap["userError"]["__typename"]) == ("RECORDED", "SubscriptionInactive")
    await world.travel_to(datetime(2026, 5, 28, tzinfo=UTC))
    assert told(await closed(customer)) == [
        ("ADJUSTMENT", "Adjustment of 2026-04-10 to 2026-04-25: late invites_sent", "4.00")
    ]


async def test_coming_and_going_within_a_day(world: World) -> None:
    """Periods never overlap, and each instant is billed once."""
    plan = await plan_of(world, FEE)
    customer = await provision(world)
    for hour in range(1, 5):
        assert (await customer.subscribe(plan))["userErrors"] == [], hour
        await world.travel_to(START + timedelta(hours=hour))
        await cancel(customer)
    await world.travel_to(START + timedelta(days=1))
    await world.work()
    spans = [(i["period"]["start"], i["period"]["end"]) for i in await billed(customer)]
    assert spans == [
        ("2026-03-10T00:00:00Z", "2026-03-10T10:00:00Z"),
        ("2026-03-10T10:00:00Z", "2026-03-10T11:00:00Z"),
        ("2026-03-10T11:00:00Z", "2026-03-10T12:00:00Z"),
        ("2026-03-10T12:00:00Z", "2026-03-10T13:00:00Z"),
    ]
    amounts = [i["total"]["amount"] for i in await billed(customer)]
    assert amounts == ["0.81", "0.08", "0.08", "0.08"], "10 h, 1 h, 1 h and 1 h of 31 days"


async def test_operations_without_an_answer_hold_the_last_close(world: World) -> None:
    customer = await in_april(world)
    document = await customer.document()
    await fault(world.signnow, "timeout_after", 9, on="/document")
    assert refused(await customer.invite(document))["__typename"] == "OutcomeUnknown"
    await cancel(customer)
    await world.travel_to(APRIL + timedelta(minutes=1))
    assert refused(await customer.close())["__typename"] == "Conflict"
    await world.travel_to(APRIL + timedelta(hours=1))
    await world.work()
    await world.travel_to(APRIL + timedelta(hours=1, minutes=6))
    await world.work()
    assert [i["state"] for i in await billed(customer)] == ["PAID", "PAID"]
    assert await shown(customer) is None


async def test_usage_and_changes_at_once(world: World) -> None:
    """Whatever comes first: what was recorded is in a period that bills it, and the rest was refused."""
    customer = await in_april(world, FEE, seats=1)
    await world.travel_to(HALF)

    async def record(number: int) -> str:
        answer = await customer.api.do(
            "recordUsage",
            "results { status }",
            tenantId=customer.id,
            events=[event(f"e-{number}", 1, occurred_at="2026-04-25T00:01:00Z")],
        )
        return answer["results"][0]["status"] if answer["results"] else "REFUSED"

    calls = [record(number) for number in range(30)]
    ends = [cancel(customer), cancel(customer), cancel(customer, "PERIOD_END"), change_seats(customer, 3, key="three")]
    answers, ended = await asyncio.gather(asyncio.gather(*calls), asyncio.gather(*ends))
    assert {len(answer["userErrors"]) for answer in ended[:3]} == {0}
    await world.travel_to(MAY)
    bill = await closed(customer)
    assert bill["period"]["end"] in ("2026-04-25T00:00:00Z", "2026-04-25T00:01:00.000001Z")
    recorded = answers.count("RECORDED")
    assert sum((await used_units(customer.tenant)).values()) == recorded
    assert ("USAGE", "Overage per invite", f"{4 * (recorded - 2)}.00") in told(bill) or recorded <= 2


class Told:
    """Keeps what plugins are told of a subscription."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @hookimpl
    def on_event(self, event: Event) -> None:
        if isinstance(event, SubscriptionChanged | SubscriptionCancelled):
            self.events.append(event)


async def test_plugins_are_told_once(database_url: str) -> None:
    listening = Told()
    async with open_world(database_url) as world:
        object.__setattr__(world.platform, "plugins", load_plugins(extra=[listening]))
        customer = await in_april(world)
        who, now = str(customer.tenant.public_id), APRIL
        for _ in range(2):
            await change_seats(customer, 5, "PERIOD_END", key="five")
            await cancel(customer, "PERIOD_END")
        for _ in range(2):
            await resume(customer)
        assert listening.events == [
            SubscriptionChanged(who, now, "growth", 1, 5, MAY),
            SubscriptionCancelled(who, now, MAY),
            SubscriptionChanged(who, now, "growth", 1, 2, now),
        ]
