"""Subscriptions: one per tenant, one at Stripe, whatever is repeated and whatever fails."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.services.steps import (
    INVITES,
    Customer,
    Json,
    do,
    fault,
    global_id,
    make_plan,
    problems,
    provision,
    refused,
    sign_up,
    stripe_books,
)
from tests.world import START, World

pytestmark = pytest.mark.anyio


async def period(customer: Customer) -> tuple[str, str]:
    query = "query ($id: ID) { usage(tenantId: $id) { period { start end } } }"
    shown = (await customer.api.ask(query, id=customer.id))["usage"]["period"]
    return shown["start"], shown["end"]


async def subscriptions_at_stripe(world: World) -> list[Json]:
    return list((await stripe_books(world))["subscription"])


async def test_repeating_answers_the_same_subscription(world: World) -> None:
    customer, plan = await provision(world), await make_plan(world, INVITES)
    terms = {"seats": 3, "zone": "Europe/Berlin", "anchorOn": "2026-03-01"}
    first = await customer.subscribe(plan, **terms)
    shown = first["subscription"]
    assert (shown["plan"]["id"], shown["seats"], shown["zone"]) == (plan, 3, "Europe/Berlin")
    assert (shown["anchorOn"], shown["isMirrored"]) == ("2026-03-01", True)
    world.clock.travel_to(START + timedelta(days=2))
    assert await customer.subscribe(plan, **terms) == first
    assert await customer.subscribe(plan, seats=3, zone="Europe/Berlin") == first, "no anchor is no other anchor"
    assert len(await subscriptions_at_stripe(world)) == 1


async def test_other_terms_are_a_conflict(world: World) -> None:
    customer, plan = await provision(world), await make_plan(world, INVITES)
    other_plan = await make_plan(world, INVITES, code="other")
    await customer.subscribe(plan)
    for other in ({"seats": 2}, {"zone": "Europe/Berlin"}, {"anchorOn": "2026-03-09"}):
        assert refused(await customer.subscribe(plan, **other))["__typename"] == "Conflict", other
    assert refused(await customer.subscribe(other_plan))["path"] == ["tenantId"]
    assert len(await subscriptions_at_stripe(world)) == 1


async def test_what_cannot_be_is_named(world: World) -> None:
    customer, plan = await provision(world), await make_plan(world, INVITES)
    for wrong, path in (
        ({"seats": -1}, "seats"),
        ({"seats": 1_000_001}, "seats"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"zone": ""}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"zone": "/etc/localtime"}, "zone"),
        ({"zone": "Europe"}, "zone"),
        ({"zone": "x" * 5000}, "zone"),
        ({"zone": "größe\U0001f600"}, "zone"),
        ({"anchorOn": "2026-03-11"}, "anchorOn"),
        ({"anchorOn": "1999-12-31"}, "anchorOn"),
    ):
        assert list(problems(await customer.subscribe(plan, **wrong))) == [path], wrong
    several = problems(await customer.subscribe(plan, seats=-1, zone="x", anchorOn="2030-01-01"))
    assert list(several) == ["seats", "zone", "anchorOn"]
    assert await subscriptions_at_stripe(world) == []


async def test_today_is_a_day_of_the_zone(world: World) -> None:
    """At 09:00 UTC on 10 March it is the 10th in Kiritimati's last hour but the 9th nowhere east of Alaska."""
    world.clock.travel_to(datetime(2026, 3, 10, 11, tzinfo=UTC))
    east, west = await provision(world, "east"), await provision(world, "west")
    plan = await make_plan(world, INVITES)
    ahead = await east.subscribe(plan, zone="Pacific/Kiritimati", anchorOn="2026-03-11")
    assert ahead["subscription"]["anchorOn"] == "2026-03-11"
    assert list(problems(await west.subscribe(plan, zone="Pacific/Pago_Pago", anchorOn="2026-03-11"))) == ["anchorOn"]
    behind = await west.subscribe(plan, zone="Pacific/Pago_Pago")
    assert behind["subscription"]["anchorOn"] == "2026-03-10"


async def test_periods_are_cut_at_local_midnights_and_remember_the_anchor(world: World) -> None:
    world.clock.travel_to(datetime(2026, 1, 31, 12, tzinfo=UTC))
    customer = await sign_up(world, INVITES, zone="Europe/Berlin")
    assert await period(customer) == ("2026-01-30T23:00:00Z", "2026-02-27T23:00:00Z")
    world.clock.travel_to(datetime(2026, 2, 27, 23, tzinfo=UTC))
    assert await period(customer) == ("2026-02-27T23:00:00Z", "2026-03-30T22:00:00Z")
    world.clock.travel_to(datetime(2026, 3, 30, 22, tzinfo=UTC))
    assert await period(customer) == ("2026-03-30T22:00:00Z", "2026-04-29T22:00:00Z")


