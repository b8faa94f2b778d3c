"""Failures, payments and endings in any order, with webhooks doubled, shuffled and lost: the same end."""

import random
from datetime import timedelta
from typing import Any, Final

import pytest

from tests.services.dunning_steps import (
    FAILED,
    STRIPE,
    at_stripe,
    card,
    debtor,
    fail,
    notices,
    post,
    standing,
    stripe_dunning,
    travel,
)
from tests.services.steps import Customer
from tests.services.steps import impatient as impatient
from tests.world import World

pytestmark = pytest.mark.anyio
GRACE, RESTRICTED, LAST = 5, 5, 30
DAYS: Final = (2, 3, 8, 13, 16)
"""Two days away from any step, so that a webhook that is a day late makes no difference."""
NOTHING_CAN_PAY: Final = {"retry_days": [], "after_retries": "past_due"}


async def act(world: World, customer: Customer, what: str) -> None:
    match what:
        case "pay":
            await card(world, customer, "success")
        case "pay by other means" | "void":
            await card(world, customer, "success")  # for what comes later
            for theirs in [i for i in await at_stripe(world, customer) if i["status"] == "open"]:
                form = {"paid_out_of_band": "true"} if what != "void" else {}
                await post(world, f"/v1/invoices/{theirs['id']}/{'pay' if form else 'void'}", **form)
        case "end at Stripe":
            for theirs in await at_stripe(world, customer, "subscription"):
                if theirs["status"] != "canceled":
                    url = f"/v1/subscriptions/{theirs['id']}"
                    (await world.stripe.delete(url, headers=STRIPE)).raise_for_status()


def expected(then: str, agenda: dict[int, str]) -> tuple[str, str | None, str | None]:
    """State, step and plan at last, told from what happens and not from what is stored."""
    state, is_open, is_ended = "GRACE", True, False
    plan: str | None = "growth-acme"

    def end() -> None:
        nonlocal state, plan, is_ended
        is_ended = True
        plan = {"DOWNGRADE": "free"}.get(then)
        state = {"DEPROVISION": "DEPROVISIONED", "DOWNGRADE": "ACTIVE"}.get(then, state)

    for day in range(LAST):
        if is_open and not is_ended and day == GRACE:
            state = "RESTRICTED"
        if is_open and not is_ended and day == GRACE + RESTRICTED and then != "RESTRICT":
            end()
        match agenda.get(day):
            case None:
                continue
            case "end at Stripe":
                if plan == "free":
                    plan = None  # whose policy says nothing: it just ends
                elif plan is not None:
                    end()
                    is_ended = then != "RESTRICT"
            case _:
                was_by_case = is_open and state == "DEPROVISIONED"
                if state != "DEPROVISIONED" or was_by_case:
                    state = "ACTIVE"
                is_open = False
    step = None
    if is_open:
        step = {"DEPROVISION": "DEPROVISIONED", "DOWNGRADE": "DOWNGRADED"}.get(then) if is_ended else "RESTRICTED"
    return state, step, plan


@pytest.mark.parametrize("seed", range(16))
async def test_the_same_end_in_any_weather(world: World, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    then = ("RESTRICT", "DOWNGRADE", "DEPROVISION")[seed % 3]
    policy: dict[str, Any] = {"graceDays": GRACE, "restrictedDays": RESTRICTED, "then": then}
    if then == "DOWNGRADE":
        policy["to"] = "free"
    deeds = ("pay", "pay by other means", "void", "end at Stripe")
    agenda = {day: dice.choice(deeds) for day in sorted(dice.sample(DAYS, dice.randint(0, 3)))}
    customer = await debtor(world, **policy)
    await stripe_dunning(world, **NOTHING_CAN_PAY)
    await fail(world)
    for day in range(LAST):
        await travel(world, FAILED + timedelta(days=day, minutes=10))
        deed = agenda.get(day)
        # What the daily look finds may be lost; that somebody ended a subscription which owes nothing it does not see.
        lost = dice.randint(0, 3) if deed and deed != "end at Stripe" else 0
        weather = {"duplicate": dice.random() < 0.5, "reorder": dice.random() < 0.5, "drop": lost}
        await world.stripe.post("/_sandbox/webhooks", json=weather)
        if deed:
            await act(world, customer, deed)
            await world.work()
            await world.stripe.post("/_sandbox/webhooks", json={})
    tenant = await standing(customer)
    found = (
        tenant["state"],
        tenant["dunning"] and tenant["dunning"]["step"],
        tenant["subscription"] and tenant["subscription"]["plan"]["code"],
    )
    assert found == expected(then, agenda), agenda
    told = [notice["kind"] for notice in await notices(customer)]
    assert len([kind for kind in told if kind in ("DOWNGRADED", "DEPROVISIONED")]) <= 1, (agenda, told)
    assert told.count("RESTORED") == (0 if found[1] else 1), (agenda, told)
