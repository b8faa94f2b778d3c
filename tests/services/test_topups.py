"""What happens at a quota: top-ups bought and automatic, upgrades, and a cap on what overage costs."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from storage.charges import Charge
from storage.credits import CreditGrant
from storage.operations import Operation
from storage.subscriptions import Phase
from tests.services.credit_steps import balance, buy, check, give, history, left, upload
from tests.services.steps import (
    Customer,
    Json,
    do,
    event,
    fault,
    make_plan,
    outcomes,
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

CREATED = price("documents_created", "tiered", fee="10.00", included=2, overage={"unitPrice": "0.35"})
TEN: Json = {"units": 10, "price": "9.00"}
HUNDRED: Json = {"units": 100, "price": "80.00"}
NOTHING: Json = {"amount": "0.00"}


def limit(policy: str, units: int = 2, **more: Any) -> Json:
    return {**quota("documents_created", policy, units), **more}


async def charges(customer: Customer) -> list[tuple[str, str, int]]:
    found = await Charge.filter(tenant_id=customer.tenant.id).order_by("id")
    return [(charge.kind, charge.label, charge.amount_minor) for charge in found]


async def agree(customer: Customer, key: str) -> Json:
    """An upload is decided as `checkQuota` has said a moment before; answers what became of it."""
    said = await check(customer, meter="documents_created")
    done = await upload(customer, key)
    assert said["decision"] == done["decision"]
    assert ([said["refusal"]] if said["refusal"] else []) == done["userErrors"]
    assert said["isAllowed"] == (done["decision"] is not None)
    return dict(done["decision"] or done["userErrors"][0])


async def test_a_top_up_is_asked_for_at_the_boundary(world: World) -> None:
    customer = await sign_up(world, CREATED, quotas=[limit("TOP_UP", topUpPacks=[TEN, HUNDRED])])
    for key in ("a", "b"):
        assert (await agree(customer, key))["reason"] == "INCLUDED"
    error = await agree(customer, "c")
    packs = [{"units": "10", "price": {"amount": "9.00"}}, {"units": "100", "price": {"amount": "80.00"}}]
    assert error == {
        "__typename": "TopUpRequired",
        "message": "1 documents_created are needed, 0 credits are left. Buy a top-up.",
        "meter": "documents_created",
        "balance": "0",
        "needed": "1",
        "packs": packs,
        "nextPlan": None,
    }
    own = Customer(world, customer.tenant, await customer.own_api())
    bought = await buy(own, 10, meter="documents_created")
    assert (bought["grant"]["source"], bought["grant"]["price"]) == ("TOP_UP", {"amount": "9.00"})
    covered = [{"meter": "documents_created", "units": "1"}]
    for number in range(10):
        decision = await agree(customer, f"d{number}")
        assert decision == {"reason": "CREDIT", "price": NOTHING, "credits": covered, "plan": None}
    assert (await agree(customer, "e"))["__typename"] == "TopUpRequired"
    assert await charges(customer) == [("TOP_UP", "Top-up: 10 documents", 900)]


async def test_a_top_up_is_bought_once_per_key(world: World) -> None:
    customer = await sign_up(world, CREATED, quotas=[limit("TOP_UP", topUpPacks=[TEN, HUNDRED])])
    answers = await asyncio.gather(*(buy(customer, 10, meter="documents_created") for _ in range(6)))
    assert len({answer["grant"]["id"] for answer in answers}) == 1
    assert len(await charges(customer)) == 1
    assert refused(await buy(customer, 100, meter="documents_created"))["__typename"] == "Conflict"
    assert list(problems(await buy(customer, 11, "other", "documents_created"))) == ["units"]
    assert "on offer: 10, 100" in problems(await buy(customer, 11, "other", "documents_created"))["units"]
    assert list(problems(await buy(customer, 10, "other", "signatures"))) == ["units"]
    assert list(problems(await buy(customer, 10, "other", "nonsense"))) == ["meter"]
    assert await left(customer, "documents_created") == 10


async def test_a_top_up_needs_a_subscription_that_is_paid(world: World) -> None:
    unsubscribed = await provision(world, "bolt")
    assert refused(await buy(unsubscribed))["__typename"] == "SubscriptionInactive"
    customer = await sign_up(world, CREATED, quotas=[limit("TOP_UP", topUpPacks=[TEN])])
    first = await buy(customer, 10, "first", "documents_created")
    [theirs] = [c for c in (await stripe_books(world))["customer"] if "acme" in c["email"]]
    card = f"/_sandbox/customers/{theirs['id']}/card"
    (await world.stripe.post(card, json={"card": "decline"})).raise_for_status()
    await world.travel_to(START + timedelta(days=31))
    await world.work()
    assert (await buy(customer, 10, "in grace", "documents_created"))["userErrors"] == []
    await world.travel_to(START + timedelta(days=38, hours=1))
    await world.work()
    assert refused(await buy(customer, 10, "later", "documents_created"))["__typename"] == "TenantRestricted"
    assert await buy(customer, 10, "first", "documents_created") == first, "a repeat is a read"
    assert await left(customer, "documents_created") == 20


async def test_credits_are_bought_by_themselves_below_the_threshold(world: World) -> None:
    rule = {"below": 3, "packUnits": 10, "monthlyCap": "18.00"}
    customer = await sign_up(world, CREATED, quotas=[limit("HARD", 2, topUpPacks=[TEN], autoTopUp=rule)])
    made = [await agree(customer, f"k{number}") for number in range(1, 24)]
    assert [m.get("reason") for m in made] == ["INCLUDED"] * 2 + ["CREDIT"] * 20 + [None]
    assert made[-1]["__typename"] == "QuotaExceeded", "the cap of 18.00 pays for two packs"
    assert await charges(customer) == [("AUTO_TOP_UP", "Top-up: 10 documents", 900)] * 2
    grants = await CreditGrant.filter(tenant_id=customer.tenant.id).order_by("id")
    assert [(grant.source, grant.units, grant.remaining) for grant in grants] == [("TOP_UP", 10, 0)] * 2
    world.clock.travel_to(START + timedelta(days=31))
    assert (await agree(customer, "next month"))["reason"] == "INCLUDED"
    await upload(customer, "and")
    assert (await agree(customer, "another"))["reason"] == "CREDIT", "the cap is a month's"
    assert len(await charges(customer)) == 3


async def test_facts_buy_credits_too(world: World) -> None:
    rule = {"below": 5, "packUnits": 10, "monthlyCap": "90.00"}
    downloads = {**quota("downloads", "TOP_UP", 0), "topUpPacks": [TEN], "autoTopUp": rule}
    customer = await sign_up(world, quotas=[downloads])
    for _ in range(2):
        await customer.record(event("a", 7, "downloads"))  # a repeat buys nothing
        shown = await balance(customer)
        assert (shown["granted"], shown["consumed"], shown["balance"]) == (20, 7, 13)
        assert await charges(customer) == [("AUTO_TOP_UP", "Top-up: 20 downloads", 1800)]


async def chain(world: World) -> Customer:
    """Three plans: 2 documents, then 4, then as many as one likes."""
    top = await make_plan(world, CREATED, code="top", name="Top", quotas=[limit("SOFT", 1000)])
    middle = await make_plan(
        world, CREATED, code="middle", name="Middle", quotas=[limit("AUTO_UPGRADE", 4)], successorId=top
    )
    bottom = await make_plan(world, CREATED, code="bottom", quotas=[limit("AUTO_UPGRADE", 2)], successorId=middle)
    customer = await provision(world)
    assert (await customer.subscribe(bottom))["userErrors"] == []
    return customer


async def plan_of(customer: Customer) -> str:
    query = "query ($id: ID) { tenant(id: $id) { subscription { plan { code } } } }"
    return str((await customer.api.ask(query, id=customer.id))["tenant"]["subscription"]["plan"]["code"])


async def test_a_passed_quota_upgrades_the_plan(world: World) -> None:
    customer = await chain(world)
    assert (await check(customer, meter="documents_created"))["nextPlan"] == {"code": "middle"}
    made = [await agree(customer, f"k{number}") for number in range(1, 6)]
    reasons = [(m["reason"], m["plan"]["code"] if m["plan"] else None) for m in made]
    assert reasons == [
        ("INCLUDED", None),
        ("INCLUDED", None),
        ("UPGRADED", "middle"),
        ("OVERAGE", None),
        ("UPGRADED", "top"),
    ]
    assert await plan_of(customer) == "top"
    phases = await Phase.filter(tenant_id=customer.tenant.id).order_by("starts_at", "id")
    assert [phase.reason for phase in phases] == ["START", "AUTO_UPGRADE", "AUTO_UPGRADE"]
    again = await upload(customer, "k3")
    assert again["decision"]["plan"] == {"code": "middle"}, "a repeat tells the first decision"


async def test_an_upgrade_reaches_stripe_when_the_period_is_closed(world: World) -> None:
    """What is billed there is ours all along: its item of zero gets the name of the plan."""
    customer = await chain(world)
    await world.work()

    async def billed_by() -> list[str]:
        books = await stripe_books(world)
        names = {product["id"]: product["name"] for product in books["product"]}
        [subscription] = books["subscription"]
        return [names[item["price"]["product"]] for item in subscription["items"]["data"]]

    before = await billed_by()
    for number in range(5):
        await upload(customer, f"k{number}")
    await world.work()
    assert await billed_by() == before
    await world.travel_to(START + timedelta(days=31))
    await world.work()
    await customer.close()
    await world.work()
    assert (await billed_by(), await plan_of(customer)) == (["Top"], "top")


async def test_asking_upgrades_nothing(world: World) -> None:
    customer = await chain(world)
    decision = (await check(customer, 3, "documents_created"))["decision"]
    assert (decision["reason"], decision["plan"]) == ("UPGRADED", {"code": "middle"})
    far = (await check(customer, 5, "documents_created"))["decision"]
    assert (far["reason"], far["plan"]) == ("UPGRADED", {"code": "top"})
    assert await plan_of(customer) == "bottom"


async def test_many_at_once_upgrade_once(world: World) -> None:
    customer = await chain(world)
    documents = await asyncio.gather(*(upload(customer, f"k{number}") for number in range(12)))
    reasons = sorted(document["decision"]["reason"] for document in documents)
    assert reasons.count("UPGRADED") == 2
    assert await Phase.filter(tenant_id=customer.tenant.id).count() == 3
    assert await plan_of(customer) == "top"


async def test_a_chain_that_ends_in_a_hard_limit_upgrades_only_where_it_helps(world: World) -> None:
    last = await make_plan(world, CREATED, code="last", quotas=[limit("HARD", 3)])
    first = await make_plan(world, CREATED, code="first", quotas=[limit("AUTO_UPGRADE", 2)], successorId=last)
    customer = await provision(world)
    await customer.subscribe(first)
    await customer.record(event("many", 3, "documents_created"))
    error = await agree(customer, "k")
    assert (error["__typename"], error["limit"], error["nextPlan"]) == ("QuotaExceeded", "2", {"code": "last"})
    assert await plan_of(customer) == "first"


async def test_credits_come_before_an_upgrade(world: World) -> None:
    customer = await chain(world)
    await give(customer, 1, meter="documents_created")
    assert [(await agree(customer, key))["reason"] for key in "abcd"] == ["INCLUDED", "INCLUDED", "CREDIT", "UPGRADED"]


async def test_a_spend_cap_holds_to_the_cent(world: World) -> None:
    customer = await sign_up(world, CREATED, quotas=[limit("SOFT", 2, spendCap="1.05")])
    made = [await agree(customer, f"k{number}") for number in range(1, 7)]
    assert [m["price"] for m in made[:5]] == [NOTHING, NOTHING, *[{"amount": "0.35"}] * 3]
    assert made[5] == {
        "__typename": "SpendCapReached",
        "message": made[5]["message"],
        "cap": {"amount": "1.05"},
        "spent": {"amount": "1.05"},
        "price": {"amount": "0.35"},
    }
    assert (await check(customer, meter="documents_created"))["spendCap"] == {"amount": "1.05"}
    await give(customer, 1, meter="documents_created")
    assert (await agree(customer, "credit"))["reason"] == "CREDIT", "what is paid for costs nothing more"


async def test_a_spend_cap_one_cent_short_refuses(world: World) -> None:
    customer = await sign_up(world, CREATED, quotas=[limit("SOFT", 2, spendCap="1.04")])
    made = [await agree(customer, f"k{number}") for number in range(1, 6)]
    assert [m.get("reason") for m in made] == ["INCLUDED", "INCLUDED", "OVERAGE", "OVERAGE", None]
    assert (made[4]["spent"], made[4]["price"]) == ({"amount": "0.70"}, {"amount": "0.35"})


async def test_a_spend_cap_of_zero_allows_what_is_included(world: World) -> None:
    customer = await sign_up(world, CREATED, quotas=[limit("SOFT", 2, spendCap="0.00")])
    assert await outcomes(*(customer.upload(f"k{n}") for n in range(4))) == [
        "SpendCapReached",
        "SpendCapReached",
        "ok",
        "ok",
    ]


async def test_a_spend_cap_under_concurrency(world: World) -> None:
    customer = await sign_up(world, CREATED, quotas=[limit("SOFT", 2, spendCap="1.05")])
    made = await asyncio.gather(*(customer.upload(f"k{number}") for number in range(12)))
    assert sum(1 for answer in made if not answer["userErrors"]) == 5
    assert await Operation.filter(tenant_id=customer.tenant.id).count() == 5


async def test_the_last_pack_is_shown_as_it_is_bought(world: World) -> None:
    customer = await sign_up(world, CREATED, quotas=[limit("TOP_UP", 0, topUpPacks=[TEN])])
    grant = (await buy(customer, 10, meter="documents_created"))["grant"]
    [entry] = await history(customer)
    assert (entry["kind"], entry["units"], entry["grantId"]) == ("GRANTED", "10", grant["id"])
    assert (await check(customer, meter="documents_created"))["credits"] == "10"


async def test_a_quota_of_a_meter_that_is_fed_is_asked_too(world: World) -> None:
    meter = {"code": "uploads", "unit": "upload", "description": "Uploads.", "aggregation": "COUNT"}
    made = await do(world.operator, "createMeter", "meter { code }", source="documents_created", **meter)
    assert made["userErrors"] == []
    customer = await sign_up(world, CREATED, quotas=[quota("uploads", "HARD", 1)])
    assert (await agree(customer, "a"))["reason"] == "INCLUDED"
    error = await agree(customer, "b")
    assert (error["__typename"], error["limit"]) == ("QuotaExceeded", "1")
    assert not (await check(customer, meter="uploads"))["isAllowed"]


async def test_pledges_and_seats_count_as_they_do_in_a_reservation(world: World) -> None:
    customer = await sign_up(world, CREATED, quotas=[limit("HARD", 1)], seats=3)
    await give(customer, 1, meter="documents_created")
    for key in ("a", "b"):
        await fault(world.signnow, "timeout_before", on="/document")
        assert (await upload(customer, key))["userErrors"][0]["__typename"] == "OutcomeUnknown"
    assert (await agree(customer, "c"))["__typename"] == "QuotaExceeded"
    assert (await check(customer, meter="documents_created"))["credits"] == "0"
