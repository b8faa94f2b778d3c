"""Anything by its global id."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from inkmeter.errors import NotFound
from resolvers.alerts import alert_type
from resolvers.context import Info
from resolvers.credits import grant_types
from resolvers.discounts import discount_type
from resolvers.discrepancies import discrepancy_type
from resolvers.documents import document_type
from resolvers.fields import query
from resolvers.groups import group_type
from resolvers.invoices import invoice_type
from resolvers.notices import notice_type
from resolvers.orders import order_types
from resolvers.permissions import require_viewer
from resolvers.plans import plan_type
from resolvers.subscriptions import subscription_type
from resolvers.tenants import tenant_type
from schema.connections import uuid_of
from schema.nodes import Id, Node
from services import (
    alerts,
    credits,
    discounts,
    discrepancies,
    documents,
    groups,
    invoices,
    meters,
    notices,
    orders,
    phases,
    subscriptions,
    tenants,
)


@query("Anything by its global id; null if there is no such thing, or it is another tenant's.")
async def node(info: Info, id: Id) -> Node | None:
    require_viewer(info)
    find = _FINDERS.get(id.type_name)
    try:
        return await find(info, uuid_of(id, id.type_name)) if find else None
    except NotFound:
        return None


async def _find_tenant(info: Info, key: UUID) -> Node:
    viewer = require_viewer(info)
    tenant = await tenants.find_tenant(key)
    if viewer.tenant_id not in (None, tenant.id):
        raise NotFound("There is no such Tenant")
    return await tenant_type(info.context.platform, tenant)


async def _find_plan(info: Info, key: UUID) -> Node:
    return plan_type(await phases.load_terms(info.context.platform, key))


async def _find_document(info: Info, key: UUID) -> Node:
    return document_type(await documents.find_document(require_viewer(info).tenant_id, key))


async def _find_group(info: Info, key: UUID) -> Node:
    return group_type(await groups.find_group(require_viewer(info).tenant_id, key))


async def _find_invoice(info: Info, key: UUID) -> Node:
    viewer = require_viewer(info)
    invoice = await invoices.find_invoice(viewer.tenant_id, key)
    [details] = await invoices.load_details(invoice.tenant_id, [invoice])
    return invoice_type(details, for_operator=viewer.is_operator)


async def _find_discount(info: Info, key: UUID) -> Node:
    discount = await discounts.find_discount(require_viewer(info).tenant_id, key)
    owner = await tenants.get_tenant(discount.tenant_id)
    return discount_type(discount, owner.currency)


async def _find_grant(info: Info, key: UUID) -> Node:
    grant = await credits.find_grant(require_viewer(info).tenant_id, key)
    return (await grant_types(info.context.platform, [grant]))[0]


async def _find_order(info: Info, key: UUID) -> Node:
    order = await orders.find_order(require_viewer(info).tenant_id, key)
    return (await order_types(info.context.platform, [order]))[0]


async def _find_subscription(info: Info, key: UUID) -> Node:
    subscription = await subscriptions.find_subscription(require_viewer(info).tenant_id, key)
    return await subscription_type(info.context.platform, subscription)


async def _find_alert(info: Info, key: UUID) -> Node:
    alert = await alerts.find_alert(require_viewer(info).tenant_id, key)
    codes = [alert.meter] if alert.meter else []
    return alert_type(alert, await meters.find_meters(info.context.platform, *codes))


async def _find_discrepancy(info: Info, key: UUID) -> Node:
    if not require_viewer(info).is_operator:
        raise NotFound("There is no such Discrepancy")
    row = await discrepancies.find_discrepancy(key)
    return discrepancy_type(row, await tenants.get_tenant(row.tenant_id))


async def _find_notice(info: Info, key: UUID) -> Node:
    return await notice_type(await notices.find_notice(require_viewer(info).tenant_id, key))


_FINDERS: dict[str, Callable[[Info, UUID], Awaitable[Node]]] = {
    "Alert": _find_alert,
    "CreditGrant": _find_grant,
    "Discount": _find_discount,
    "Discrepancy": _find_discrepancy,
    "Document": _find_document,
    "DocumentGroup": _find_group,
    "Invoice": _find_invoice,
    "Notice": _find_notice,
    "Plan": _find_plan,
    "Subscription": _find_subscription,
    "Tenant": _find_tenant,
    "TopUpOrder": _find_order,
}
