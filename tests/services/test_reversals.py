"""Money that goes back: unused credits go with it, the rest is flagged, and what comes to nothing is undone."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import jobs, reversal_looks, reversals
from storage.charges import Charge
from storage.database import rows, transaction
from storage.discrepancies import Discrepancy
from storage.invoices import Invoice
from storage.jobs import SYSTEM
from storage.orders import TopUpOrder
from tests.services.credit_steps import balance, left, take, upload
from tests.services.order_steps import (
    act,
    call_stripe,
    charge_of,
    checkout,
    customer_of,
    dispute,
    order,
    orders,
    paid_order,
    rule_customer,
)
from tests.services.steps import Customer, Json, fault, refused, stripe_books
from tests.world import World

pytestmark = pytest.mark.anyio
METER = "documents_created"


async def refund(world: World, payment_intent: str, amount: int | None = None) -> Json:
    form = {"payment_intent": payment_intent, **({"amount": amount} if amount else {})}
    made = await call_stripe(world, "/v1/refunds", **form)
    await world.work()
    return made


async def use(customer: Customer, units: int) -> None:
    """Use credits: two documents are included."""
    event = {"meter": METER, "quantity": units + 2, "idempotencyKey": "used"}
    assert [r["status"] for r in await customer.record(event)] == ["RECORDED"]


async def flags(customer: Customer) -> list[tuple[str, int, int, str]]:
    found = await Discrepancy.filter(tenant_id=customer.tenant.id).order_by("id")
    return [(flag.kind, flag.ours_minor, flag.theirs_minor, flag.state) for flag in found]


async def test_a_refund_takes_back_what_is_unused(world: World) -> None:
    customer, made, intent = await paid_order(world)
    (await world.stripe.post("/_sandbox/webhooks", json={"duplicate": True, "reorder": True})).raise_for_status()
    await refund(world, intent)
    assert await left(customer, METER) == 0
    shown = (await balance(customer, METER))["revoked"]
    [gone] = (await order(customer, made["id"]))["reversals"]
    assert (shown, gone["units"], gone["taken"], gone["isStanding"]) == (10, "10", "10", True)
    assert await flags(customer) == []


async def test_parts_are_rounded_up_and_come_to_the_whole(world: World) -> None:
    customer, made, intent = await paid_order(world)
    for amount, remaining in ((1, 9), (299, 6), (1, 6), (599, 0)):
        await refund(world, intent, amount)
        assert await left(customer, METER) == remaining, amount
    assert [r["units"] for r in (await order(customer, made["id"]))["reversals"]] == ["1", "3", "0", "6"]


async def test_what_was_used_is_flagged(world: World) -> None:
    customer, made, intent = await paid_order(world)
    await use(customer, 7)
    theirs = await refund(world, intent)
    [gone] = (await order(customer, made["id"]))["reversals"]
    assert (gone["units"], gone["taken"], await left(customer, METER)) == ("10", "3", 0)
    assert await flags(customer) == [("REFUND_OF_USED_CREDITS", 270, 900, "OPEN")]
    (await world.stripe.post(f"/_sandbox/refunds/{theirs['id']}/fail")).raise_for_status()
    await world.work()
    assert await left(customer, METER) == 3
    assert await flags(customer) == [("REFUND_OF_USED_CREDITS", 270, 900, "RESOLVED")]
    await balance(customer, METER)


async def test_a_refund_that_fails_gives_back_what_it_took(world: World) -> None:
    customer, made, intent = await paid_order(world)
    first, _ = await refund(world, intent, 450), await refund(world, intent, 90)
    assert await left(customer, METER) == 4
    (await world.stripe.post(f"/_sandbox/refunds/{first['id']}/fail")).raise_for_status()
    await world.work()
    assert await left(customer, METER) == 9
    standing = [(r["units"], r["isStanding"]) for r in (await order(customer, made["id"]))["reversals"]]
    assert standing == [("5", False), ("1", True)]


@pytest.mark.parametrize(("decided", "remaining"), [("won", 10), ("lost", 0), ("under_review", 0)])
async def test_a_dispute_takes_and_if_it_is_won_gives_back(world: World, decided: str, remaining: int) -> None:
    customer, _, intent = await paid_order(world)
    charge = await charge_of(world, intent)
    await dispute(world, charge)
    await world.work()
    assert await left(customer, METER) == 0
    (await world.stripe.post("/_sandbox/webhooks", json={"duplicate": True})).raise_for_status()
    await dispute(world, charge, decided)
    await world.work()
    assert await left(customer, METER) == remaining


async def test_a_dispute_that_was_won_before_we_heard_of_it_takes_nothing(world: World) -> None:
    customer, made, intent = await paid_order(world)
    charge = await charge_of(world, intent)
    await dispute(world, charge)
    await dispute(world, charge, "won")
    await world.work()
    assert await left(customer, METER) == 10
    assert [r["isStanding"] for r in (await order(customer, made["id"]))["reversals"]] == [False]


async def test_who_looked_before_a_dispute_was_won_and_comes_later_takes_nothing(world: World) -> None:
    customer, made, intent = await paid_order(world)
    charge = await charge_of(world, intent)
    (await world.stripe.post("/_sandbox/webhooks", json={"drop": 100})).raise_for_status()
    opened = await dispute(world, charge)
    late = await reversals.take_dispute(world.platform, opened["id"])
    await dispute(world, charge, "won")
    sooner = await reversals.take_dispute(world.platform, opened["id"])
    for effect in (sooner, late):
        async with transaction():
            await effect()
    await world.work()
    assert await left(customer, METER) == 10
    assert [r["isStanding"] for r in (await order(customer, made["id"]))["reversals"]] == [False]


async def test_who_looked_before_a_refund_failed_and_comes_later_flags_nothing(world: World) -> None:
    customer = await customer_of(world)
    await customer.record({"meter": METER, "quantity": 5, "idempotencyKey": "facts"})
    await world.travel_to(world.clock.now().replace(month=4, day=10, hour=12))
    await world.work()
    [payment] = (await stripe_books(world))["invoice_payment"]
    (await world.stripe.post("/_sandbox/webhooks", json={"drop": 100})).raise_for_status()
    theirs = await refund(world, payment["payment"]["payment_intent"], 100)
    late = await reversals.take_refund(world.platform, theirs["id"])
    (await world.stripe.post(f"/_sandbox/refunds/{theirs['id']}/fail")).raise_for_status()
    sooner = await reversals.take_refund(world.platform, theirs["id"])
    for effect in (sooner, late):
        async with transaction():
            await effect()
    assert await flags(customer) == [("REFUND_OF_INVOICE", 0, 100, "RESOLVED")]


async def test_more_goes_back_than_was_paid(world: World) -> None:
    customer, made, intent = await paid_order(world)
    await refund(world, intent, 450)
    await dispute(world, await charge_of(world, intent))
    await world.work()
    assert [r["units"] for r in (await order(customer, made["id"]))["reversals"]] == ["5", "5"]
    assert await left(customer, METER) == 0


async def test_a_refund_before_the_payment_was_seen(world: World) -> None:
    customer = await customer_of(world)
    made = await checkout(customer)
    (await world.stripe.post("/_sandbox/webhooks", json={"drop": 1})).raise_for_status()
    session = await act(world, made)
    await refund(world, session["payment_intent"], 180)
    shown = await order(customer, made["id"])
    assert (shown["status"], shown["grant"]["units"], shown["grant"]["remaining"]) == ("PAID", "10", "8")


async def test_an_order_of_a_rule_is_found_by_its_invoice(world: World) -> None:
    customer = await rule_customer(world)
    for key in ("a", "b"):
        await upload(customer, key)
    await world.work()
    assert await left(customer, METER) == 10
    [payment] = (await stripe_books(world))["invoice_payment"]
    await refund(world, payment["payment"]["payment_intent"], 450)
    assert await left(customer, METER) == 5
    [shown] = await orders(customer)
    assert [(r["amount"], r["taken"]) for r in shown["reversals"]] == [({"amount": "4.50"}, "5")]


async def test_credits_that_are_pledged_are_taken_when_they_are_free(world: World) -> None:
    customer, made, intent = await paid_order(world)
    await use(customer, 0)
    await fault(world.signnow, "timeout_before", on="/document")
    assert (await upload(customer, "held"))["userErrors"][0]["__typename"] == "OutcomeUnknown"
    await refund(world, intent)
    assert (await balance(customer, METER))["balance"] == 1
    assert (await order(customer, made["id"]))["reversals"][0]["taken"] == "0", "not settled yet"
    world.clock.travel_to(world.clock.now() + reversals.PLEDGED_PAUSE)
    await world.work()  # SignNow never had it: the pledge is free
    world.clock.travel_to(world.clock.now() + reversals.PLEDGED_PAUSE)
    await world.work()
    assert await left(customer, METER) == 0
    assert (await order(customer, made["id"]))["reversals"][0]["taken"] == "10"
    assert await flags(customer) == []


async def test_the_same_refund_at_once(world: World) -> None:
    customer, made, intent = await paid_order(world)
    theirs = await call_stripe(world, "/v1/refunds", payment_intent=intent, amount=450)
    charge = await charge_of(world, intent)

    async def webhook(handler: Any, object_id: str) -> None:
        effect = await handler(world.platform, object_id)
        async with transaction():
            await effect()

    both = [(reversals.take_refund, theirs["id"]), (reversals.take_charge, charge)] * 2
    await asyncio.gather(*(webhook(*one) for one in both))
    await world.work()
    assert len((await order(customer, made["id"]))["reversals"]) == 1
    assert await left(customer, METER) == 5


async def test_money_of_a_period_is_flagged_for_the_operator(world: World) -> None:
    customer = await customer_of(world)
    await customer.record({"meter": METER, "quantity": 5, "idempotencyKey": "facts"})
    await world.travel_to(world.clock.now().replace(month=4, day=10, hour=12))
    await world.work()
    [invoice] = await Invoice.filter(tenant_id=customer.tenant.id)
    [payment] = [p for p in (await stripe_books(world))["invoice_payment"] if p["invoice"] == invoice.stripe_invoice_id]
    theirs = await refund(world, payment["payment"]["payment_intent"], 100)
    assert await flags(customer) == [("REFUND_OF_INVOICE", 0, 100, "OPEN")]
    (await world.stripe.post(f"/_sandbox/refunds/{theirs['id']}/fail")).raise_for_status()
    await world.work()
    assert await flags(customer) == [("REFUND_OF_INVOICE", 0, 100, "RESOLVED")]


async def test_a_payment_of_another_system_is_nothing_of_ours(world: World) -> None:
    item = {
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": 500,
        "line_items[0][price_data][product_data][name]": "A mug",
    }
    session = await call_stripe(world, "/v1/checkout/sessions", mode="payment", success_url="https://x.test", **item)
    paid = await world.stripe.post(f"/_sandbox/checkout/{session['id']}", json={"outcome": "pay"})
    await refund(world, paid.json()["payment_intent"])
    effect = await reversals.take_charge(world.platform, await charge_of(world, paid.json()["payment_intent"]))
    assert (await effect()).why_ignored == "no payment of ours"
    assert await Discrepancy.all().count() == 0


@given(
    units=st.integers(1, 10**6),
    price=st.integers(1, 10**6),
    parts=st.lists(st.integers(1, 10**6), max_size=6),
)
def test_nobody_keeps_a_unit_for_money_that_went_back(units: int, price: int, parts: list[int]) -> None:
    order = TopUpOrder(units=units, amount_minor=price)
    gone = taken = 0
    for part in parts:
        gone += part
        taken += max(reversals.units_of(order, gone) - taken, 0)
        kept = units - taken
        assert kept * price <= units * max(price - gone, 0)
        assert (kept + 1) * price > units * (price - gone), "not one more than that"
    assert taken <= units


async def test_credits_that_were_paid_first_are_refunded_at_stripe(world: World) -> None:
    customer, made, intent = await paid_order(world)
    grant = (await order(customer, made["id"]))["grant"]
    for _ in range(2):
        back = await take(customer, "refundCredits", grant, 4)
        assert (back["units"], back["refund"]) == ("4", {"amount": "3.60"})
        await world.work()
    shown = await balance(customer, METER)
    assert (shown["balance"], shown["refunded"], shown["revoked"]) == (6, 4, 0)
    [theirs] = (await stripe_books(world))["refund"]
    assert (theirs["amount"], theirs["payment_intent"]) == (360, intent)
    [charge] = await Charge.filter(tenant_id=customer.tenant.id)
    assert charge.amount_minor == 900, "no invoice gives it back too"
    [gone] = (await order(customer, made["id"]))["reversals"]
    assert (gone["units"], gone["taken"], gone["amount"]) == ("4", "4", {"amount": "3.60"})
    (await world.stripe.post(f"/_sandbox/refunds/{theirs['id']}/fail")).raise_for_status()
    await world.work()
    shown = await balance(customer, METER)
    assert (shown["balance"], shown["refunded"]) == (10, 0)
    assert (await take(customer, "refundCredits", grant, None, "again"))["refund"] == {"amount": "9.00"}


async def test_if_stripe_refuses_a_refund_the_credits_stay(world: World) -> None:
    customer, made, intent = await paid_order(world)
    (await world.stripe.post("/_sandbox/webhooks", json={"drop": 9})).raise_for_status()
    await refund(world, intent)
    grant = (await order(customer, made["id"]))["grant"]
    for _ in range(2):
        assert refused(await take(customer, "refundCredits", grant, 4))["__typename"] == "PaymentRefused"
    assert await left(customer, METER) == 10


async def test_a_refund_without_an_answer_is_made_once(world: World) -> None:
    customer, made, _ = await paid_order(world)
    grant = (await order(customer, made["id"]))["grant"]
    await fault(world.stripe, "timeout_after", times=3, on="/v1/refunds")
    assert refused(await take(customer, "refundCredits", grant, 4))["__typename"] == "UpstreamUnavailable"
    await world.work()  # its webhook comes first
    assert (await order(customer, made["id"]))["reversals"][0]["taken"] == "4"
    assert await left(customer, METER) == 6, "the units were taken before"
    world.clock.travel_to(world.clock.now() + reversals.PLEDGED_PAUSE)
    await world.work()
    assert (await take(customer, "refundCredits", grant, 4))["refund"] == {"amount": "3.60"}
    assert [r["amount"] for r in (await stripe_books(world))["refund"]] == [360]
    assert await left(customer, METER) == 6


async def test_an_order_of_a_rule_is_refunded_at_stripe(world: World) -> None:
    customer = await rule_customer(world)
    for key in ("a", "b"):
        await upload(customer, key)
    await world.work()
    [shown] = await orders(customer)
    assert (await take(customer, "refundCredits", shown["grant"]))["refund"] == {"amount": "9.00"}
    assert [r["amount"] for r in (await stripe_books(world))["refund"]] == [900]


async def lose_webhooks(world: World) -> None:
    (await world.stripe.post("/_sandbox/webhooks", json={"drop": 1000})).raise_for_status()


async def look(world: World) -> str:
    """The daily look alone, without the hourly list of events; what it said."""
    await reversal_looks.schedule_looking(world.platform)
    await jobs.run_now(world.platform, SYSTEM, reversal_looks.LOOK, "daily", reversal_looks.look_for_reversals)
    await world.work()
    [job] = await rows("SELECT state, last_error FROM job WHERE topic = ?", reversal_looks.LOOK)
    assert job["state"] == "WAITING"
    return str(job["last_error"])


async def test_what_no_webhook_has_told_of_is_looked_for(world: World) -> None:
    customer, made, intent = await paid_order(world)
    await lose_webhooks(world)
    await call_stripe(world, "/v1/refunds", payment_intent=intent, amount=270)
    await world.work()
    assert await left(customer, METER) == 10
    for said in ("1 were new", "0 were new"):
        assert said in await look(world)
        assert await left(customer, METER) == 7
    charge = await charge_of(world, intent)
    await dispute(world, charge, amount=450)
    await world.work()
    assert "1 were new" in await look(world)
    assert await left(customer, METER) == 2
    await dispute(world, charge, "won")
    assert "1 were new" in await look(world)
    assert await left(customer, METER) == 7
    gone = (await order(customer, made["id"]))["reversals"]
    assert [(one["units"], one["isStanding"]) for one in gone] == [("3", True), ("5", False)]


async def test_what_webhooks_have_told_of_costs_the_look_nothing(world: World) -> None:
    customer, _, intent = await paid_order(world)
    await refund(world, intent, 270)
    assert "0 were new" in await look(world)
    assert await left(customer, METER) == 7


async def test_a_look_that_fails_goes_on_where_it_stopped(world: World) -> None:
    customer, _, intent = await paid_order(world)
    await lose_webhooks(world)
    for amount in (90, 180):
        await call_stripe(world, "/v1/refunds", payment_intent=intent, amount=amount)
    await fault(world.stripe, "500", 3, on="/v1/disputes", method="GET")
    assert "were new" not in await look(world)
    assert await left(customer, METER) == 7
    assert "0 were new" in await look(world)


async def test_refunds_of_others_are_looked_at_once(world: World) -> None:
    await paid_order(world)
    [theirs] = (await stripe_books(world))["customer"]
    made = await call_stripe(world, "/v1/invoices", customer=theirs["id"], auto_advance="false")
    await call_stripe(world, "/v1/invoiceitems", customer=theirs["id"], invoice=made["id"], amount=700, currency="usd")
    await call_stripe(world, f"/v1/invoices/{made['id']}/pay")
    await lose_webhooks(world)
    [charge] = [c["id"] for c in (await stripe_books(world))["charge"] if c["amount"] == 700]
    await call_stripe(world, "/v1/refunds", charge=charge)
    for said in ("1 were new", "0 were new"):
        assert said in await look(world)
    assert await Discrepancy.all().count() == 0


async def test_an_inquiry_takes_nothing_until_it_becomes_a_dispute(world: World) -> None:
    customer, _, intent = await paid_order(world)
    charge = await charge_of(world, intent)
    for status, remaining in (("inquired", 10), ("needs_response", 0), ("under_review", 0), ("won", 10)):
        await dispute(world, charge, status)
        await world.work()
        assert await left(customer, METER) == remaining, status
