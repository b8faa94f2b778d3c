"""Top-ups that are paid first: granted once, only when paid, whatever webhooks, processes and people do."""

import asyncio

import pytest

from services import checkouts, jobs
from storage.charges import Charge
from storage.credits import CreditGrant
from storage.database import transaction
from storage.discrepancies import Discrepancy
from storage.invoices import Invoice, LineItem
from storage.orders import OrderState, TopUpOrder
from tests.services.credit_steps import left, take, upload
from tests.services.order_steps import (
    CREATED,
    TEN,
    act,
    call_stripe,
    checkout,
    customer_of,
    open_checkout,
    order,
    orders,
    rule_customer,
    session_of,
    set_card,
)
from tests.services.steps import Customer, Json, do, fault, problems, quota, refused, stripe_books
from tests.world import World

pytestmark = pytest.mark.anyio
METER = "documents_created"


async def drop_webhooks(world: World, times: int = 100) -> None:
    (await world.stripe.post("/_sandbox/webhooks", json={"drop": times})).raise_for_status()


async def test_a_page_is_paid_and_the_credits_are_there_once(world: World) -> None:
    customer = await customer_of(world)
    own = Customer(world, customer.tenant, await customer.own_api())
    made = await checkout(own)
    assert (made["way"], made["status"], made["units"], made["price"]) == ("CHECKOUT", "OPEN", "10", {"amount": "9.00"})
    assert made["url"].startswith("http://stripe.test/_sandbox/checkout/cs_test_")
    assert (await checkout(own))["id"] == made["id"]
    assert await left(customer, METER) == 0
    (await world.stripe.post("/_sandbox/webhooks", json={"duplicate": True})).raise_for_status()
    await act(world, made)
    await world.work()
    paid = await order(own, made["id"])
    assert (paid["status"], paid["url"], paid["grant"]["units"]) == ("PAID", None, "10")
    assert paid["grant"]["price"] == {"amount": "9.00"}
    assert await left(customer, METER) == 10
    [invoice] = await Invoice.filter(tenant_id=customer.tenant.id, kind="TOP_UP")
    [line] = await LineItem.filter(tenant_id=customer.tenant.id, invoice_id=invoice.id)
    assert (invoice.total_minor, invoice.state, line.amount_minor, line.kind) == (900, "PAID", 900, "CHARGE")
    [charge] = await Charge.filter(tenant_id=customer.tenant.id)
    assert charge.invoice_id == invoice.id, "the next invoice must not bill it again"


async def test_the_same_page_is_not_made_twice(world: World) -> None:
    customer = await customer_of(world)
    made = await asyncio.gather(*(open_checkout(customer) for _ in range(5)))
    assert len({m["checkout"]["id"] for m in made if m["checkout"]}) == 1
    assert len((await stripe_books(world))["checkout.session"]) == 1
    assert refused(await open_checkout(customer, 100))["__typename"] == "Conflict"
    assert list(problems(await open_checkout(customer, 11, "other"))) == ["units"]
    assert (await open_checkout(customer, 10, successUrl="https://else.test"))["userErrors"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop",
        "http://shop.test/x",
        "javascript:alert(1)",
        "https://",
        "https://user:pass@shop.test/",
        "https://shop.test/ x",
        "https://shop.test/é",
        "https://shop.test:99999/",
        "https://[::1",
        "//shop.test",
        "https://shop.test/" + "x" * 2_000,
    ],
)
async def test_addresses_that_nobody_is_sent_to(url: str) -> None:
    assert not checkouts.is_address(url)


async def test_addresses(world: World) -> None:
    for url in (
        "https://shop.test/a?b={CHECKOUT_SESSION_ID}",
        "http://localhost:3000/x",
        "http://127.0.0.1/",
        "http://[::1]/",
    ):
        assert checkouts.is_address(url)
    customer = await customer_of(world)
    made = await open_checkout(customer, successUrl="x", cancelUrl="http://shop.test", idempotencyKey="")
    assert sorted(problems(made)) == ["cancelUrl", "idempotencyKey", "successUrl"]


