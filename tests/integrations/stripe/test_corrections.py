"""Credit notes, the portal, automatic tax and spoilt books: at the sandbox, through the gateway, in Stripe's shapes."""

from datetime import timedelta
from typing import Any

import pytest

from inkmeter.errors import PaymentRefused
from inkmeter.money import Money
from inkmeter.periods import BillingPeriod
from integrations.protocols import NO_TAX_LOCATION
from integrations.stripe.gateway import StripeGateway
from tests.integrations.stripe.conftest import START, World

pytestmark = pytest.mark.anyio

PERIOD = BillingPeriod(START, START + timedelta(days=28))


async def invoice_of(world: World, amount: int, **form: Any) -> dict[str, Any]:
    """A draft of that many cents; the customer has a card that works."""
    customer = await world.post("/v1/customers", email="billing@acme.test")
    draft = await world.post("/v1/invoices", customer=customer["id"], currency="usd", **form)
    await world.post("/v1/invoiceitems", customer=customer["id"], invoice=draft["id"], amount=amount)
    return draft


async def finalized(world: World, amount: int, *, pay: bool) -> dict[str, Any]:
    draft = await invoice_of(world, amount)
    await world.post(f"/v1/invoices/{draft['id']}/finalize")
    if pay:
        await world.post(f"/v1/invoices/{draft['id']}/pay")
    return await world.get(f"/v1/invoices/{draft['id']}")


async def test_a_paid_invoice_is_credited_to_the_customers_balance(world: World, gateway: StripeGateway) -> None:
    invoice = await finalized(world, 5000, pay=True)
    seen = await gateway.invoice(invoice["id"])
    made = [
        await gateway.ensure_credit_note(
            key="discrepancy:1:1", is_retry=retry, invoice=seen, amount=Money(700, "USD"), memo="Too much", metadata={}
        )
        for retry in (False, False, True)
    ]
    assert len(set(made)) == 1
    [note] = await gateway.credit_notes(invoice["id"])
    assert (note.id, note.amount, note.is_void) == (made[0], Money(700, "USD"), False)
    assert (await world.get(f"/v1/customers/{invoice['customer']}"))["balance"] == -700
    assert (await world.get(f"/v1/credit_notes/{note.id}"))["type"] == "post_payment"
    assert (await gateway.invoice(invoice["id"])).subtotal == Money(5000, "USD"), "its lines stay"


async def test_of_an_open_invoice_less_is_due(world: World, gateway: StripeGateway) -> None:
    invoice = await finalized(world, 5000, pay=False)
    seen = await gateway.invoice(invoice["id"])
    note = await gateway.ensure_credit_note(
        key="k", is_retry=False, invoice=seen, amount=Money(700, "USD"), memo="Too much", metadata={"a": "b"}
    )
    assert (await gateway.invoice(invoice["id"])).amount_due == Money(4300, "USD")
    await world.post(f"/v1/credit_notes/{note}/void")
    assert (await gateway.invoice(invoice["id"])).amount_due == Money(5000, "USD")
    assert [n.is_void for n in await gateway.credit_notes(invoice["id"])] == [True]
    await world.post("/v1/credit_notes", invoice=invoice["id"], amount=5000)
    assert (await gateway.invoice(invoice["id"])).status == "paid"


@pytest.mark.parametrize(
    ("pay", "form"),
    [
        (False, {"amount": 5001}),
        (False, {"amount": 500, "credit_amount": 500}),
        (True, {"amount": 500}),
        (True, {"amount": 5001, "credit_amount": 5001}),
        (True, {"amount": 500, "credit_amount": 400, "out_of_band_amount": 50}),
        (False, {"amount": 0}),
    ],
)
async def test_credit_notes_that_stripe_refuses(world: World, pay: bool, form: dict[str, int]) -> None:
    invoice = await finalized(world, 5000, pay=pay)
    assert (await world.refused("POST", "/v1/credit_notes", invoice=invoice["id"], **form))["status"] == 400


async def test_a_draft_has_no_credit_notes(world: World) -> None:
    draft = await invoice_of(world, 5000)
    assert (await world.refused("POST", "/v1/credit_notes", invoice=draft["id"], amount=5))["status"] == 400


