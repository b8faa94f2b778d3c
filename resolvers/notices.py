"""Notices about payments."""

from uuid import UUID

from resolvers.context import Info
from resolvers.fields import query
from resolvers.permissions import acting_tenant
from schema import notices as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size
from schema.nodes import TenantId, global_id
from schema.refusals import NextPlan, next_plan_type, unpaid_invoice_type
from services import invoices, notices, overdue, plans
from services.notices import Notice


async def notice_type(notice: Notice) -> types.Notice:
    """A notice as the API shows it."""
    invoice = None
    if notice.invoice_id is not None:
        invoice = unpaid_invoice_type(overdue.shown(await invoices.find_invoice(notice.tenant_id, notice.invoice_id)))
        invoice.hosted_url = notice.url or invoice.hosted_url
    return types.Notice(
        id=global_id("Notice", notice.id),
        kind=types.NoticeKind[notice.kind.name],
        invoice=invoice,
        plan=await _named(notice.plan_id),
        left_plan=await _named(notice.left_plan_id),
        until=notice.until,
        created_at=notice.created_at,
    )


async def _named(plan_id: UUID | None) -> NextPlan | None:
    named = await plans.name_plan(plan_id)
    return next_plan_type(named) if named is not None else None


@query("What a tenant should know about its payments, oldest first.", name="notices")
async def notices_list(
    info: Info, tenant_id: TenantId = None, first: First = DEFAULT_PAGE, after: After = None
) -> Connection[types.Notice]:
    tenant = await acting_tenant(info, tenant_id)
    size = page_size(first)
    rows = await notices.list_notices(tenant.id, decode_cursor(after, UUID), size + 1)
    shown = {row.id: await notice_type(row) for row in rows}
    return page_of(rows, size, key=lambda row: str(row.id), node=lambda row: shown[row.id], after=after)
