"""Quota, asked before it is needed; and what an unpaid invoice does to a tenant."""

from datetime import timedelta

import pytest

from inkmeter.events import OperationRefused
from tests.services.dunning_steps import listen
from tests.services.steps import (
    Customer,
    Json,
    do,
    event,
    fault,
    make_plan,
    price,
    problems,
    provision,
    quota,
    refused,
    sign_up,
    stripe_books,
)
from tests.world import START, World

pytestmark = pytest.mark.anyio

TIERED = price("invites_sent", "tiered", fee="49.00", included=2, overage={"unitPrice": "4.25"})


async def check(customer: Customer, meter: str = "invites_sent", quantity: int = 1) -> Json:
    query = """query ($id: ID, $meter: String!, $quantity: Int!) {
        checkQuota(tenantId: $id, meter: $meter, quantity: $quantity) {
          meter isAllowed used reserved limit remaining policy resetsAt decision { reason price { amount } }
          refusal { __typename code message ... on QuotaExceeded { limit used requested } } } }"""
    asked = await customer.api.post(query, id=customer.id, meter=meter, quantity=quantity)
    if "errors" in asked:
        return {"code": asked["errors"][0]["extensions"]["code"]}
    return dict(asked["data"]["checkQuota"])


async def test_a_soft_limit_is_shown_with_the_price_beyond(world: World) -> None:
    customer = await sign_up(world, TIERED, quotas=[quota("invites_sent", "SOFT")])
    fresh = await check(customer)
    assert fresh == {
        "meter": "invites_sent",
        "isAllowed": True,
        "used": "0",
        "reserved": "0",
        "limit": "2",
        "remaining": "2",
        "policy": "SOFT",
        "resetsAt": "2026-04-10T00:00:00Z",
        "decision": {"reason": "INCLUDED", "price": {"amount": "0.00"}},
        "refusal": None,
    }
    assert (await check(customer, quantity=3))["decision"] == {"reason": "OVERAGE", "price": {"amount": "4.25"}}
    await customer.record(event("a", 5))
    beyond = await check(customer, quantity=2)
    assert (beyond["used"], beyond["remaining"], beyond["isAllowed"]) == ("5", "0", True)
    assert beyond["decision"]["price"] == {"amount": "8.50"}
    assert await check(customer) == await check(customer), "asking changes nothing"


async def test_a_hard_limit_is_shown_with_the_refusal(world: World) -> None:
    customer = await sign_up(world, TIERED, quotas=[quota("invites_sent", "HARD", 2)])
    await customer.send(1)
    assert (await check(customer))["isAllowed"]
    assert (await check(customer, quantity=2))["refusal"]["__typename"] == "QuotaExceeded"
    document = await customer.document("up-2")
    await fault(world.signnow, "timeout_before", on="/document")
    await customer.invite(document, "in-2")
    full = await check(customer)
    assert (full["used"], full["reserved"], full["remaining"], full["isAllowed"]) == ("1", "1", "0", False)
    assert (full["refusal"]["limit"], full["refusal"]["used"], full["refusal"]["requested"]) == ("2", "2", "1")
    assert full["decision"] is None


async def test_a_refusal_of_a_meter_with_decimals_is_exact(world: World) -> None:
    meter: Json = {"code": "pages", "unit": "page", "description": "Pages.", "aggregation": "SUM", "decimals": 2}
    assert (await do(world.operator, "createMeter", "meter { code }", **meter))["userErrors"] == []
    priced = price("pages", "per-document", unitPrice="1.00")
    customer = await sign_up(world, priced, quotas=[quota("pages", "HARD", 3)])
    await customer.record({**event("a", 1, "pages"), "quantity": "2.75"})
    refusal = (await check(customer, "pages"))["refusal"]
    assert (refusal["limit"], refusal["used"], refusal["requested"]) == ("3", "2.75", "1")


@pytest.mark.parametrize(("policy", "code"), [("HARD", "QUOTA_EXCEEDED"), ("TOP_UP", "TOP_UP_REQUIRED")])
async def test_plugins_hear_of_every_refusal(world: World, policy: str, code: str) -> None:
    packs = {"topUpPacks": [{"units": 4, "price": "2.00"}]} if policy == "TOP_UP" else {}
    customer = await sign_up(world, quotas=[{**quota("documents_created", policy, 0), **packs}])
    heard = listen(world, "OperationRefused")
    assert refused(await customer.upload())["code"] == code
    assert [told.code for told in heard.events if isinstance(told, OperationRefused)] == [code]


