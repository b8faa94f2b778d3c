"""Ending a tenant by hand, and letting it come back."""

from datetime import timedelta

import pytest

from tests.services.dunning_steps import at_stripe, card, days, debtor, fail, listen, notices, standing, told, travel
from tests.services.steps import INVITES, Customer, Json, do, make_plan, provision, refused
from tests.world import START, World

pytestmark = pytest.mark.anyio
TENANT = "tenant { state subscription { id } dunning { step } }"


async def by_hand(customer: Customer, mutation: str) -> Json:
    return await do(customer.world.operator, mutation, TENANT, tenantId=customer.id)


async def test_a_tenant_is_ended_and_its_documents_stay(world: World) -> None:
    heard = listen(world)
    customer = await debtor(world)
    await card(world, customer, "success")
    document = await customer.send(1)
    await world.travel_to(START + timedelta(days=3))
    for _ in range(2):
        ended = await by_hand(customer, "deprovisionTenant")
        assert ended["tenant"]["state"] == "DEPROVISIONED"
    for hours in (1, 3, 5):
        await travel(world, START + timedelta(days=3, hours=hours))
    [final] = await customer.invoices()
    assert (final["state"], final["total"]["amount"]) == ("PAID", "8.00")
    assert [s["status"] for s in await at_stripe(world, customer, "subscription")] == ["canceled"]
    assert refused(await customer.upload("more"))["__typename"] == "TenantRestricted"
    assert refused(await customer.download(document))["__typename"] == "TenantRestricted"
    shown = "query ($id: ID!) { document(id: $id) { name } }"
    assert (await (await customer.own_api()).ask(shown, id=document))["document"]["name"] == "Lease 1"
    assert heard.names == ["TenantDeprovisioned", "InvoicePaid"]
    assert await told(customer) == ["DEPROVISIONED"]

    plan = await make_plan(world, INVITES, code="again")
    assert refused(await customer.subscribe(plan))["__typename"] == "Conflict"
    for _ in range(2):
        assert (await by_hand(customer, "reactivateTenant"))["tenant"] == {
            "state": "ACTIVE",
            "subscription": None,
            "dunning": None,
        }
    assert (await customer.subscribe(plan))["userErrors"] == []
    assert (await customer.upload("more"))["userErrors"] == []
    assert (await told(customer), heard.names[-1]) == (["DEPROVISIONED", "RESTORED"], "TenantRestored")
    assert [n["leftPlan"] for n in await notices(customer)] == [{"code": "growth-acme"}, None]


async def test_by_hand_in_the_middle_of_a_case_a_payment_does_not_bring_it_back(world: World) -> None:
    customer = await debtor(world, graceDays=2, restrictedDays=2, then="DOWNGRADE", to="free")
    await fail(world)
    assert (await by_hand(customer, "deprovisionTenant"))["tenant"]["dunning"] == {"step": "GRACE"}
    await days(world, 2, 4, 5)
    assert (await standing(customer))["state"] == "DEPROVISIONED"
    assert refused(await by_hand(customer, "reactivateTenant"))["__typename"] == "Conflict"
    await card(world, customer, "success")
    await world.work()
    tenant = await standing(customer)
    assert (tenant["state"], tenant["dunning"], tenant["subscription"]) == ("DEPROVISIONED", None, None)
    assert (await by_hand(customer, "reactivateTenant"))["tenant"]["state"] == "ACTIVE"
    assert "DOWNGRADED" not in await told(customer)


async def test_one_without_a_subscription_can_be_ended_and_one_that_is_not_ready_cannot(world: World) -> None:
    customer = await provision(world)
    assert (await by_hand(customer, "deprovisionTenant"))["tenant"]["state"] == "DEPROVISIONED"
    await world.stripe.post("/_sandbox/faults", json={"kind": "500", "times": 9, "path_prefix": "/v1/customers"})
    waiting = await provision(world, "later")
    assert refused(await by_hand(waiting, "deprovisionTenant"))["__typename"] == "Conflict"
