"""What a METERED plan, and a subscription to one, cannot have."""

from typing import Any

import pytest

from tests.services.metered_steps import AHEAD, FEE, METERED, SEATS, USAGE, join
from tests.services.steps import Json, do, make_meter, make_plan, price, problems, provision, refused
from tests.services.terms import change_plan, discount
from tests.world import World

pytestmark = pytest.mark.anyio

TIERS = {"tiers": [{"upTo": 10, "unitPrice": "0.105"}, {"unitPrice": "0.055"}]}


async def attempt(world: World, *prices: Json, **more: Any) -> Json:
    terms = {"code": "m", "name": "M", "currency": "USD", **METERED, **more}
    return await do(world.operator, "createPlan", "plan { id stripeMode }", prices=prices, **terms)


@pytest.mark.parametrize(
    ("wanted", "more", "path", "words"),
    [
        (price("invites_sent", "metered", unitPrice="1", minimumSpend="5"), {}, "prices.0.config", "cannot express"),
        (price("invites_sent", "metered", percentage="2.9"), {}, "prices.0.config", "cannot express"),
        (price("invites_sent", "per-seat", seatPrice="9", minimumSeats=3), {}, "prices.0.config", "cannot express"),
        (price("seats", "per-seat", seatPrice="9"), {"fees": "ADVANCE"}, "prices.0.config", "seatProration NONE"),
        (price("invites_sent", "metered", **TIERS), {}, "prices.0.config", "part of a minor unit"),
        (price("seats", "per-document", unitPrice="1"), {}, "prices.0.meter", "SUM and COUNT meters"),
        (FEE, {}, "fees", "say ADVANCE"),
        (USAGE, {"minimumCommitment": "5.00"}, "minimumCommitment", "no minimum"),
        (USAGE, {"currency": "KWD"}, "currency", "three-digit"),
    ],
)
async def test_what_stripe_would_bill_otherwise(world: World, wanted: Json, more: Json, path: str, words: str) -> None:
    assert words in problems(await attempt(world, wanted, **more))[path]


async def test_everything_wrong_is_named_at_once(world: World) -> None:
    await make_meter(world, "people", "UNIQUE", property="who", source="invites_sent")
    wrong = problems(
        await attempt(
            world,
            FEE,
            USAGE,
            USAGE | {"model": "metered", "config": {"unitPrice": "1"}},
            price("people", "per-document", unitPrice="1"),
        )
    )
    assert set(wrong) == {"fees", "prices.2.meter", "prices.3.meter"}


async def test_a_plan_says_its_mode(world: World) -> None:
    assert (await attempt(world, USAGE))["plan"]["stripeMode"] == "METERED"
    computed = await attempt(world, USAGE, stripeMode="COMPUTED")
    assert computed["plan"]["stripeMode"] == "COMPUTED", "another mode is another version"


async def test_no_upgrade_inside_a_period_leads_there(world: World) -> None:
    metered = await make_plan(world, USAGE, code="big", **METERED)
    assert "METERED" in problems(await attempt(world, USAGE, stripeMode="COMPUTED", successorId=metered))["successorId"]


@pytest.mark.parametrize(
    ("terms", "path"),
    [({"zone": "Europe/Berlin"}, "zone"), ({"anchorOn": "2026-01-31"}, "anchorOn"), ({"trialDays": 14}, "trialDays")],
)
async def test_subscriptions_that_stripe_counts_otherwise(world: World, terms: Json, path: str) -> None:
    customer = await provision(world)
    plan = await make_plan(world, USAGE, **METERED)
    assert path in problems(await customer.subscribe(plan, **terms))


@pytest.mark.parametrize("to_metered", [True, False])
async def test_who_bills_never_changes_inside_a_period(world: World, to_metered: bool) -> None:
    customer = await provision(world)
    metered = await make_plan(world, USAGE, code="a", **METERED)
    computed = await make_plan(world, USAGE, code="b")
    first, second = (computed, metered) if to_metered else (metered, computed)
    assert (await customer.subscribe(first))["userErrors"] == []
    assert "PERIOD_END" in problems(await change_plan(customer, second))["at"]
    assert (await change_plan(customer, second, "PERIOD_END"))["userErrors"] == []


async def test_a_subscription_that_stripe_counts_otherwise_stays_computed(world: World) -> None:
    customer = await provision(world)
    metered = await make_plan(world, USAGE, code="a", **METERED)
    await customer.subscribe(await make_plan(world, USAGE, code="b"), zone="Europe/Berlin")
    assert "periods in UTC" in refused(await change_plan(customer, metered, "PERIOD_END"))["message"]


async def test_discounts_are_no_part_of_it(world: World) -> None:
    customer = await join(world)
    assert refused(await discount(customer, percent="10"))["__typename"] == "Conflict"
    other = await provision(world, "other")
    await other.subscribe(await make_plan(world, USAGE, code="b"))
    assert (await discount(other, percent="10"))["userErrors"] == []
    plan = await make_plan(world, USAGE, SEATS, code="c", **AHEAD)
    assert "discount" in refused(await change_plan(other, plan, "PERIOD_END"))["message"]


async def test_pauses_are_no_part_of_it(world: World) -> None:
    customer = await join(world)
    paused = await do(
        customer.api, "pauseSubscription", "subscription { id }", tenantId=customer.id, at="NOW", idempotencyKey="p"
    )
    assert "fees of a pause" in refused(paused)["message"]
