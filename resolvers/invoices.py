"""Invoices, and closing a period."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID, uuid4

import strawberry
from strawberry import relay

from inkmeter.errors import InvalidInput, NotFound, Problem
from inkmeter.money import Money as ExactMoney
from inkmeter.periods import Proration as ExactProration
from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant, require_operator, require_viewer
from resolvers.subscriptions import period_type
from schema import invoices as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size, uuid_of
from schema.money import Money
from schema.nodes import Id, TenantId, global_id
from schema.scalars import BigInt
from schema.subscriptions import ChangeAt, Proration
from services import changes, closing, invoices, links, previews, upcoming
from services.changes import ChangePlan, ChangeSeats
from services.invoices import Invoice, InvoiceDetails, LineItem
from services.subscriptions import Period
from services.tenants import Tenant
from services.upcoming import UpcomingInvoice


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
        number=invoice.number,
        hosted_url=invoice.hosted_url,
        pdf_url=invoice.pdf_url,
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
    return _upcoming_type(preview)


@query("What a change of the plan or of the seats would cost: made, priced and undone. Give one of the two.")
async def preview_change(
    info: Info,
    at: Annotated[ChangeAt, strawberry.argument(description="When it would take effect.")],
    tenant_id: TenantId = None,
    plan_id: Annotated[relay.GlobalID | None, strawberry.argument(description="To which version of a plan.")] = None,
    seats: Annotated[int | None, strawberry.argument(description="To how many seats.")] = None,
    proration: Annotated[
        Proration, strawberry.argument(description="Of a plan's fees in the running period.")
    ] = Proration.SECOND,
) -> types.ChangePreview:
    tenant = await acting_tenant(info, tenant_id)
    platform = info.context.platform
    preview = await previews.preview_change(platform, _command(tenant, plan_id, seats, at, proration))
    return types.ChangePreview(
        takes_effect_at=preview.takes_effect_at,
        unchanged=_upcoming_type(preview.unchanged),
        changed=_upcoming_type(preview.changed),
        difference=Money.of(preview.difference),
        next_fees=Money.of(preview.next_fees) if preview.next_fees is not None else None,
    )


def _command(
    tenant: Tenant, plan_id: relay.GlobalID | None, seats: int | None, at: ChangeAt, proration: Proration
) -> ChangeSeats | ChangePlan:
    when, key = changes.ChangeAt[at.name], f"preview:{uuid4()}"
    if plan_id is not None and seats is None:
        return ChangePlan(tenant, uuid_of(plan_id, "Plan", path=("planId",)), when, key, ExactProration[proration.name])
    if seats is not None and plan_id is None:
        return ChangeSeats(tenant, seats, when, key)
    raise InvalidInput([Problem(("planId",), "give either planId or seats, not both and not none")])


def _upcoming_type(preview: UpcomingInvoice) -> types.UpcomingInvoice:
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
    found = await links.refresh_links(info.context.platform, found)
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
