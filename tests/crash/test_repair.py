"""Reconciling with repair, killed everywhere: what was too much is credited once, what was too little charged once."""

from datetime import timedelta

import pytest

from services import jobs, plans, pushing, reconciling, subscriptions
from services.plans import CreatePlan, NewPrice
from services.platform import Platform
from services.reconciling import Mode, Report
from services.subscriptions import SubscribeTenant
from services.tenants import ProvisionTenant, Tenant, provision_tenant
from storage.charges import Charge
from storage.discrepancies import Discrepancy
from storage.invoices import Invoice
from storage.jobs import LEASE
from storage.plans import FeesDue, Plan
from tests.crash.conftest import City
from tests.world import START

pytestmark = pytest.mark.anyio

PRICES = [NewPrice("invites_sent", "flat", {"fee": "49.00"}), NewPrice("downloads", "flat", {"fee": "20.00"})]


async def mend(platform: Platform, reference: str) -> None:
    """Compare the tenant's books with Stripe's, and repair them."""
    tenant = await Tenant.get(external_reference=reference)
    since = START - timedelta(days=1)
    await reconciling.reconcile_tenant(platform, tenant, since, Mode(repair=True), Report())


async def _spoil(city: City, tenant: Tenant) -> None:
    """Stripe's first line is five dollars too high, the second three too low."""
    invoice = await Invoice.get(tenant_id=tenant.id)
    for position, amount in enumerate((5400, 1700)):
        order = {"do": "change", "position": position, "amount": amount}
        (await city.stripe.post(f"/_sandbox/invoices/{invoice.stripe_invoice_id}/line", json=order)).raise_for_status()


async def open_and_spoil(city: City, references: list[str]) -> None:
    """Tenants whose opening invoice is paid, and then spoilt at Stripe."""
    terms = await plans.create_plan(city.platform, CreatePlan("ahead", "Ahead", "USD", PRICES))
    await Plan.filter(id=terms.plan.id).update(fees=FeesDue.ADVANCE)
    for reference in references:
        who = ProvisionTenant(reference, f"{reference} Inc", f"billing@{reference}.test", "USD")
        tenant = await provision_tenant(city.platform, who)
        await subscriptions.subscribe_tenant(city.platform, SubscribeTenant(tenant, terms.plan.id))
        opening = await Invoice.get(tenant_id=tenant.id)
        await jobs.run_now(city.platform, tenant.id, pushing.PUSH, str(opening.id), pushing.push_invoice)
        await _spoil(city, tenant)
    await Invoice.all().update(state="PAID", paid_at=START)


async def test_repairing(city: City) -> None:
    most = 20
    await open_and_spoil(city, [f"mend-{number}" for number in range(1, most + 1)])
    fates = await city.kill_everywhere(mend, prepared=True)
    assert len(fates) <= most
    assert {"INSERT INTO discrepancy", "UPDATE discrepancy", "POST /v1/credit_notes", "COMMIT"} <= set(fates.values())

    await city.go_on(mend, list(fates), LEASE * 3)
    notes = (await city.stripe.get("/_sandbox/books")).json()["credit_note"]
    for reference, fate in fates.items():
        tenant = await Tenant.get(external_reference=reference)
        invoice = await Invoice.get(tenant_id=tenant.id)
        assert [n["amount"] for n in notes if n["invoice"] == invoice.stripe_invoice_id] == [500], fate
        assert [charge.amount_minor for charge in await Charge.filter(tenant_id=tenant.id)] == [300], fate
        rows = await Discrepancy.filter(tenant_id=tenant.id)
        assert [(row.state.value, row.times) for row in rows] == [("RESOLVED", 1)] * 2, fate