async def test_a_payment_is_found_without_its_webhook(world: World) -> None:
    customer = await customer_of(world)
    made = await checkout(customer)
    await drop_webhooks(world)
    await act(world, made)
    await world.work()
    assert await left(customer, METER) == 0
    world.clock.travel_to(world.clock.now() + checkouts.FOLLOW_EVERY)
    await world.work()
    assert await left(customer, METER) == 10


async def test_a_bank_may_take_its_time_and_refuse(world: World) -> None:
    customer = await customer_of(world)
    good, bad = await checkout(customer, 10, "good"), await checkout(customer, 10, "bad")
    for made in (good, bad):
        await act(world, made, "fail")
        await act(world, made, "async")
    await world.work()
    assert [o["status"] for o in await orders(customer)] == ["OPEN", "OPEN"]
    assert await left(customer, METER) == 0
    await act(world, good, "async_paid")
    await act(world, bad, "async_failed")
    await world.work()
    assert [o["status"] for o in await orders(customer)] == ["PAID", "FAILED"]
    assert "bank" in (await order(customer, bad["id"]))["failure"]
    assert await left(customer, METER) == 10


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_page_that_nobody_pays_expires(world: World, *, is_told: bool) -> None:
    customer = await customer_of(world)
    made = await checkout(customer)
    if not is_told:
        await drop_webhooks(world)
    await world.travel_to(world.clock.now() + checkouts.FOLLOW_EVERY * 25)
    await world.work()
    shown = await order(customer, made["id"])
    assert (shown["status"], shown["url"], shown["grant"]) == ("EXPIRED", None, None)
    assert (await open_checkout(customer))["checkout"]["status"] == "EXPIRED", "a repeat tells what became of it"


@pytest.mark.parametrize(
    ("kind", "times"), [("timeout_after", 3), ("timeout_before", 3), ("500_remembered", 3), ("429", 1)]
)
async def test_without_an_answer_the_same_key_asks_again(world: World, kind: str, times: int) -> None:
    customer = await customer_of(world)
    await fault(world.stripe, kind, times, on="/v1/checkout/sessions")
    first = await open_checkout(customer)
    assert [error["__typename"] for error in first["userErrors"]] == ["OutcomeUnknown"]
    again = await checkout(customer)
    assert again["url"]
    assert len((await stripe_books(world))["checkout.session"]) == 1


async def test_a_webhook_before_our_own_commit(world: World) -> None:
    customer = await customer_of(world)
    await fault(world.stripe, "timeout_after", times=3, on="/v1/checkout/sessions")
    await open_checkout(customer)
    [session] = (await stripe_books(world))["checkout.session"]
    [ours] = await TopUpOrder.filter(tenant_id=customer.tenant.id)
    assert ours.stripe_id is None
    (await world.stripe.post(f"/_sandbox/checkout/{session['id']}", json={"outcome": "pay"})).raise_for_status()
    await world.work()
    assert await left(customer, METER) == 10
    assert (await open_checkout(customer))["checkout"]["status"] == "PAID"


async def test_stripe_may_refuse_a_page(world: World) -> None:
    cheap = {"units": 1, "price": "0.10"}
    customer = await customer_of(world, topUpPacks=[cheap])
    for _ in range(2):
        error = refused(await open_checkout(customer, 1))
        assert error["__typename"] == "PaymentRefused"
    assert [o["status"] for o in await orders(customer)] == ["FAILED"]


async def test_another_tenants_page_and_anothers_money_grant_nothing(world: World) -> None:
    acme, bolt = await customer_of(world), await customer_of(world, "bolt")
    made = await checkout(acme)
    theirs = await session_of(world, made)
    sessions = world.stripe._transport.app.state.account.books.tables["checkout.session"]  # type: ignore[attr-defined]
    stored = sessions[theirs["id"]]
    for name, wrong in (
        ("customer", bolt.tenant.stripe_customer_id),
        ("client_reference_id", "not-ours"),
        ("metadata", {}),
    ):
        right, stored[name] = stored[name], wrong
        effect = await checkouts.take_checkout(world.platform, theirs["id"])
        assert (await effect()).why_ignored, name
        stored[name] = right
    stored["currency"] = "eur"
    await act(world, made)
    await world.work()
    assert (await left(acme, METER), await left(bolt, METER)) == (0, 0)
    [flag] = await Discrepancy.filter(tenant_id=acme.tenant.id)
    assert (flag.kind, flag.ours_minor, flag.theirs_minor) == ("TOP_UP_AMOUNT", 900, 900)
    assert (await order(acme, made["id"]))["status"] == "FAILED"
    own = Customer(world, bolt.tenant, await bolt.own_api())
    query = "query ($id: ID!) { topUpOrder(id: $id) { id } }"
    assert (await own.api.ask(query, id=made["id"]))["topUpOrder"] is None


