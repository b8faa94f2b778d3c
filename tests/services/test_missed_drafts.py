"""Drafts that were finalized while not all of our lines were on them: the rest is charged on the next invoice, once."""

from datetime import timedelta
from typing import Any

import pytest

from inkmeter.errors import UpstreamTimeout
from integrations.stripe.gateway import StripeGateway
from storage.charges import Charge
from storage.discrepancies import Discrepancy
from storage.subscriptions import Period
from storage.upstream_events import sum_billed
from tests.services.metered_steps import (
    APRIL,
    FEE,
    JUNE,
    MAY,
    SEATS,
    USAGE,
    at_stripe,
    cycle,
    differences,
    join,
    lines,
)
from tests.services.spoiling import one_by_one, reconcile
from tests.services.steps import Customer, event, provision
from tests.services.terms import FEE as COMPUTED_FEE
from tests.services.terms import billed, plan_of, told
from tests.world import World

pytestmark = pytest.mark.anyio

STRIPE = {"authorization": "Bearer sk_test_inkmeter"}


async def missed(world: World) -> Customer:
    """A METERED tenant with late usage of 1.00 in a period whose draft Stripe has finalized: nobody came for it."""
    customer = await join(world, USAGE, FEE, SEATS, seats=2)
    await customer.record(event("a", 8))
    await world.travel_to(APRIL)
    await world.work()
    await world.travel_to(APRIL + timedelta(minutes=40))
    await customer.record(event("late", 4, occurred_at=(APRIL - timedelta(minutes=5)).isoformat()))
    await world.travel_to(APRIL + timedelta(minutes=55))
    (await world.stripe.post("/_sandbox/tick")).raise_for_status()
    [*_, theirs] = await at_stripe(world)
    if theirs["status"] == "draft":
        (await world.stripe.post(f"/v1/invoices/{theirs['id']}/finalize", headers=STRIPE)).raise_for_status()
        (await world.stripe.post(f"/v1/invoices/{theirs['id']}/pay", headers=STRIPE)).raise_for_status()
    await world.travel_to(APRIL + timedelta(minutes=90))
    await world.work()
    return customer


async def test_what_stripe_billed_alone_is_not_billed_again(world: World) -> None:
    customer = await missed(world)
    [_, ours], [_, theirs] = await billed(customer), await at_stripe(world)
    assert [(kind, amount) for kind, _, amount in told(ours)] == [
        ("USAGE", "1.25"),
        ("ADJUSTMENT", "1.00"),
        ("FEE", "10.00"),
        ("FEE", "18.00"),
    ]
    assert (theirs["total"], theirs["status"], ours["state"]) == (2925, "paid", "PAID")
    [charge] = await Charge.all()
    assert (charge.kind, charge.amount_minor) == ("CORRECTION", 100)
    assert charge.label.startswith(f"Not on invoice {theirs['number']}: ")
    assert ((await reconcile(world))["isClean"], await differences()) == (True, [])
    await cycle(world, MAY)
    [*_, second], [*_, again] = await billed(customer), await at_stripe(world)
    assert [line for line in told(second) if line[0] == "CHARGE"] == [("CHARGE", charge.label, "1.00")]
    assert (again["total"], second["state"]) == (2900, "PAID")
    await cycle(world, JUNE)
    totals = [invoice["total"] for invoice in await at_stripe(world)]
    assert totals == [2800, 2925, 2900, 2800]
    for_margin = await sum_billed(await Period.all(), ())
    assert sum(billed.amount_minor for billed in for_margin) == sum(totals), "the margin counts it once"
    assert ((await reconcile(world))["isClean"], await differences()) == (True, [])


