"""The gateway's payments: pages, charges of invoices, refunds and disputes."""

from datetime import timedelta
from typing import Any

import pytest

from inkmeter.errors import PaymentRefused
from inkmeter.money import Money
from integrations.protocols import StripeCheckout, StripeReversal
from integrations.stripe.gateway import StripeGateway
from tests.integrations.stripe.conftest import API_KEY, START, Impatient, World, paid_session

pytestmark = pytest.mark.anyio
NINE = Money(900, "USD")


async def a_customer(gateway: StripeGateway) -> str:
    return await gateway.ensure_customer(key="c", is_retry=False, name="Acme", email="a@acme.test", metadata={})


async def a_page(gateway: StripeGateway, customer: str, *, is_retry: bool = False) -> StripeCheckout:
    order: dict[str, Any] = {"success_url": "https://x.test/a", "cancel_url": "https://x.test/b", "label": "Ten"}
    return await gateway.ensure_checkout(
        key="page-1",
        is_retry=is_retry,
        customer_id=customer,
        reference="order-1",
        amount=NINE,
        metadata={"order_id": "order-1"},
        **order,
    )


async def test_a_page_is_made_once(world: World, gateway: StripeGateway) -> None:
    customer = await a_customer(gateway)
    made = await a_page(gateway, customer)
    assert (made.status, made.payment_status, made.amount, made.reference) == ("open", "unpaid", NINE, "order-1")
    assert made.metadata == {"order_id": "order-1", "inkmeter_key": "page-1"}
    assert (await a_page(gateway, customer)).id == made.id
    world.app.state.account._answers.clear()  # Stripe has forgotten its keys
    assert (await a_page(gateway, customer, is_retry=True)).id == made.id
    paid = await world.control(f"checkout/{made.id}", outcome="pay")
    now = await gateway.checkout(made.id)
    assert (now.payment_status, now.payment_intent_id, now.has_failed) == ("paid", paid["payment_intent"], False)
    found = await gateway.find_checkout(paid["payment_intent"])
    assert found == now
    assert await gateway.find_paid_invoice(paid["payment_intent"]) is None


async def test_a_bank_that_refuses_later(world: World, gateway: StripeGateway) -> None:
    made = await a_page(gateway, await a_customer(gateway))
    await world.control(f"checkout/{made.id}", outcome="fail")
    assert not (await gateway.checkout(made.id)).has_failed, "another card may be tried"
    await world.control(f"checkout/{made.id}", outcome="async")
    assert not (await gateway.checkout(made.id)).has_failed
    await world.control(f"checkout/{made.id}", outcome="async_failed")
    assert (await gateway.checkout(made.id)).has_failed


async def test_an_invoice_is_charged_by_us(world: World, gateway: StripeGateway) -> None:
    customer = await a_customer(gateway)
    await world.control(f"customers/{customer}/card", card="decline")

    async def an_invoice(key: str) -> str:
        made = await gateway.ensure_invoice(key=key, is_retry=False, customer_id=customer, currency="USD", metadata={})
        await world.post("/v1/invoiceitems", customer=customer, invoice=made, amount=900)
        final = await gateway.finalize_invoice(made, key=f"{key}:f", is_collected=False)
        assert (final.status, final.attempt_count, final.is_advancing) == ("open", 0, False)
        assert await gateway.find_payment(made) is None
        return made

    first = await an_invoice("one")
    with pytest.raises(PaymentRefused, match="declined"):
        await gateway.pay_invoice(first, key="pay-one")
    assert not await gateway.is_payment_under_way(first)
    await gateway.void_invoice(first, key="void-one")
    assert (await gateway.invoice(first)).status == "void"
    await world.control(f"customers/{customer}/card", card="success")
    invoice = await an_invoice("two")
    await gateway.pay_invoice(invoice, key="pay-two")
    intent = await gateway.find_payment(invoice)
    assert intent is not None
    assert await gateway.find_paid_invoice(intent) == invoice
    assert await gateway.find_checkout(intent) is None
    with pytest.raises(PaymentRefused):
        await gateway.void_invoice(invoice, key="void-two")
    world.app.state.account.books.tables["payment_intent"][intent]["status"] = "processing"
    assert await gateway.is_payment_under_way(invoice)


async def test_money_goes_back_once(world: World, gateway: StripeGateway) -> None:
    paid = await paid_session(world)
    part = Money(300, "USD")

    async def refund() -> StripeReversal:
        return await gateway.ensure_refund(
            key="back", is_retry=True, payment_intent_id=paid["intent"], amount=part, metadata={"entry_id": "x"}
        )

    made = await refund()
    assert (made.status, made.amount, made.payment_intent_id) == ("succeeded", part, paid["intent"])
    world.app.state.account._answers.clear()
    assert await refund() == made
    assert await gateway.refund(made.id) == made
    assert await gateway.refunds_of_charge(paid["charge"]) == [made]
    with pytest.raises(PaymentRefused):
        await gateway.ensure_refund(
            key="more", is_retry=False, payment_intent_id=paid["intent"], amount=NINE, metadata={}
        )


async def test_a_dispute(world: World) -> None:
    # Not by the checked client: our cut of Stripe's OpenAPI file has no path for disputes.
    gateway = StripeGateway(api_key=API_KEY, api_base="http://stripe", http_client=Impatient(world.http))
    paid = await paid_session(world)
    opened = await world.control(f"charges/{paid['charge']}/dispute", status="opened")
    found = await gateway.dispute(opened["id"])
    assert (found.status, found.amount, found.payment_intent_id) == ("needs_response", NINE, paid["intent"])


async def test_refunds_are_listed_a_page_at_a_time(world: World, gateway: StripeGateway) -> None:
    paid = await paid_session(world)
    made = [(await world.post("/v1/refunds", charge=paid["charge"], amount="1"))["id"] for _ in range(103)]
    pages = [page async for page in gateway.refunds_since(START)]
    assert [len(page) for page in pages] == [100, 3]
    assert {refund.id for page in pages for refund in page} == set(made)
    assert [page async for page in gateway.refunds_since(START + timedelta(days=1))] == []
