"""Amounts that no bill can hold: refused in words, and nobody else is stopped by them."""

import pytest

from storage.alerts import Alert
from tests.services.steps import Customer, Json, do, event, make_plan, price, provision, refused, sign_up
from tests.world import World

pytestmark = pytest.mark.anyio

MOST = "999999999999999"
DEAR = price("api_calls", "metered", unitPrice=MOST)


async def shown(customer: Customer, field: str) -> str:
    """The code of the error that a query of the tenant is answered with."""
    answer: Json = await customer.api.post(f"query ($id: ID) {{ {field} }}", id=customer.id)
    return str(answer["errors"][0]["extensions"]["code"])


async def test_a_period_that_no_invoice_can_hold(world: World) -> None:
    customer = await sign_up(world, DEAR)
    await customer.record(event("a", 1_000, "api_calls"))
    assert await shown(customer, "upcomingInvoice(tenantId: $id) { total { amount } }") == "CONFLICT"
    assert await shown(customer, 'checkQuota(tenantId: $id, meter: "api_calls") { isAllowed }') == "CONFLICT"
    world.clock.travel_to(world.clock.now().replace(month=5))
    stuck = refused(await customer.close())
    assert (stuck["__typename"], "correctUsage" in stuck["message"]) == ("Conflict", True)
    fix = [{"eventKey": "a", "idempotencyKey": "fix", "quantity": 1}]
    await do(customer.api, "correctUsage", "results { status }", tenantId=customer.id, corrections=fix)
    assert (await customer.close())["invoice"]["total"]["amount"] == f"{MOST}.00"


async def test_fees_that_no_invoice_can_hold_are_not_subscribed_to(world: World) -> None:
    customer = await provision(world)
    plan = await make_plan(world, price("seats", "per-seat", seatPrice=MOST), fees="ADVANCE")
    assert refused(await customer.subscribe(plan, seats=1_000_000))["__typename"] == "Conflict"
    assert (await customer.subscribe(plan, seats=1))["userErrors"] == []


async def test_a_budget_beyond_all_bills_stops_no_counting(world: World) -> None:
    calls = price("api_calls", "metered", unitPrice=MOST)
    customer = await sign_up(world, calls, price("downloads", "metered", unitPrice=MOST))
    await do(customer.api, "setBudget", "subscription { id }", tenantId=customer.id, amount="1.00", alertsAt=[100])
    # Each line is within 64 bits, their sum is not.
    events = [event("a", 60, "api_calls"), event("b", 60, "downloads")]
    assert [result["status"] for result in await customer.record(*events)] == ["RECORDED", "RECORDED"]
    assert await Alert.filter(tenant_id=customer.tenant.id).count() == 0
