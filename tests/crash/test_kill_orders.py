"""kill -9 between a page and our row, between a payment and its credits: each is made, paid and granted once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.limits import NewAutoTopUp, NewPack, NewQuota, TopUpPayment
from services.plans import LimitPolicy
from storage.charges import Charge
from storage.credits import CreditGrant
from storage.invoices import Invoice, InvoiceState
from storage.orders import OrderState, TopUpOrder
from storage.tenants import Tenant
from tests.bookkeeping import sign_up
from tests.crash import stories
from tests.crash.conftest import City

pytestmark = pytest.mark.anyio
PACKS = [NewPack(10, Decimal("9.00"))]


async def check_books(reference: str, fate: str) -> TopUpOrder:
    """One order, paid; one invoice, one charge, one grant of it."""
    tenant = await Tenant.get(external_reference=reference)
    [order] = await TopUpOrder.filter(tenant_id=tenant.id)
    assert order.state is OrderState.PAID, fate
    [invoice] = await Invoice.filter(tenant_id=tenant.id)
    assert (invoice.total_minor, invoice.state, invoice.id) == (900, InvoiceState.PAID, order.invoice_id), fate
    [charge] = await Charge.filter(tenant_id=tenant.id)
    assert (charge.amount_minor, charge.invoice_id) == (900, invoice.id), fate
    [grant] = await CreditGrant.filter(tenant_id=tenant.id)
    assert (grant.units, grant.idempotency_key) == (10, f"order:{order.id}"), fate
    return order


async def test_a_checkout(city: City) -> None:
    most = 30
    for number in range(1, most + 1):
        quota = NewQuota("downloads", LimitPolicy.TOP_UP, 1, packs=PACKS)
        await sign_up(city.platform, f"check_out-{number}", quota)
    fates = await city.kill_everywhere(stories.check_out, prepared=True)
    assert len(fates) <= most
    assert {"COMMIT", "POST /v1/checkout/sessions"} <= set(fates.values())
    await city.go_on(stories.check_out, list(fates), timedelta(minutes=5))
    books = (await city.stripe.get("/_sandbox/books")).json()
    for reference, fate in fates.items():
        order = await check_books(reference, fate)
        [session] = [s for s in books["checkout.session"] if s["client_reference_id"] == str(order.id)]
        assert (session["id"], session["payment_status"]) == (order.stripe_id, "paid"), fate


async def test_an_order_of_a_rule(city: City) -> None:
    most = 40
    rule = NewAutoTopUp(2, 10, Decimal("9.00"), TopUpPayment.FIRST)
    for number in range(1, most + 1):
        quota = NewQuota("downloads", LimitPolicy.TOP_UP, 1, packs=PACKS, auto_top_up=rule)
        await sign_up(city.platform, f"order_by_rule-{number}", quota)
    fates = await city.kill_everywhere(stories.order_by_rule, prepared=True)
    assert len(fates) <= most
    steps = {
        "POST /v1/invoices",
        "POST /v1/invoiceitems",
        "POST /v1/invoices/in_…/finalize",
        "POST /v1/invoices/in_…/pay",
    }
    assert steps <= set(fates.values())
    await city.go_on(stories.order_by_rule, list(fates), timedelta(minutes=5))
    books: dict[str, Any] = (await city.stripe.get("/_sandbox/books")).json()
    for reference, fate in fates.items():
        order = await check_books(reference, fate)
        customer = (await Tenant.get(external_reference=reference)).stripe_customer_id
        mine = [i for i in books["invoice"] if i["customer"] == customer]
        assert [(i["id"], i["status"], i["subtotal"]) for i in mine] == [(order.stripe_id, "paid", 900)], fate