async def test_items_are_named_and_removed(world: World, gateway: StripeGateway) -> None:
    draft = await invoice_of(world, 5000)
    seen = await gateway.invoice(draft["id"])
    item = await gateway.add_line(
        key="line:1",
        is_retry=False,
        invoice=seen,
        amount=Money(300, "USD"),
        description="Three",
        period=PERIOD,
        metadata={"line_item_id": "1"},
    )
    assert (await gateway.item_metadata(draft["id"]))[item] == {"line_item_id": "1", "inkmeter_key": "line:1"}
    assert (await gateway.invoice(draft["id"])).lines[-1].period == (PERIOD.start, PERIOD.end)
    await gateway.remove_item(item)
    await gateway.remove_item(item)
    assert (await gateway.invoice(draft["id"])).subtotal == Money(5000, "USD")
    await world.post(f"/v1/invoices/{draft['id']}/finalize")
    [left] = (await gateway.invoice(draft["id"])).lines
    assert left.invoice_item_id is not None
    with pytest.raises(PaymentRefused, match="open"):
        await gateway.remove_item(left.invoice_item_id)


async def test_customers_that_are_gone(world: World, gateway: StripeGateway) -> None:
    invoice = await finalized(world, 5000, pay=True)
    assert await gateway.customer_exists(invoice["customer"])
    [head] = await gateway.invoices_since(invoice["customer"], START)
    assert (head.id, head.subtotal, head.status) == (invoice["id"], Money(5000, "USD"), "paid")
    assert await gateway.invoices_since(invoice["customer"], START + timedelta(seconds=1)) == []
    await world.call("DELETE", f"/v1/customers/{invoice['customer']}")
    assert not await gateway.customer_exists(invoice["customer"])
    assert not await gateway.customer_exists("cus_none")


async def test_the_portal(world: World, gateway: StripeGateway) -> None:
    customer = await world.post("/v1/customers", email="billing@acme.test")
    url = await gateway.open_portal(customer["id"], "https://app.test/", key="portal:1")
    assert await gateway.open_portal(customer["id"], "https://app.test/", key="portal:2") != url
    with pytest.raises(PaymentRefused):
        await gateway.open_portal("cus_none", "https://app.test/", key="portal:3")
    assert (await world.http.get("/_sandbox/portal/bps_none")).status_code == 404


async def test_tax_needs_a_location(world: World, gateway: StripeGateway) -> None:
    await world.control("tax", percent=19)
    draft = await invoice_of(world, 1003, **{"automatic_tax[enabled]": "true"})
    with pytest.raises(PaymentRefused) as refusal:
        await gateway.finalize_invoice(draft["id"], key="f:1")
    assert refusal.value.upstream_code == NO_TAX_LOCATION
    assert (await gateway.invoice(draft["id"])).finalization_error == NO_TAX_LOCATION
    await world.control("flush")
    assert "invoice.finalization_failed" in world.inbox.types()
    await gateway.set_address(draft["customer"], {"country": "DE", "city": "Kiel"}, key="a:1")
    final = await gateway.finalize_invoice(draft["id"], key="f:2")
    assert (final.subtotal.minor, final.exclusive_tax.minor, final.total.minor) == (1003, 191, 1194)
    assert final.finalization_error is None


async def test_a_draft_is_taxed_when_it_is_held(world: World, gateway: StripeGateway) -> None:
    await world.control("tax", percent=10)
    draft = await invoice_of(world, 1000)
    await gateway.set_address(draft["customer"], {"country": "DE"}, key="a:1")
    await gateway.hold_invoice(draft["id"])
    assert (await gateway.invoice(draft["id"])).total.minor == 1000
    await gateway.hold_invoice(draft["id"], is_taxed=True)
    assert (await gateway.invoice(draft["id"])).total.minor == 1100


async def test_stripes_own_timer_meets_the_missing_location_once(world: World) -> None:
    draft = await invoice_of(world, 1000, **{"automatic_tax[enabled]": "true", "auto_advance": "true"})
    await world.control("flush")
    await world.travel(START + timedelta(hours=5))
    await world.travel(START + timedelta(hours=9))
    assert (await world.get(f"/v1/invoices/{draft['id']}"))["status"] == "draft"
    assert world.inbox.types().count("invoice.finalization_failed") == 1
