"""What Stripe and its account may hand us that fits nothing of ours: unknown tenants, deleted customers, other
currencies, amounts too small to be charged.
"""

from datetime import UTC, datetime, timedelta

import pytest

from storage.database import rows
from tests.services.hooks import deliver
from tests.services.order_steps import call_stripe
from tests.services.spoiling import invoices_at_stripe, kept, reconcile
from tests.services.steps import Customer, event, make_plan, price, provision, refused, sign_up, stripe_books
from tests.services.terms import billed
from tests.world import World

pytestmark = pytest.mark.anyio

STRIPE = {"authorization": "Bearer sk_test_inkmeter"}
APRIL, MAY = (datetime(2026, month, 10, tzinfo=UTC) for month in (4, 5))
NOBODY = "01940000-0000-7000-8000-000000000000"


async def cycle(world: World, end: datetime) -> None:
    for minutes in (0, 60, 75):
        await world.travel_to(end + timedelta(minutes=minutes))
        await world.work()


@pytest.mark.parametrize("tenant_id", [NOBODY, "not an id", ""])
async def test_an_invoice_that_names_an_unknown_tenant_is_none_of_ours(world: World, tenant_id: str) -> None:
    """Another Inkmeter on the same account, or somebody who copied our metadata."""
    theirs = await call_stripe(world, "/v1/customers", email="x@y.test")
    named = {"metadata[tenant_id]": tenant_id, "metadata[inkmeter_key]": "invoice:x", "metadata[invoice_id]": NOBODY}
    made = await call_stripe(world, "/v1/invoices", customer=theirs["id"], **named)
    for number, kind in enumerate(("invoice.created", "invoice.updated", "invoice.paid", "invoice.payment_failed")):
        told = await deliver(world, f"evt_{number}", kind, made["id"])
        assert (told.state, bool(told.note)) == ("IGNORED", True), kind


async def small(world: World) -> Customer:
    customer = await sign_up(world, price("invites_sent", "per-document", unitPrice="0.10"))
    await customer.record(event("a", 3))
    return customer


async def test_an_amount_below_the_smallest_charge_is_paid_with_the_next_invoice(world: World) -> None:
    customer = await small(world)
    await cycle(world, APRIL)
    [theirs] = await invoices_at_stripe(world)
    assert (theirs["status"], theirs["total"], theirs["amount_paid"]) == ("paid", 30, 0)
    assert [(i["state"], i["total"]["amount"]) for i in await billed(customer)] == [("PAID", "0.30")]
    await customer.record(event("b", 50))
    await cycle(world, MAY)
    [_, theirs] = await invoices_at_stripe(world)
    assert (theirs["status"], theirs["total"], theirs["amount_paid"]) == ("paid", 500, 530)
    assert [(i["state"], i["total"]["amount"]) for i in await billed(customer)] == [("PAID", "0.30"), ("PAID", "5.00")]
    assert (await reconcile(world))["isClean"], "what was paid is never compared"


async def test_a_customer_that_was_deleted_is_billed_in_our_books_alone(world: World) -> None:
    """The push is given up in the end, visibly; nothing is charged to anybody, and nothing else stands still."""
    customer = await small(world)
    [theirs] = (await stripe_books(world))["customer"]
    (await world.stripe.delete(f"/v1/customers/{theirs['id']}", headers=STRIPE)).raise_for_status()
    for hours in (0, *range(1, 40)):
        await world.travel_to(APRIL + timedelta(hours=hours))
        await world.work()
    assert {i["state"] for i in await billed(customer)} == {"FINALIZED"}
    assert [i for i in await invoices_at_stripe(world) if i["status"] != "draft"] == []
    pushes = await rows("SELECT state, last_error FROM job WHERE topic = 'invoice.push'")
    assert {(push["state"], "PaymentRefused" in push["last_error"]) for push in pushes} == {("FAILED", True)}
    assert {"CUSTOMER", "SUBSCRIPTION"} & {row["kind"] for row in await kept(world)}
    other = await sign_up(world, reference="other", code="other")
    assert (await other.upload())["userErrors"] == []


async def test_a_plan_in_another_currency_is_refused(world: World) -> None:
    customer = await provision(world)
    plan = await make_plan(world, price("invites_sent", "per-document", unitPrice="1.00"), code="euro", currency="EUR")
    error = refused(await customer.subscribe(plan))
    assert (error["__typename"], "USD" in error["message"]) == ("Conflict", True)
    assert (await stripe_books(world))["subscription"] == []
