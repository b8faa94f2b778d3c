"""Drafts that are deleted, or finalized, at Stripe by hand while our lines are put onto them."""

from typing import Any

import pytest

from inkmeter.errors import UpstreamTimeout
from integrations.stripe.gateway import StripeGateway
from storage.discrepancies import Discrepancy, begin_repair
from storage.invoices import Invoice
from tests.services.spoiling import invoices_at_stripe, kept, one_by_one, reconcile
from tests.services.steps import Customer, do, global_id, provision, stripe_books
from tests.services.terms import FEE, SEATS, billed, plan_of
from tests.world import World

pytestmark = pytest.mark.anyio

STRIPE = {"authorization": "Bearer sk_test_inkmeter"}


@pytest.fixture
async def held(world: World, monkeypatch: pytest.MonkeyPatch) -> Customer:
    """A tenant whose opening invoice, of 60.00 and 2 × 30.00, has its lines at Stripe, and is still a draft."""
    customer = await provision(world)
    plan = await plan_of(world, FEE, SEATS, fees="ADVANCE", code="ahead")

    async def no_answer(*args: Any, **kwargs: Any) -> None:
        raise UpstreamTimeout("Stripe has not answered")

    with monkeypatch.context() as patch:
        patch.setattr(StripeGateway, "finalize_invoice", no_answer)
        assert (await customer.subscribe(plan, seats=2))["userErrors"] == []
        await world.work()
    [theirs] = await invoices_at_stripe(world)
    assert (theirs["status"], theirs["total"]) == ("draft", 12000)
    return customer


async def delete(world: World) -> str:
    [theirs] = await invoices_at_stripe(world)
    (await world.stripe.delete(f"/v1/invoices/{theirs['id']}", headers=STRIPE)).raise_for_status()
    await world.work()
    return str(theirs["id"])


async def test_it_goes_to_stripe_again_when_somebody_asks_for_it(world: World, held: Customer) -> None:
    """Within the day in which Stripe answers the first keys with what was deleted."""
    first = await delete(world)
    assert await invoices_at_stripe(world) == [], "not by itself: somebody may have meant it"
    [found] = (await reconcile(world))["differences"]
    assert (found["kind"], found["repair"], found["ours"]["amount"]) == ("INVOICE_MISSING", "PUSH_AGAIN", "120.00")
    report = await reconcile(world, repair=True)
    assert (report["isClean"], report["differences"][0]["isRepaired"]) == (True, True)
    await world.work()
    [theirs], [ours] = await invoices_at_stripe(world), await billed(held)
    assert (theirs["total"], theirs["status"], ours["state"]) == (12000, "paid", "PAID")
    assert theirs["id"] != first
    assert len((await stripe_books(world))["invoiceitem"]) == 2
    assert [(d["state"], d["repair"]) for d in await kept(world)] == [("RESOLVED", "PUSH_AGAIN")]
    assert (await reconcile(world, repair=True))["isClean"]
    assert len(await invoices_at_stripe(world)) == 1


async def test_a_repair_that_was_cut_short_goes_on(
    world: World, held: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await delete(world)
    one_by_one(monkeypatch)
    add_line, calls = StripeGateway.add_line, []

    async def cut_short(self: StripeGateway, **asked: Any) -> str:
        calls.append(asked["key"])
        if len(calls) == 2:
            raise UpstreamTimeout("Stripe has not answered")
        return await add_line(self, **asked)

    monkeypatch.setattr(StripeGateway, "add_line", cut_short)
    await reconcile(world, repair=True)
    [theirs] = await invoices_at_stripe(world)
    assert (theirs["status"], theirs["total"]) == ("draft", 6000)
    await world.travel_to(world.clock.now().replace(hour=23))
    await world.work()
    [theirs], [ours] = await invoices_at_stripe(world), await billed(held)
    assert (theirs["total"], theirs["status"], ours["state"]) == (12000, "paid", "PAID")
    assert (await reconcile(world))["isClean"]
    assert len((await stripe_books(world))["invoiceitem"]) == 2


@pytest.mark.parametrize("is_lost", [False, True])
async def test_a_repair_whose_one_call_has_no_answer_goes_on(
    world: World, held: Customer, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    await delete(world)
    add_lines, calls = StripeGateway.add_lines, []

    async def cut_short(self: StripeGateway, **asked: Any) -> Any:
        calls.append(asked["key"])
        if len(calls) > 1:
            return await add_lines(self, **asked)
        if is_lost:
            await add_lines(self, **asked)
        raise UpstreamTimeout("Stripe has not answered")

    monkeypatch.setattr(StripeGateway, "add_lines", cut_short)
    await reconcile(world, repair=True)
    [theirs] = await invoices_at_stripe(world)
    assert (theirs["status"], theirs["total"]) == ("draft", 12000 if is_lost else 0)
    await world.travel_to(world.clock.now().replace(hour=23))
    await world.work()
    [theirs], [ours] = await invoices_at_stripe(world), await billed(held)
    assert (theirs["total"], theirs["status"], ours["state"]) == (12000, "paid", "PAID")
    assert (await reconcile(world))["isClean"]
    assert len((await stripe_books(world))["invoiceitem"]) == 2


async def test_who_meant_it_explains_it(world: World, held: Customer) -> None:
    await delete(world)
    [row] = await Discrepancy.all()
    told = {"id": global_id("Discrepancy", row.id), "note": "Agreed: the first month is free."}
    await do(world.operator, "explainDiscrepancy", "discrepancy { state }", **told)
    report = await reconcile(world, repair=True)
    assert (report["isClean"], await invoices_at_stripe(world)) == (True, [])


async def test_one_that_was_finalized_by_hand_is_taken_as_it_is(world: World, held: Customer) -> None:
    [theirs] = await invoices_at_stripe(world)
    (await world.stripe.post(f"/v1/invoices/{theirs['id']}/finalize", headers=STRIPE)).raise_for_status()
    for hour in (22, 23):  # it was held, so Stripe would never collect it by itself
        await world.travel_to(world.clock.now().replace(hour=hour))
        await world.work()
    [theirs] = await invoices_at_stripe(world)
    assert ((await billed(held))[0]["state"], theirs["total"]) == ("PAID", 12000)
    assert (await Invoice.all().count(), await Discrepancy.all().count()) == (1, 0)


async def test_a_repair_that_was_killed_at_once_is_carried_out_by_a_worker(world: World, held: Customer) -> None:
    """What is to be done is stored before it is tried; the push looks at that."""
    await delete(world)
    [row] = await Discrepancy.all()
    assert await begin_repair(row, "PUSH_AGAIN")
    await world.travel_to(world.clock.now().replace(hour=23))
    await world.work()
    [theirs], [ours] = await invoices_at_stripe(world), await billed(held)
    assert (theirs["total"], theirs["status"], ours["state"]) == (12000, "paid", "PAID")
    assert ((await reconcile(world))["isClean"], len((await stripe_books(world))["invoiceitem"])) == (True, 2)