async def cut_short(world: World, monkeypatch: pytest.MonkeyPatch, *, is_lost: bool) -> Customer:
    """A COMPUTED tenant with a draft of two lines. The second call is not answered, and somebody finalizes it."""
    customer = await provision(world)
    assert (await customer.subscribe(await plan_of(world, COMPUTED_FEE)))["userErrors"] == []
    await customer.record(event("a", 30))
    await world.travel_to(APRIL)
    await world.work()
    add_line, calls = StripeGateway.add_line, []

    async def interrupted(self: StripeGateway, **asked: Any) -> str:
        calls.append(asked["key"])
        if len(calls) == 2:
            if is_lost:
                await add_line(self, **asked)
            raise UpstreamTimeout("Stripe has not answered")
        return await add_line(self, **asked)

    one_by_one(monkeypatch)
    monkeypatch.setattr(StripeGateway, "add_line", interrupted)
    await world.travel_to(APRIL + timedelta(hours=1))
    await world.work()
    [theirs] = await at_stripe(world)
    assert (theirs["status"], len(calls)) == ("draft", 2)
    (await world.stripe.post(f"/v1/invoices/{theirs['id']}/finalize", headers=STRIPE)).raise_for_status()
    await world.travel_to(APRIL + timedelta(hours=2))
    await world.work()
    await world.travel_to(APRIL + timedelta(hours=3))
    await world.work()
    return customer


@pytest.mark.parametrize("is_lost", [False, True])
async def test_what_somebody_finalized_between_two_lines(
    world: World, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    customer = await cut_short(world, monkeypatch, is_lost=is_lost)
    [ours], [theirs] = await billed(customer), await at_stripe(world)
    total = round(float(ours["total"]["amount"]) * 100)
    moved = sum(charge.amount_minor for charge in await Charge.all())
    assert (theirs["total"] + moved, theirs["status"], ours["state"]) == (total, "paid", "PAID")
    assert (len(lines(theirs)), await Charge.all().count()) == ((2, 0) if is_lost else (1, 1))
    assert ((await reconcile(world))["isClean"], await Discrepancy.all().count()) == (True, 0)


@pytest.mark.parametrize("is_lost", [False, True])
async def test_what_somebody_finalized_while_all_lines_were_added(
    world: World, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    customer = await provision(world)
    assert (await customer.subscribe(await plan_of(world, COMPUTED_FEE)))["userErrors"] == []
    await customer.record(event("a", 30))
    await world.travel_to(APRIL)
    await world.work()
    add_lines, calls = StripeGateway.add_lines, []

    async def interrupted(self: StripeGateway, **asked: Any) -> Any:
        calls.append(asked["key"])
        if len(calls) > 1 or is_lost:
            await add_lines(self, **asked)
        if len(calls) == 1:
            [theirs] = await at_stripe(world)
            (await world.stripe.post(f"/v1/invoices/{theirs['id']}/finalize", headers=STRIPE)).raise_for_status()
            raise UpstreamTimeout("Stripe has not answered")
        return await add_lines(self, **asked)

    monkeypatch.setattr(StripeGateway, "add_lines", interrupted)
    for hour in (1, 2, 3):
        await world.travel_to(APRIL + timedelta(hours=hour))
        await world.work()
    [ours], theirs = await billed(customer), await at_stripe(world)
    assert sum(invoice["total"] for invoice in theirs) == round(float(ours["total"]["amount"]) * 100)
    assert {invoice["status"] for invoice in theirs} == {"paid"}
    assert (ours["state"], len(theirs), await Charge.all().count()) == ("PAID", 1 if is_lost else 2, 0)
    assert ((await reconcile(world))["isClean"], await Discrepancy.all().count()) == (True, 0)


async def test_what_somebody_took_off_is_for_people(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not come back as a charge."""
    customer = await provision(world)
    assert (await customer.subscribe(await plan_of(world, COMPUTED_FEE)))["userErrors"] == []
    await customer.record(event("a", 30))
    await world.travel_to(APRIL)
    await world.work()

    async def no_answer(*args: Any, **kwargs: Any) -> None:
        raise UpstreamTimeout("Stripe has not answered")

    with monkeypatch.context() as patch:
        patch.setattr(StripeGateway, "finalize_invoice", no_answer)
        await world.travel_to(APRIL + timedelta(hours=1))
        await world.work()
    [theirs] = await at_stripe(world)
    order = {"do": "remove", "position": 1}
    (await world.stripe.post(f"/_sandbox/invoices/{theirs['id']}/line", json=order)).raise_for_status()
    (await world.stripe.post(f"/v1/invoices/{theirs['id']}/finalize", headers=STRIPE)).raise_for_status()
    await world.travel_to(APRIL + timedelta(hours=2))
    await world.work()
    assert await Charge.all().count() == 0
    assert [kind for kind, _ in await differences()] == ["INVOICE_TOTAL"]
