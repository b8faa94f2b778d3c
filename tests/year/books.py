"""What must hold at the end of a year, and all that the books say, without ids and clocks."""

from collections import Counter, defaultdict
from typing import Any

from storage.charges import Charge
from storage.credits import CreditEntry, CreditEntryKind, CreditGrant
from storage.database import rows
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.invoices import Invoice, InvoiceState, LineItem
from storage.operations import Operation
from storage.orders import TopUpOrder
from storage.plans import Plan
from storage.subscriptions import Period, Phase, Subscription
from storage.tenants import Tenant
from storage.usage import read_counters
from tests.services.spoiling import reconcile
from tests.services.steps import stripe_books
from tests.year.cast import START
from tests.year.year import Year


async def assert_books_agree(year: Year) -> None:
    failed = await rows("SELECT tenant_id, topic, dedup, last_error FROM job WHERE state = 'FAILED'")
    assert not failed, list(map(dict, failed))
    report = await reconcile(year.world, since=START.isoformat(), first=50)
    assert report["isClean"], (report["differences"], report["failures"])
    left = await Discrepancy.filter(state=DiscrepancyState.OPEN)
    assert not left, [(row.kind, row.subject, row.explanation, row.evidence) for row in left]
    assert await Operation.filter(state__in=["RESERVED", "UNKNOWN"]).count() == 0
    for actor in year.actors.values():
        tenant = await actor.tenant()
        await assert_invoices_add_up(tenant)
        await assert_credits_add_up(tenant)
    await assert_stripe_agrees(year)


async def assert_invoices_add_up(tenant: Tenant) -> None:
    for invoice in await Invoice.filter(tenant_id=tenant.id):
        items = await LineItem.filter(tenant_id=tenant.id, invoice_id=invoice.id)
        assert invoice.total_minor == sum(item.amount_minor for item in items)
        assert invoice.state in (InvoiceState.PAID, InvoiceState.VOID), (tenant.external_reference, invoice.state)
        if invoice.kind == "TOP_UP":
            assert [i.amount_minor for i in items] == [invoice.total_minor]


async def assert_credits_add_up(tenant: Tenant) -> None:
    """Grants are the sum of their entries, periods' counters of those that were used; nothing is reserved."""
    entries = await CreditEntry.filter(tenant_id=tenant.id)
    used: defaultdict[tuple[Any, str], int] = defaultdict(int)
    for entry in entries:
        if entry.kind in (CreditEntryKind.CONSUMED, CreditEntryKind.RETURNED):
            used[entry.period_starts_at, entry.meter] -= entry.units
    for grant in await CreditGrant.filter(tenant_id=tenant.id):
        assert 0 <= grant.remaining <= grant.units
        assert grant.remaining == sum(entry.units for entry in entries if entry.grant_id == grant.id)
    for period in await Period.filter(tenant_id=tenant.id):
        for meter, counter in (await read_counters(tenant.id, period.starts_at)).items():
            assert counter.reserved == 0
            assert counter.credited == used.pop((period.starts_at, meter), 0)
    assert not any(used.values())
    paid = await TopUpOrder.filter(tenant_id=tenant.id, state="PAID")
    assert len({order.invoice_id for order in paid}) == len(paid)
    granted = await CreditGrant.filter(tenant_id=tenant.id, idempotency_key__startswith="order:").count()
    assert granted == len(paid)


async def assert_stripe_agrees(year: Year) -> None:
    """Invoice by invoice, and in sum for each customer: what was billed was paid, by a charge or its balance."""
    books = await stripe_books(year.world)
    theirs = {invoice["id"]: invoice for invoice in books["invoice"]}
    ours = {i.stripe_invoice_id: i for i in await Invoice.filter(stripe_invoice_id__isnull=False)}
    for stripe_id, invoice in ours.items():
        assert stripe_id is not None
        assert theirs[stripe_id]["status"] == invoice.state.value.lower()
        assert invoice.stripe_total_minor == theirs[stripe_id]["total"]
    intents = {p["payment"]["payment_intent"]: p["invoice"] for p in books["invoice_payment"]}
    charged: Counter[str] = Counter()
    for charge in books["charge"]:
        if charge["payment_intent"] in intents:
            charged[intents[charge["payment_intent"]]] += charge["amount"]
    for invoice in theirs.values():
        assert charged[invoice["id"]] == invoice["amount_paid"], invoice["id"]
        if invoice["id"] not in ours:
            assert invoice["status"] == "void" or not invoice["subtotal"], invoice
    for actor in year.actors.values():
        customer_id = (await actor.tenant()).stripe_customer_id
        [customer] = [c for c in books["customer"] if c["id"] == customer_id]
        mine = [i for i in theirs.values() if i["customer"] == customer_id and i["status"] == "paid"]
        noted = sum(note["amount"] for note in books["credit_note"] if note["customer"] == customer_id)
        billed = sum(i["total"] for i in mine)
        paid = sum(i["amount_paid"] for i in mine)
        # What somebody put onto paid invoices was never paid, and is taken off again by credit notes.
        assert billed - 2 * noted == paid + customer["balance"], actor.role.reference
    running = {s["id"] for s in books["subscription"] if s["status"] != "canceled"}
    live = {s.stripe_subscription_id for s in await Subscription.filter(ended_at__isnull=True)}
    assert running == live


async def told(year: Year) -> dict[str, Any]:
    """Everything that the books say of each tenant, in a form that can be compared."""
    plans = {plan.id: plan.code for plan in await Plan.all()}
    return {reference: await _told_of(await actor.tenant(), plans) for reference, actor in year.actors.items()}


async def _told_of(tenant: Tenant, plans: dict[Any, str]) -> dict[str, Any]:
    periods = {p.id: p for p in await Period.filter(tenant_id=tenant.id)}
    invoices = []
    for invoice in await Invoice.filter(tenant_id=tenant.id):
        lines = [
            (
                line.kind.value,
                line.label,
                str(line.quantity),
                str(line.unit_price),
                line.amount_minor,
                str(periods[line.service_period_id].span),
            )
            for line in await LineItem.filter(tenant_id=tenant.id, invoice_id=invoice.id)
        ]
        span = str(periods[invoice.period_id].span)
        invoices.append((span, invoice.kind.value, invoice.state.value, invoice.total_minor, sorted(lines)))
    phases = [
        (phase.starts_at, plans.get(phase.plan_id), phase.seats)
        for s in await Subscription.filter(tenant_id=tenant.id)
        for phase in await Phase.filter(tenant_id=tenant.id, subscription_id=s.id)
    ]
    entries = await CreditEntry.filter(tenant_id=tenant.id)
    return {
        "state": tenant.state.value,
        "invoices": sorted(invoices),
        "phases": sorted(phases, key=str),
        "grants": sorted(
            (g.source.value, g.meter, g.units, g.remaining) for g in await CreditGrant.filter(tenant_id=tenant.id)
        ),
        "entries": Counter((e.kind.value, e.units) for e in entries if e.kind is not CreditEntryKind.REVOKED),
        # Whoever hears of a dispute when it is won already never took anything that is to be given back.
        "revoked": sum(e.units for e in entries if e.kind is CreditEntryKind.REVOKED),
        "orders": sorted((o.way.value, o.state.value, o.units) for o in await TopUpOrder.filter(tenant_id=tenant.id)),
        "charges": sorted((c.kind.value, c.amount_minor) for c in await Charge.filter(tenant_id=tenant.id)),
    }