async def test_an_anchor_in_the_past_counts_from_there(world: World) -> None:
    customer = await sign_up(world, INVITES, anchorOn="2025-05-17")
    assert await period(customer) == ("2026-02-17T00:00:00Z", "2026-03-17T00:00:00Z")
    [mirrored] = await subscriptions_at_stripe(world)
    assert mirrored["billing_cycle_anchor"] == int(datetime(2026, 3, 17, tzinfo=UTC).timestamp())


async def test_a_year(world: World) -> None:
    customer, plan = await provision(world), await make_plan(world, INVITES, interval="YEAR")
    assert (await customer.subscribe(plan, anchorOn="2024-02-29"))["userErrors"] == []
    assert await period(customer) == ("2026-02-28T00:00:00Z", "2027-02-28T00:00:00Z")
    world.clock.travel_to(datetime(2028, 2, 29, tzinfo=UTC))
    assert (await period(customer))[0] == "2028-02-29T00:00:00Z"


async def test_the_currencies_must_agree(world: World) -> None:
    customer, plan = await provision(world, currency="EUR"), await make_plan(world, INVITES)
    assert refused(await customer.subscribe(plan))["path"] == ["planId"]


async def test_unknown_ids_are_not_found(world: World) -> None:
    customer, plan = await provision(world), await make_plan(world, INVITES)
    nobody = global_id("Tenant", "01940000-0000-7000-8000-000000000000")
    for tenant_id, plan_id, path in (
        (customer.id, global_id("Plan", "01940000-0000-7000-8000-000000000000"), ["planId"]),
        (customer.id, customer.id, ["planId"]),
        (nobody, plan, ["tenantId"]),
        (plan, plan, ["tenantId"]),
    ):
        selection = "subscription { id }"
        answer = await do(world.operator, "subscribeTenant", selection, tenantId=tenant_id, planId=plan_id)
        error = refused(answer)
        assert (error["__typename"], error["path"]) == ("NotFound", path)


async def test_the_mirror_is_made_once_whatever_fails(world: World) -> None:
    plans = {code: await make_plan(world, INVITES, code=code) for code in "abcdefghi"}
    for number, (kind, times, on) in enumerate(
        [
            ("500", 3, "/v1/products"),
            ("timeout_after", 3, "/v1/products"),
            ("timeout_after", 3, "/v1/prices"),
            ("500_remembered", 3, "/v1/prices"),
            ("500", 3, "/v1/subscriptions"),
            ("500_remembered", 3, "/v1/subscriptions"),
            ("429", 1, "/v1/subscriptions"),
            ("timeout_before", 3, "/v1/subscriptions"),
            ("timeout_after", 3, "/v1/subscriptions"),
        ]
    ):
        case = f"{kind} {times} {on}"
        customer = await provision(world, f"tenant-{number}")
        plan = plans["abcdefghi"[number]]
        await fault(world.stripe, kind, times, on=on)
        assert (await customer.subscribe(plan))["userErrors"] == [], case
        world.clock.travel_to(world.clock.now() + timedelta(minutes=2))
        await world.work()
        assert (await customer.subscribe(plan))["subscription"]["isMirrored"], case
        books = await stripe_books(world)
        assert {kind: len(books[kind]) for kind in ("product", "price", "subscription")} == dict.fromkeys(
            ("product", "price", "subscription"), number + 1
        ), case


async def test_stripe_forgets_its_keys_and_still_there_is_one_subscription(world: World) -> None:
    customer, plan = await provision(world), await make_plan(world, INVITES)
    await fault(world.stripe, "timeout_after", 3, on="/v1/subscriptions")
    assert not (await customer.subscribe(plan))["subscription"]["isMirrored"]
    world.clock.travel_to(START + timedelta(days=3))
    assert (await customer.subscribe(plan))["subscription"]["isMirrored"]
    assert len(await subscriptions_at_stripe(world)) == 1


async def test_many_calls_at_once_make_one_subscription(world: World) -> None:
    customer, plan = await provision(world), await make_plan(world, INVITES)
    made = await asyncio.gather(*(customer.subscribe(plan) for _ in range(8)))
    assert len({answer["subscription"]["id"] for answer in made}) == 1
    assert len(await subscriptions_at_stripe(world)) == 1


async def test_two_plans_at_once_are_one_subscription_and_a_conflict(world: World) -> None:
    customer = await provision(world)
    plans = [await make_plan(world, INVITES, code=code) for code in ("a", "b")]
    made = await asyncio.gather(*(customer.subscribe(plan) for plan in plans))
    assert sorted(len(answer["userErrors"]) for answer in made) == [0, 1]
    assert len(await subscriptions_at_stripe(world)) == 1
