"""Several parts of an order's money that go back: whatever the order in which they are heard of, and undone."""

import pytest

from tests.services.credit_steps import left
from tests.services.order_steps import call_stripe, charge_of, dispute, order, paid_order
from tests.services.steps import Customer, Json
from tests.world import World

pytestmark = pytest.mark.anyio
METER = "documents_created"


async def shares(customer: Customer, made: Json) -> list[tuple[str, str, bool]]:
    gone = (await order(customer, made["id"]))["reversals"]
    return [(one["units"], one["taken"], one["isStanding"]) for one in gone]


@pytest.mark.parametrize("decided", ["won", "lost"])
async def test_a_refund_that_is_heard_of_after_a_dispute_of_the_whole(world: World, decided: str) -> None:
    customer, made, intent = await paid_order(world)
    charge = await charge_of(world, intent)
    await dispute(world, charge)
    await world.work()
    await call_stripe(world, "/v1/refunds", payment_intent=intent, amount=300)
    await world.work()
    assert await shares(customer, made) == [("10", "10", True), ("0", "0", True)]
    await dispute(world, charge, decided)
    await world.work()
    assert await left(customer, METER) == (6 if decided == "won" else 0)
    if decided == "won":
        assert await shares(customer, made) == [("10", "10", False), ("4", "4", True)]


async def test_the_refund_that_was_rounded_up_for_both_fails(world: World) -> None:
    customer, made, intent = await paid_order(world)
    parts = []
    for amount in (100, 100):
        parts.append(await call_stripe(world, "/v1/refunds", payment_intent=intent, amount=amount))
        await world.work()
    assert await shares(customer, made) == [("2", "2", True), ("1", "1", True)]
    (await world.stripe.post(f"/_sandbox/refunds/{parts[0]['id']}/fail")).raise_for_status()
    await world.work()
    assert await shares(customer, made) == [("2", "2", False), ("2", "2", True)]
    assert await left(customer, METER) == 8
