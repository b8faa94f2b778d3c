"""Pausing a subscription: nothing new begins and no fee is due; what still happens is counted and billed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.services.credit_steps import left
from tests.services.order_steps import act, open_checkout
from tests.services.steps import Customer, Json, do, event, make_plan, price, problems, quota, refused, sign_up
from tests.services.terms import (
    FEE,
    SEATS,
    SUBSCRIPTION,
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
from tests.world import World

pytestmark = pytest.mark.anyio

APRIL, MAY, JUNE, JULY = (datetime(2026, month, 10, tzinfo=UTC) for month in (4, 5, 6, 7))
HALF = datetime(2026, 4, 25, tzinfo=UTC)
"""The middle of the 30 days from 10 April."""


async def pause(customer: Customer, at: str = "NOW", key: str = "pause", **more: Any) -> Json:
    return await do(
        customer.api, "pauseSubscription", SUBSCRIPTION, tenantId=customer.id, at=at, idempotencyKey=key, **more
    )


async def halfway(world: World) -> Customer:
    """In the middle of the second period, with two documents used of those included."""
    customer = await sign_up(world, FEE)
    await world.travel_to(APRIL)
    await customer.close()
    await world.travel_to(HALF)
    await customer.record(event("two", 2))
    return customer


async def closed_at(customer: Customer, moment: datetime) -> list[tuple[str, str, str]]:
    """The lines of the period that is over then."""
    await customer.world.travel_to(moment)
    made = await customer.close()
    assert made["userErrors"] == []
    return told(next(i for i in await billed(customer) if i["id"] == made["invoice"]["id"]))


async def test_a_pause_stops_fees_and_new_operations(world: World) -> None:
    customer = await halfway(world)
    document = await customer.document()
    paused = await pause(customer)
    assert [(p["startsAt"], p["reason"]) for p in paused["subscription"]["phases"]][-1] == (
        "2026-04-25T00:00:00Z",
        "PAUSE",
    )
    assert refused(await customer.upload("more"))["__typename"] == "SubscriptionInactive"
    assert refused(await customer.invite(document))["__typename"] == "SubscriptionInactive"
    asked = await customer.api.ask(
        """query ($id: ID) { checkQuota(tenantId: $id, meter: "invites_sent") { isAllowed refusal { code } } }""",
        id=customer.id,
    )
    assert asked["checkQuota"] == {"isAllowed": False, "refusal": {"code": "SUBSCRIPTION_INACTIVE"}}
    assert await closed_at(customer, MAY) == [("FEE", "Fee (15 of 30 days)", "30.00")]
    assert await closed_at(customer, JUNE) == []
    await resume(customer)
    assert (await customer.upload("more"))["userErrors"] == []
    assert await closed_at(customer, JULY) == [("FEE", "Fee", "60.00")]


async def test_what_still_happens_is_billed(world: World) -> None:
    customer = await halfway(world)
    await pause(customer)
    await world.travel_to(HALF + timedelta(days=1))
    await customer.record(event("a signature", 3))
    assert await closed_at(customer, MAY) == [
        ("FEE", "Fee (15 of 30 days)", "30.00"),
        ("USAGE", "Overage per invite", "12.00"),
    ]
    await customer.record(event("another", 3))
    assert await closed_at(customer, JUNE) == [("USAGE", "Overage per invite", "4.00")]


async def test_it_ends_by_itself(world: World) -> None:
    customer = await halfway(world)
    paused = await pause(customer, resumesAt="2026-05-25T00:00:00Z")
    assert [(p["startsAt"], p["reason"]) for p in paused["subscription"]["phases"]][-2:] == [
        ("2026-04-25T00:00:00Z", "PAUSE"),
        ("2026-05-25T00:00:00Z", "RESUME"),
    ]
    assert (await pause(customer, resumesAt="2026-05-25T00:00:00Z"))["subscription"] == paused["subscription"]
    for other in ({}, {"resumesAt": "2026-05-26T00:00:00Z"}, {"proration": "DAY"}):
        error = refused(await pause(customer, **other))
        assert (error["__typename"], error["path"]) == ("Conflict", ["idempotencyKey"]), other
    assert await closed_at(customer, MAY) == [("FEE", "Fee (15 of 30 days)", "30.00")]
    await world.travel_to(datetime(2026, 5, 25, 1, tzinfo=UTC))
    assert (await customer.upload())["userErrors"] == []
    assert await closed_at(customer, JUNE) == [("FEE", "Fee (16 of 31 days)", "30.97")]


async def test_at_the_periods_end_and_withdrawn(world: World) -> None:
    customer = await halfway(world)
    await pause(customer, "PERIOD_END")
    assert (await customer.upload())["userErrors"] == []
    await resume(customer)
    found = await shown(customer)
    assert found is not None
    assert [p["reason"] for p in found["phases"]] == ["START"]
    await pause(customer, "PERIOD_END", "again")
    assert await closed_at(customer, MAY) == [("FEE", "Fee", "60.00")]
    assert refused(await customer.upload("x"))["__typename"] == "SubscriptionInactive"
    assert await closed_at(customer, JUNE) == []


async def test_fees_in_advance_are_given_back_and_not_billed_ahead(world: World) -> None:
    customer = await sign_up(world, FEE)
    plan = await plan_of(world, FEE, fees="ADVANCE", code="ahead")
    await change_plan(customer, plan, "PERIOD_END")
    assert await closed_at(customer, APRIL) == [("FEE", "Fee", "60.00"), ("FEE", "Fee", "60.00")]
    await world.travel_to(HALF)
    await pause(customer)
    lines = await closed_at(customer, MAY)
    assert [(kind, amount) for kind, _, amount in lines] == [("ADJUSTMENT", "-30.00")]
    assert await closed_at(customer, JUNE) == []


async def test_changes_while_it_is_paused_wait_with_it(world: World) -> None:
    customer = await halfway(world)
    await pause(customer, resumesAt="2026-06-10T00:00:00Z")
    dearer = await make_plan(
        world,
        {**FEE, "config": {"fee": "90.00", "included": 2, "overage": {"unitPrice": "1.00"}}},
        SEATS,
        code="dearer",
    )
    await world.travel_to(HALF + timedelta(days=5))
    await change_plan(customer, dearer)
    await change_seats(customer, 2)
    assert refused(await customer.upload())["__typename"] == "SubscriptionInactive"
    assert (await upcoming(customer))["total"]["amount"] == "30.00"
    assert await closed_at(customer, MAY) == [("FEE", "Fee (15 of 30 days)", "30.00")]
    assert await closed_at(customer, JUNE) == []
    assert await closed_at(customer, JULY) == [("FEE", "Fee", "90.00"), ("FEE", "Per seat", "60.00")]


async def test_the_end_of_a_paused_subscription(world: World) -> None:
    customer = await halfway(world)
    await pause(customer)
    await world.travel_to(HALF + timedelta(days=5))
    assert (await cancel(customer, proration="NONE"))["userErrors"] == []
    assert await closed_at(customer, MAY) == [("FEE", "Fee (15 of 30 days)", "30.00")]
    assert refused(await pause(customer, key="after"))["__typename"] == "SubscriptionInactive"


async def test_bad_input(world: World) -> None:
    customer = await halfway(world)
    assert problems(await pause(customer, resumesAt="2026-04-25T00:00:00Z")).keys() == {"resumesAt"}
    assert problems(await pause(customer, "PERIOD_END", resumesAt="2026-05-10T00:00:00Z")).keys() == {"resumesAt"}
    assert problems(await pause(customer, key=" ")).keys() == {"idempotencyKey"}
    found = await shown(customer)
    assert found is not None
    assert len(found["phases"]) == 1


async def test_nothing_is_bought_while_paused(world: World) -> None:
    pack = {"units": 5, "price": "4.50"}
    quotas = [{**quota("documents_created", "TOP_UP", 2), "topUpPacks": [pack]}]
    customer = await sign_up(world, price("documents_created", "per-document", unitPrice="1.00"), quotas=quotas)

    async def buy(key: str) -> Json:
        asked = {"tenantId": customer.id, "meter": "documents_created", "units": 5, "idempotencyKey": key}
        return await do(customer.api, "topUp", "grant { id }", **asked)

    bought = await buy("before")
    assert bought["userErrors"] == []
    page = await open_checkout(customer, 5, "page")
    await pause(customer)
    for refused_one in (await buy("during"), await open_checkout(customer, 5, "another")):
        error = refused(refused_one)
        assert (error["__typename"], "resumeSubscription" in error["message"]) == ("SubscriptionInactive", True)
    assert await buy("before") == bought, "a repeat is answered as before"
    await act(world, page["checkout"])
    await world.work()
    assert await left(customer, "documents_created") == 10, "what was paid is granted"
    await resume(customer)
    assert (await buy("during"))["userErrors"] == []
