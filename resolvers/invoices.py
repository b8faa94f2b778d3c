"""Invoices, and closing a period."""

from collections.abc import Sequence
from uuid import UUID

from inkmeter.errors import NotFound
from inkmeter.money import Money as ExactMoney
from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant, require_operator, require_viewer
from resolvers.subscriptions import period_type
from schema import invoices as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size, uuid_of
from schema.money import Money
from schema.nodes import Id, TenantId, global_id
from schema.scalars import BigInt
from services import closing, invoices, upcoming
from services.invoices import Invoice, InvoiceDetails, LineItem
from services.subscriptions import Period


def invoice_type(details: InvoiceDetails, *, for_operator: bool) -> types.Invoice:
    """An invoice as the API shows it; the upstream cost is for the operator's eyes alone."""
    invoice = details.invoice
    return types.Invoice(
        id=global_id("Invoice", invoice.id),
        kind=types.InvoiceKind[invoice.kind.name],
        period=period_type(details.period),
        state=types.InvoiceState[invoice.state.name],
        lines=[_line_type(item, details.periods[item.service_period_id], invoice.currency) for item in details.lines],
        total=Money.of(ExactMoney(invoice.total_minor, invoice.currency)),
        upstream=_upstream_type(invoice) if for_operator else None,
        hosted_url=invoice.hosted_url,
        finalized_at=invoice.finalized_at,
        paid_at=invoice.paid_at,
    )


def _line_type(item: LineItem, period: Period, currency: str) -> types.LineItem:
    return types.LineItem(
        kind=types.LineKind[item.kind.name],
        period=period_type(period),
        label=item.label,
        meter=item.meter,
        model=item.model,
        quantity=item.quantity,
        unit_price=item.unit_price,
        amount=Money.of(ExactMoney(item.amount_minor, currency)),
        adjustment=_adjustment_type(item, period, currency),
    )


def _adjustment_type(item: LineItem, period: Period, currency: str) -> types.Adjustment | None:
    explained = invoices.read_adjustment(item, currency)
    if explained is None:
        return None
    return types.Adjustment(
        period=period_type(period),
        adjusts=types.LineKind[explained.adjusts.name],
        billed=types.BilledAmount(quantity=explained.billed.quantity, amount=Money.of(explained.billed.amount)),
        now=types.BilledAmount(quantity=explained.now.quantity, amount=Money.of(explained.now.amount)),
        late_events=explained.late_events,
        corrections=explained.corrections,
        reason=explained.reason,
    )


@query("What the running period would cost as known now: by the code of the close, and nothing is stored.")
async def upcoming_invoice(info: Info, tenant_id: TenantId = None) -> types.UpcomingInvoice:
    tenant = await acting_tenant(info, tenant_id)
    preview = await upcoming.preview_invoice(info.context.platform, tenant)
    currency = preview.total.currency
    return types.UpcomingInvoice(
        period=period_type(preview.period),
        lines=[_line_type(item, period, currency) for item, period in preview.items()],
        total=Money.of(preview.total),
    )


def _upstream_type(invoice: Invoice) -> types.UpstreamCost:
    cost = ExactMoney(invoice.upstream_cost_minor, invoice.upstream_cost_currency)
    total = ExactMoney(invoice.total_minor, invoice.currency)
    return types.UpstreamCost(
        units=BigInt(invoice.upstream_units),
        cost=Money.of(cost),
        margin=Money.of(total - cost) if total.currency == cost.currency else None,
    )


@mutation("Close a tenant's period that is over: one invoice, made once. Operator only.")
async def close_period(info: Info, input: types.ClosePeriodInput) -> types.ClosePeriodPayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id)
    invoice = await closing.close_period(info.context.platform, tenant)
    [details] = await invoices.load_details(tenant.id, [invoice])
    return types.ClosePeriodPayload(invoice=invoice_type(details, for_operator=True))


@query("One invoice; with a tenant's key, only its own.")
async def invoice(info: Info, id: Id) -> types.Invoice | None:
    viewer = require_viewer(info)
    try:
        found = await invoices.find_invoice(viewer.tenant_id, uuid_of(id, "Invoice"))
    except NotFound:
        return None
    [details] = await invoices.load_details(found.tenant_id, [found])
    return invoice_type(details, for_operator=viewer.is_operator)


@query("A tenant's invoices, oldest first.", name="invoices")
async def invoices_list(
    info: Info, tenant_id: TenantId = None, first: First = DEFAULT_PAGE, after: After = None
) -> Connection[types.Invoice]:
    viewer = require_viewer(info)
    tenant = await acting_tenant(info, tenant_id)
    size = page_size(first)
    rows: Sequence[Invoice] = await invoices.list_invoices(tenant.id, decode_cursor(after, UUID), size + 1)
    details = {d.invoice.id: d for d in await invoices.load_details(tenant.id, rows)}
    return page_of(
        rows,
        size,
        key=lambda row: str(row.id),
        node=lambda row: invoice_type(details[row.id], for_operator=viewer.is_operator),
        after=after,
    )