async def test_a_meter_without_a_quota_has_no_limit(world: World) -> None:
    status = await check(await sign_up(world, TIERED), "downloads", 1000)
    assert (status["isAllowed"], status["limit"], status["remaining"], status["policy"]) == (True, None, None, None)


async def test_recorded_usage_counts_against_a_hard_limit(world: World) -> None:
    customer = await sign_up(world, TIERED, quotas=[quota("invites_sent", "HARD", 2)])
    await customer.record(event("a", 7))
    status = await check(customer)
    assert (status["used"], status["remaining"], status["isAllowed"]) == ("7", "0", False)
    document = await customer.document()
    assert refused(await customer.invite(document))["used"] == "7"


async def test_seats_are_those_of_the_subscription(world: World) -> None:
    team = price("invites_sent", "per-seat", seatPrice="9.00"), price("seats", "per-document", unitPrice="1.00")
    customer = await sign_up(world, *team, quotas=[quota("seats", "HARD", 5)], seats=3)
    status = await check(customer, "seats", 2)
    assert (status["used"], status["limit"], status["remaining"], status["isAllowed"]) == ("3", "5", "2", True)
    assert status["decision"] == {"reason": "OVERAGE", "price": {"amount": "20.00"}}
    assert not (await check(customer, "seats", 3))["isAllowed"]


async def test_a_hard_limit_of_seats_binds_the_subscription(world: World) -> None:
    plan = await make_plan(world, TIERED, quotas=[quota("seats", "HARD", 5)])
    customer = await provision(world)
    assert problems(await customer.subscribe(plan, seats=6)) == {"seats": "the plan allows 5"}
    assert (await customer.subscribe(plan, seats=5))["userErrors"] == []


async def test_nonsense_is_refused_in_words(world: World) -> None:
    customer = await sign_up(world)
    for meter, quantity in (("nonsense", 1), ("invites_sent", 0), ("invites_sent", -1)):
        assert await check(customer, meter, quantity) == {"code": "INVALID_INPUT"}
    unsubscribed = Customer(world, await world.provision("bolt"), world.operator)
    assert await check(unsubscribed) == {"code": "SUBSCRIPTION_INACTIVE"}


async def test_unpaid_past_the_grace_restricts_and_payment_lifts_it(world: World) -> None:
    customer = await sign_up(world)
    await customer.send(1)
    [theirs] = (await stripe_books(world))["customer"]
    card = f"/_sandbox/customers/{theirs['id']}/card"
    (await world.stripe.post(card, json={"card": "decline"})).raise_for_status()
    await world.travel_to(START + timedelta(days=31))
    await world.work()
    assert (await customer.invoices())[0]["state"] == "PAST_DUE"
    assert await customer.state() == "GRACE"
    document = await customer.send("in grace")

    await world.travel_to(START + timedelta(days=31 + 7, seconds=-1))
    assert (await check(customer))["isAllowed"]
    await world.travel_to(START + timedelta(days=31 + 7))
    await world.work()
    status = await check(customer)
    assert (status["isAllowed"], status["refusal"]["__typename"]) == (False, "TenantRestricted")
    heard = listen(world, "OperationRefused")
    assert refused(await customer.upload("new"))["__typename"] == "TenantRestricted"
    assert [told.code for told in heard.events if isinstance(told, OperationRefused)] == ["TENANT_RESTRICTED"]
    assert (await customer.upload("up-in grace", "Lease in grace"))["document"]["id"] == document, "a repeat is a read"
    assert refused(await customer.download(document))["__typename"] == "TenantRestricted"
    assert len(await customer.invoices()) == 1, "reads go on"

    (await world.stripe.post(card, json={"card": "success"})).raise_for_status()
    await world.work()
    assert await customer.state() == "ACTIVE"
    assert (await customer.invoices())[0]["state"] == "PAID"
    assert (await customer.upload("new"))["userErrors"] == []
