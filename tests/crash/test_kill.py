"""kill -9 anywhere, and another process goes on: in the end every book says that everything happened once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from services import corrections, plans, signing, stripe_items, subscriptions, usage, usage_reports
from services.corrections import NewCorrection
from services.plans import CreatePlan, NewPrice
from services.subscriptions import SubscribeTenant
from services.tenants import ProvisionTenant, Tenant, TenantState, provision_tenant
from services.usage import NewEvent
from storage.database import rows
from storage.documents import Document
from storage.intents import Intent
from storage.invoices import Invoice, InvoiceState, LineItem
from storage.jobs import LEASE
from storage.operations import Operation
from storage.plans import FeesDue, Plan, StripeMode
from storage.subscriptions import Subscription, SubscriptionState, phases_of
from storage.usage import UsageEvent
from storage.usage_reports import UsageReport
from tests.bookkeeping import PRICE, sign_up, used_units
from tests.crash import stories
from tests.crash.conftest import City

ARRIVED = {InvoiceState.PUSHED, InvoiceState.PAID}
"""Who finds an invoice finalized by a killed process asks Stripe at once whether it is paid, too."""

pytestmark = pytest.mark.anyio


async def test_provisioning(city: City) -> None:
    fates = await city.kill_everywhere(stories.provision, prepared=True)
    assert {
        "COMMIT",
        "INSERT INTO intent",
        "POST /v1/customers",
        "POST /user/folder",
        "POST /v1/products",
        "POST /v1/prices",
        "UPDATE plan",
        "POST /v1/subscriptions",
    } <= set(fates.values())

    await city.go_on(stories.provision, list(fates), timedelta(days=2))  # Stripe has forgotten its keys
    root = (await city.signnow.get("/folder", headers={"authorization": "Bearer sandbox-api-key"})).json()
    for reference, fate in fates.items():
        tenant = await Tenant.get(external_reference=reference)
        assert tenant.state is TenantState.ACTIVE, fate
        [folder] = [entry["id"] for entry in root["folders"] if str(tenant.public_id) in entry["name"]]
        assert folder == tenant.signnow_folder_id, fate
        theirs = await city.stripe_books(tenant)
        [subscription] = await Subscription.filter(tenant_id=tenant.id)
        assert [c["id"] for c in theirs["customer"]] == [tenant.stripe_customer_id], fate
        assert [s["id"] for s in theirs["subscription"]] == [subscription.stripe_subscription_id], fate
        [phase] = await phases_of(tenant.id, subscription.id)
        [price] = [p for p in theirs["price"] if p["lookup_key"] == f"inkmeter:{phase.plan_id}:base"]
        plan = [p for p in theirs["product"] if p["metadata"].get("plan_code") == f"plan-{reference}"]
        assert [p["id"] for p in plan] == [price["product"]], fate
    assert not await Intent.filter(state__in=["SENT", "UNKNOWN"]), "what was done is known to be done"


async def test_signing(city: City) -> None:
    fates = await city.kill_everywhere(stories.sign, prepared=False)
    assert {
        "COMMIT",
        "POST /document",
        "PUT /document/…",
        "POST /document/…/invite",
        "GET /document/…/download",
    } <= set(fates.values())

    await city.go_on(stories.sign, list(fates), timedelta(minutes=3))
    for reference, fate in fates.items():
        tenant = await Tenant.get(external_reference=reference)
        theirs, ours = await city.signnow_books(tenant), await used_units(tenant)
        assert (theirs["uploads"], ours["documents_created"]) == (1, 1), fate
        assert (theirs["invites_charged"], ours["invites_sent"]) == (1, 1), fate
        assert ours["downloads"] == 1, fate
        assert theirs["downloads"] >= 1, fate  # it costs nothing, so that it may happen again
        events = await UsageEvent.filter(tenant_id=tenant.id)
        assert sum(event.upstream_units for event in events) == theirs["invites_charged"], fate
        assert not await Operation.filter(tenant_id=tenant.id, state__in=["RESERVED", "UNKNOWN"]).exists(), fate
        followed = await rows("SELECT 1 AS ok FROM job WHERE tenant_id = ? AND topic = ?", tenant.id, signing.FOLLOW)
        assert len(followed) == 1, fate


async def test_managing_what_was_sent(city: City) -> None:
    fates = await city.kill_everywhere(stories.manage, prepared=False)
    assert {
        "POST /template",
        "POST /template/…/copy",
        "PUT /document/…",
        "POST /document/…/invite",
        "DELETE /field_invite/…",
        "POST /field_invite",
        "PUT /document/…/fieldinvitecancel",
    } <= set(fates.values())

    await city.go_on(stories.manage, list(fates), timedelta(minutes=3))
    for reference, fate in fates.items():
        tenant = await Tenant.get(external_reference=reference)
        theirs, ours = await city.signnow_books(tenant), await used_units(tenant)
        assert (theirs["uploads"], ours["documents_created"]) == (2, 2), fate
        assert (theirs["invites_charged"], ours["invites_sent"]) == (1, 1), fate
        documents = await Document.filter(tenant_id=tenant.id).order_by("id")
        assert sorted((d.name, d.state.value) for d in documents) == [
            ("Lease", "CANCELLED"),
            ("Of all", "TEMPLATE"),
            ("Source", "UPLOADED"),
        ], fate
        for document in documents:
            found = await city.platform.signnow.document(document.signnow_document_id)
            assert (found.name, found.is_invited) == (document.name, False), fate
        assert not await Operation.filter(tenant_id=tenant.id, state__in=["RESERVED", "UNKNOWN"]).exists(), fate


async def test_closing_and_pushing(city: City) -> None:
    most = 40
    for number in range(1, most + 1):
        tenant = await sign_up(city.platform, f"close-{number}")
        await usage.record_usage(city.platform, tenant, [NewEvent("invites_sent", 3, "three")])
    await city.travel_to(datetime(2026, 4, 10, 0, 30, tzinfo=UTC))  # before Stripe finalizes its draft by itself
    fates = await city.kill_everywhere(stories.close, prepared=True)
    assert len(fates) <= most
    assert {
        "COMMIT",
        "UPDATE job",
        "POST /v1/invoices/in_…",
        "POST /v1/invoices/in_…/add_lines",
        "POST /v1/invoices/in_…/finalize",
    } <= set(fates.values())

    await city.go_on(stories.close, list(fates), LEASE * 3)
    for reference, fate in fates.items():
        tenant = await Tenant.get(external_reference=reference)
        [invoice] = await Invoice.filter(tenant_id=tenant.id)
        assert invoice.total_minor == 4900 + 2 * 425, fate
        assert invoice.state in ARRIVED, fate
        items = await LineItem.filter(tenant_id=tenant.id).order_by("position")
        theirs = await city.stripe_books(tenant)
        [cycle] = theirs["invoice"]
        assert (cycle["id"], cycle["status"]) == (invoice.stripe_invoice_id, "paid"), fate
        assert cycle["total"] == cycle["amount_paid"] == invoice.total_minor, fate
        billed = {item["id"]: item["amount"] for item in theirs["invoiceitem"]}
        assert billed == {item.stripe_item_id: item.amount_minor for item in items if item.amount_minor}, fate
        assert await used_units(tenant) == {"invites_sent": 3}, fate


async def test_leaving(city: City) -> None:
    """Fees were billed in advance; the end gives back a part of them."""
    most = 70
    terms = await plans.create_plan(city.platform, CreatePlan("ahead", "Ahead", "USD", [PRICE]))
    await Plan.filter(id=terms.plan.id).update(fees=FeesDue.ADVANCE)
    for number in range(1, most + 1):
        who = ProvisionTenant(f"leave-{number}", "Inc", f"billing@leave-{number}.test", "USD")
        tenant = await provision_tenant(city.platform, who)
        await subscriptions.subscribe_tenant(city.platform, SubscribeTenant(tenant, terms.plan.id))
        await usage.record_usage(city.platform, tenant, [NewEvent("invites_sent", 3, "three")])
    await city.travel_to(datetime(2026, 3, 25, 12, tzinfo=UTC))  # the middle of 31 days
    fates = await city.kill_everywhere(stories.leave, prepared=True)
    assert len(fates) <= most
    assert {
        "COMMIT",
        "POST /v1/invoices",
        "POST /v1/invoices/in_…/add_lines",
        "POST /v1/invoices/in_…/finalize",
        "DELETE /v1/subscriptions/sub_…",
    } <= set(fates.values())

    await city.go_on(stories.leave, list(fates), LEASE * 3)
    for reference, fate in fates.items():
        tenant = await Tenant.get(external_reference=reference)
        opening, final = await Invoice.filter(tenant_id=tenant.id).order_by("id")
        assert (opening.total_minor, final.total_minor) == (4900, 2 * 425 - 2450), fate
        assert {opening.state, final.state} <= ARRIVED, fate
        items = await LineItem.filter(tenant_id=tenant.id)
        theirs = await city.stripe_books(tenant)
        assert {i["id"]: i["total"] for i in theirs["invoice"]} == {
            opening.stripe_invoice_id: 4900,
            final.stripe_invoice_id: final.total_minor,
        }, fate
        billed = {item["id"]: item["amount"] for item in theirs["invoiceitem"]}
        assert billed == {item.stripe_item_id: item.amount_minor for item in items if item.amount_minor}, fate
        assert [s["status"] for s in theirs["subscription"]] == ["canceled"], fate
        [subscription] = await Subscription.filter(tenant_id=tenant.id)
        assert subscription.state is SubscriptionState.ENDED, fate


async def test_reporting_to_meters(city: City) -> None:
    """Eight units were reported; a correction takes them back, and six are reported anew."""
    most = 26
    terms = await plans.create_plan(
        city.platform,
        CreatePlan(
            "metered",
            "Metered",
            "USD",
            [NewPrice("invites_sent", "per-document", {"unitPrice": "0.25"})],
            stripe_mode=StripeMode.METERED,
        ),
    )
    for number in range(1, most + 1):
        who = ProvisionTenant(f"report-{number}", "Inc", f"billing@report-{number}.test", "USD")
        tenant = await provision_tenant(city.platform, who)
        subscription = await subscriptions.subscribe_tenant(city.platform, SubscribeTenant(tenant, terms.plan.id))
        await usage.record_usage(city.platform, tenant, [NewEvent("invites_sent", 8, "eight")])
        await stripe_items.settle_items(city.platform, subscription)
        await usage_reports.report_due(city.platform, tenant)
        wanted = [NewCorrection("eight", "six", Decimal(6))]
        await corrections.correct_usage(city.platform, tenant, wanted)
    fates = await city.kill_everywhere(stories.report, prepared=True)
    assert len(fates) <= most
    assert {
        "COMMIT",
        "UPDATE usage_report",
        "POST /v1/billing/meter_event_adjustments",
        "POST /v1/billing/meter_events",
    } <= set(fates.values())

    await city.go_on(stories.report, list(fates), LEASE * 3)
    for reference, fate in fates.items():
        tenant = await Tenant.get(external_reference=reference)
        reports = await UsageReport.filter(tenant_id=tenant.id).order_by("number")
        told = [(report.units, str(report.state)) for report in reports]
        assert told == [(8, "CANCELLED"), (6, "SENT")], fate
        assert await city.metered_units(tenant) == 6, fate
