"""A preview of a change is the change, without its effect."""

from datetime import UTC, datetime

import pytest

from tests.services.steps import INVITES, Customer, event, make_plan, provision, quota, sign_up
from tests.services.terms import (
    FEE,
    SEATS,
    change_plan,
    change_seats,
    discount,
    plan_of,
    preview,
    shown,
    told,
    upcoming,
)
from tests.world import World

pytestmark = pytest.mark.anyio

APRIL, MAY, JUNE = (datetime(2026, month, 10, tzinfo=UTC) for month in (4, 5, 6))
HALF = datetime(2026, 4, 25, tzinfo=UTC)


async def halfway(world: World, seats: int = 2) -> Customer:
    """In the middle of the second period, with usage, a discount and a plan of seats and documents."""
    customer = await sign_up(world, SEATS, FEE, seats=seats)
    await world.travel_to(APRIL)
    await customer.close()
    await discount(customer, percent="10")
    await world.travel_to(HALF)
    await customer.record(event("five", 5))
    return customer


@pytest.mark.parametrize("at", ["NOW", "PERIOD_END"])
@pytest.mark.parametrize("seats", [1, 5])
async def test_seats(world: World, at: str, seats: int) -> None:
    customer = await halfway(world)
    before, terms = await upcoming(customer), await shown(customer)
    asked = await preview(customer, at, seats=seats)
    assert (await upcoming(customer), await shown(customer)) == (before, terms), "nothing is kept"
    assert asked["unchanged"] == before
    await change_seats(customer, seats, at)
    assert asked["changed"] == await upcoming(customer)
    assert asked["takesEffectAt"] == ("2026-04-25T00:00:00Z" if at == "NOW" else "2026-05-10T00:00:00Z")
    assert asked["nextFees"]["amount"] == {1: "81.00", 5: "189.00"}[seats], "seats and fee, less a tenth"
    assert (
        asked["difference"]["amount"]
        == {
            ("NOW", 1): "-13.50",
            ("NOW", 5): "40.50",
            ("PERIOD_END", 1): "0.00",
            ("PERIOD_END", 5): "0.00",
        }[at, seats]
    )


@pytest.mark.parametrize("proration", ["SECOND", "DAY", "NONE"])
@pytest.mark.parametrize("fees", ["ARREARS", "ADVANCE"])
async def test_a_plan(world: World, proration: str, fees: str) -> None:
    customer = await halfway(world)
    dearer = {**FEE, "config": {"fee": "100.00", "included": 4, "overage": {"unitPrice": "1.00"}}}
    plan = await plan_of(world, SEATS, dearer, fees=fees, code="dearer")
    before = await upcoming(customer)
    asked = await preview(customer, plan=plan, proration=proration)
    assert await upcoming(customer) == before
    await change_plan(customer, plan, proration=proration)
    assert asked["changed"] == await upcoming(customer)
    assert told(asked["changed"]) != told(asked["unchanged"])
    await world.travel_to(MAY)
    await customer.close()
    await world.travel_to(JUNE)
    if fees == "ARREARS":
        assert asked["nextFees"] == (await upcoming_of_closed(customer))


async def upcoming_of_closed(customer: Customer) -> object:
    """The total of the period that is over, which had fees alone."""
    made = await customer.close()
    return {"amount": made["invoice"]["total"]["amount"]}


async def test_what_cannot_be_done_is_refused_in_the_preview(world: World) -> None:
    customer = await halfway(world)
    small = await make_plan(world, SEATS, code="small", quotas=[quota("seats", "HARD", 1)])
    euros = await make_plan(world, INVITES, code="euros", currency="EUR")
    for change, code in (
        ({}, "INVALID_INPUT"),
        ({"seats": 3, "plan": small}, "INVALID_INPUT"),
        ({"seats": -1}, "INVALID_INPUT"),
        ({"plan": small}, "INVALID_INPUT"),
        ({"plan": euros}, "CONFLICT"),
        ({"plan": customer.id}, "NOT_FOUND"),
    ):
        answer = await customer.api.post(
            """query ($tenant: ID, $seats: Int, $plan: ID) {
                previewChange(tenantId: $tenant, at: NOW, seats: $seats, planId: $plan) { takesEffectAt } }""",
            tenant=customer.id,
            **change,
        )
        assert [error["extensions"]["code"] for error in answer["errors"]] == [code], change


async def test_without_a_subscription_there_is_nothing_to_preview(world: World) -> None:
    tenant = (await provision(world, "new")).id
    answer = await world.operator.post(
        "query ($id: ID) { previewChange(tenantId: $id, at: NOW, seats: 2) { takesEffectAt } }", id=tenant
    )
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["SUBSCRIPTION_INACTIVE"]