async def test_a_rule_that_is_paid_first_orders_and_waits(world: World) -> None:
    customer = await rule_customer(world)
    for key in ("a", "b"):
        assert (await upload(customer, key))["decision"]["reason"] == "INCLUDED"
    error = (await upload(customer, "c"))["userErrors"][0]
    assert error["__typename"] == "TopUpRequired"
    assert "10 more are ordered" in error["message"]
    [waiting] = await orders(customer)
    assert (waiting["way"], waiting["status"], waiting["units"]) == ("INVOICE", "OPEN", "10")
    await upload(customer, "d")
    assert len(await orders(customer)) == 1, "one is open at a time"
    await world.work()
    [paid] = await orders(customer)
    assert (paid["status"], paid["grant"]["units"]) == ("PAID", "10")
    assert (await upload(customer, "c"))["decision"]["reason"] == "CREDIT"
    [invoice] = await Invoice.filter(tenant_id=customer.tenant.id)
    [theirs] = (await stripe_books(world))["invoice"][-1:]
    assert (invoice.stripe_invoice_id, invoice.kind, invoice.state) == (theirs["id"], "TOP_UP", "PAID")
    assert (theirs["subtotal"], theirs["status"], theirs["attempt_count"]) == (900, "paid", 1)


async def test_what_is_ordered_counts_for_the_cap(world: World) -> None:
    customer = await rule_customer(world, monthlyCap="18.00")
    made = []
    for number in range(40):
        made.append(await upload(customer, f"k{number}"))
        await world.work()
    assert sum(1 for m in made if m["decision"]) == 22, "two included, two packs of ten"
    assert [o["status"] for o in await orders(customer)] == ["PAID", "PAID"]
    assert len(await Invoice.filter(tenant_id=customer.tenant.id)) == 2, "several top-ups in one period"
    assert sum([c.amount_minor for c in await Charge.filter(tenant_id=customer.tenant.id)]) == 1800


async def test_a_declined_card_grants_nothing_and_is_not_tried_again(world: World) -> None:
    customer = await rule_customer(world)
    await set_card(world, customer, "decline")
    for key in ("a", "b", "c"):
        await upload(customer, key)
        await world.work()
    [failed] = await orders(customer)
    assert (failed["status"], failed["grant"]) == ("FAILED", None)
    assert "declined" in failed["failure"]
    error = (await upload(customer, "d"))["userErrors"][0]
    assert "ordered" not in error["message"]
    assert await customer.state() == "ACTIVE", "no dunning for what nobody has got"
    voided = (await stripe_books(world))["invoice"][-1]
    assert (voided["status"], voided["subtotal"]) == ("void", 900)
    assert await Invoice.filter(tenant_id=customer.tenant.id).count() == 0
    await set_card(world, customer, "success")
    await act(world, await checkout(customer))  # a payment of theirs lets the rule try again
    await world.work()
    for number in range(12):
        await upload(customer, f"e{number}")
        await world.work()
    assert [o["status"] for o in await orders(customer)] == ["FAILED", "PAID", "PAID"]


