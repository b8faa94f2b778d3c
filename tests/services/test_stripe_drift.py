"""Stripe's side of the plans, changed by other hands."""

import pytest

from storage.plans import Price as StoredPrice
from tests.services.metered_steps import APRIL, FEE, METERED, USAGE, cycle, join
from tests.services.steps import INVITES, Json, do, event, make_plan, provision, stripe_books
from tests.services.terms import billed, change_plan
from tests.world import World

pytestmark = pytest.mark.anyio

STRIPE = {"authorization": "Bearer sk_test_inkmeter"}
DRIFT = "kind subject stripeId expected found isRepairable"


async def post(world: World, path: str, **form: str) -> Json:
    answer = await world.stripe.post(path, data=form, headers=STRIPE)
    answer.raise_for_status()
    return dict(answer.json())


async def drift(world: World) -> list[tuple[str, str, bool]]:
    found = (await world.operator.ask(f"{{ stripeDrift {{ {DRIFT} }} }}"))["stripeDrift"]
    return [(entry["kind"], entry["subject"], entry["isRepairable"]) for entry in found]


async def repair(world: World) -> tuple[list[str], list[str]]:
    answer = await do(world.operator, "repairStripeMirror", f"repair {{ repaired {{ {DRIFT} }} left {{ {DRIFT} }} }}")
    repaired, left = ([entry["kind"] for entry in answer["repair"][name]] for name in ("repaired", "left"))
    return repaired, left


async def test_what_was_just_made_is_as_it_was_made(world: World) -> None:
    await join(world, USAGE, FEE)
    assert await drift(world) == []
    assert await repair(world) == ([], [])


async def test_everything_that_can_be_put_right_is(world: World) -> None:
    customer = await join(world, USAGE, FEE)
    books = await stripe_books(world)
    await post(world, f"/v1/products/{books['product'][0]['id']}", name="Renamed", active="false")
    stored = await StoredPrice.get(meter="documents_created")
    await post(world, f"/v1/prices/{stored.stripe_fee_id}", active="false")
    usage = await StoredPrice.get(meter="invites_sent")
    await post(world, f"/v1/prices/{usage.stripe_usage_id}", lookup_key="stolen")
    [meter] = [m for m in books["billing.meter"] if m["event_name"] == "inkmeter_invites_sent"]
    await post(world, f"/v1/billing/meters/{meter['id']}/deactivate")
    expected = [
        ("PRICE_LOOKUP_KEY", "metered", True),
        ("PRICE_INACTIVE", "metered", True),
        ("PRODUCT_NAME", "metered", True),
        ("PRODUCT_INACTIVE", "metered", True),
        ("METER_INACTIVE", "invites_sent", True),
    ]
    assert await drift(world) == expected
    repaired, left = await repair(world)
    assert (sorted(repaired), left, await drift(world)) == (sorted(kind for kind, _, _ in expected), [], [])
    await customer.record(event("a", 8))
    await cycle(world, APRIL)
    assert (await billed(customer))[-1]["state"] == "PAID"


async def test_a_price_that_is_not_ours_is_shown(world: World) -> None:
    await join(world)
    stored = await StoredPrice.get(meter="invites_sent")
    [product] = (await stripe_books(world))["product"]
    terms = {"product": product["id"], "currency": "usd", "unit_amount": "900", "recurring[interval]": "month"}
    other = await post(world, "/v1/prices", **terms)
    await StoredPrice.filter(id=stored.id).update(stripe_usage_id=other["id"])
    assert ("PRICE_TERMS", "metered", False) in await drift(world)
    assert (await repair(world))[1] == ["PRICE_TERMS"]


async def test_a_lookup_key_that_others_took_before_us_is_taken_back(world: World) -> None:
    """The plan is mirrored with its first subscription."""
    customer = await provision(world)
    plan = await make_plan(world, USAGE, **METERED)
    stored = await StoredPrice.get(meter="invites_sent")
    product = await post(world, "/v1/products", name="Somebody's")
    terms = {"product": product["id"], "currency": "usd", "unit_amount": "900", "recurring[interval]": "month"}
    other = await post(world, "/v1/prices", **terms, lookup_key=f"inkmeter:{stored.id}:usage")
    assert (await customer.subscribe(plan))["subscription"]["isMirrored"]
    stored = await StoredPrice.get(id=stored.id)
    assert stored.stripe_usage_id not in (None, other["id"])
    assert await drift(world) == []


async def test_the_product_is_called_like_the_newest_version(world: World) -> None:
    customer = await provision(world)
    await customer.subscribe(await make_plan(world, INVITES, name="Old"))
    second = await make_plan(world, INVITES, name="New")
    assert await drift(world) == [("PRODUCT_NAME", "growth", True)]
    assert (await change_plan(customer, second, "PERIOD_END"))["userErrors"] == []
    await cycle(world, APRIL)
    assert await drift(world) == []
    [subscription] = (await stripe_books(world))["subscription"]
    prices = {p["id"]: p["lookup_key"] for p in (await stripe_books(world))["price"]}
    [item] = subscription["items"]["data"]
    assert len(prices) == 2
    assert prices[item["price"]["id"]] == list(prices.values())[1], "the item follows the plan"
