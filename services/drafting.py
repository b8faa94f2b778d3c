"""Making an invoice of lines: the plugins' own are added, all is stored, the way to Stripe begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from inkmeter.billing_model import RatedLine
from inkmeter.invoices import DraftLine, InvoiceDraft
from inkmeter.money import Money
from services import jobs, pushing, rating, upstream_costs
from services.platform import Platform
from storage.charges import Charge
from storage.database import insert_new
from storage.invoices import Invoice, InvoiceKind, InvoiceState, LineItem, LineKind
from storage.plans import Plan
from storage.subscriptions import Period
from storage.tenants import Tenant


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line to be, and what it bills: a period, with a price or without, or a charge."""

    kind: LineKind
    service_period: Period
    line: RatedLine
    meter: str = ""
    model: str = ""
    price_id: UUID | None = None
    adjusts: str | None = None
    explanation: dict[str, Any] | None = None
    charge_id: UUID | None = None


def single(label: str, amount: Money) -> RatedLine:
    """A line of one amount."""
    return RatedLine(label, Decimal(1), amount.amount, amount)


def total_of(invoice: Invoice) -> Money:
    """What an invoice comes to."""
    return Money(invoice.total_minor, invoice.currency)


def extra_lines(
    platform: Platform, tenant: Tenant, period: Period, kind: InvoiceKind, plan: Plan, lines: Sequence[NewLine]
) -> list[NewLine]:
    """What the plugins add. Raises PluginError."""
    draft = InvoiceDraft(
        tenant_id=str(tenant.public_id),
        tenant_name=tenant.name,
        plan_code=plan.code,
        period=period.span,
        currency=plan.currency,
        lines=tuple(DraftLine(entry.meter, entry.model, entry.line) for entry in lines),
        kind=kind.value,
    )
    return [
        NewLine(LineKind.EXTRA, period, extra.line, extra.meter, extra.model)
        for extra in platform.plugins.extra_lines(draft)
    ]


async def store_invoice(
    platform: Platform, tenant: Tenant, period: Period, kind: InvoiceKind, plan: Plan, lines: Sequence[NewLine]
) -> Invoice:
    """Store an invoice with these lines and the plugins', and queue its way to Stripe; in the caller's transaction."""
    lines = [*lines, *extra_lines(platform, tenant, period, kind, plan, lines)]
    # What SignNow charged belongs to the invoice of the period that is over.
    upstream_units, upstream_cost = 0, Money.zero(platform.terms.invite_cost.currency)
    if kind is InvoiceKind.PERIOD:
        upstream_units, upstream_cost = await upstream_costs.cost_of_period(platform, tenant.id, period.span)
    invoice = Invoice(
        tenant_id=tenant.id,
        subscription_id=period.subscription_id,
        period_id=period.id,
        kind=kind,
        currency=plan.currency,
        total_minor=rating.sum_of((entry.line for entry in lines), plan.currency).minor,
        upstream_units=upstream_units,
        upstream_cost_minor=upstream_cost.minor,
        upstream_cost_currency=upstream_cost.currency,
        state=InvoiceState.FINALIZED,
        finalized_at=platform.clock.now(),
    )
    await insert_new(invoice)
    for position, entry in enumerate(lines):
        item = item_of(entry)
        item.tenant_id, item.invoice_id, item.position = tenant.id, invoice.id, position
        await insert_new(item)
        if entry.charge_id is not None:
            await Charge.filter(tenant_id=tenant.id, id=entry.charge_id).update(invoice_id=invoice.id)
    await jobs.add_job(platform, tenant_id=tenant.id, topic=pushing.PUSH, dedup=str(invoice.id))
    return invoice


def item_of(entry: NewLine) -> LineItem:
    """The line as it stands on an invoice, without its place there."""
    return LineItem(
        kind=entry.kind,
        service_period_id=entry.service_period.id,
        meter=entry.meter,
        model=entry.model,
        price_id=entry.price_id,
        label=entry.line.label,
        quantity=entry.line.quantity,
        unit_price=entry.line.unit_price,
        amount_minor=entry.line.total.minor,
        adjusts=entry.adjusts,
        explanation=entry.explanation,
    )