async def test_the_next_period_tries_again(world: World) -> None:
    customer = await rule_customer(world)
    await set_card(world, customer, "decline")
    await customer.record({"meter": METER, "quantity": 5, "idempotencyKey": "facts"})
    await world.work()
    await customer.record({"meter": METER, "quantity": 5, "idempotencyKey": "more"})
    await world.work()
    assert [o["status"] for o in await orders(customer)] == ["FAILED"]
    await set_card(world, customer, "success")
    await world.travel_to(world.clock.now() + checkouts.FOLLOW_EVERY * 24 * 31)
    await world.work()
    await customer.record({"meter": METER, "quantity": 2, "idempotencyKey": "next"})
    await world.work()
    assert [o["status"] for o in await orders(customer)] == ["FAILED", "PAID"]


async def test_parallel_webhooks_and_workers_grant_once(world: World) -> None:
    customer = await customer_of(world)
    made = await checkout(customer)
    session = await act(world, made)

    async def webhook() -> None:
        effect = await checkouts.take_checkout(world.platform, session["id"])
        async with transaction():
            await effect()

    [ours] = await TopUpOrder.all()
    await asyncio.gather(
        *(webhook() for _ in range(4)),
        jobs.run_now(
            world.platform,
            customer.tenant.id,
            checkouts.FOLLOW,
            str(ours.id),
            checkouts.follow_checkout,
        ),
    )
    await world.work()
    assert len(await CreditGrant.filter(tenant_id=customer.tenant.id)) == 1
    assert len(await Invoice.filter(tenant_id=customer.tenant.id)) == 1
    assert [o.state for o in await TopUpOrder.all()] == [OrderState.PAID]


@pytest.mark.parametrize(("balance", "collected"), [(-500, 400), (-2_000, 0), (30, 930)])
async def test_a_customers_balance_does_not_move_our_books(world: World, balance: int, collected: int) -> None:
    """Stripe settles it with what is collected; the subtotal is what was ordered."""
    customer = await rule_customer(world)
    [theirs] = [c for c in (await stripe_books(world))["customer"] if c["email"] == customer.tenant.email]
    await call_stripe(world, f"/v1/customers/{theirs['id']}", balance=balance)
    for key in ("a", "b"):
        await upload(customer, key)
    await world.work()
    invoice = (await stripe_books(world))["invoice"][-1]
    assert (invoice["subtotal"], invoice["amount_paid"], invoice["status"]) == (900, collected, "paid")
    [ours] = await Invoice.filter(tenant_id=customer.tenant.id)
    assert (ours.total_minor, await left(customer, METER)) == (900, 10)
    [shown] = await orders(customer)
    assert (await take(customer, "refundCredits", shown["grant"], 1))["refund"] == {"amount": "0.90"}
    refunds = [r["amount"] for r in (await stripe_books(world))["refund"]]
    charges = [c.amount_minor for c in await Charge.filter(tenant_id=customer.tenant.id).order_by("id")]
    assert (refunds, charges) == (([90], [900]) if collected else ([], [900, -90])), (
        "no money has moved: the next invoice"
    )


async def test_a_plan_says_how_its_rule_is_paid(world: World) -> None:
    rule = {"below": 2, "packUnits": 10, "monthlyCap": "18.00", "payment": "FIRST"}
    limit = {**quota(METER, "HARD", 2), "topUpPacks": [TEN], "autoTopUp": rule}
    plan = {"code": "p", "name": "P", "currency": "USD", "prices": [CREATED]}
    wrong = await do(world.operator, "createPlan", "plan { id }", quotas=[limit], **plan)
    assert list(problems(wrong)) == ["quotas.0.autoTopUp.payment"]
    shown = "plan { version quotas { autoTopUp { payment } } }"

    async def make(policy: str, payment: str) -> Json:
        right = {**limit, "policy": policy, "autoTopUp": {**rule, "payment": payment}}
        answer = await do(world.operator, "createPlan", shown, quotas=[right], **plan)
        assert answer["plan"]["quotas"][0]["autoTopUp"] == {"payment": payment}
        return dict(answer["plan"])

    await make("TOP_UP", "FIRST")
    await make("SOFT", "FIRST")
    made = await make("HARD", "NEXT_INVOICE")
    same = {**limit, "autoTopUp": {name: value for name, value in rule.items() if name != "payment"}}
    again = await do(world.operator, "createPlan", shown, quotas=[same], **plan)
    assert again["plan"] == made, "the default is what a plan's version has always said"
