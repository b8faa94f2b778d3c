"""Alerts and budgets."""

from uuid import UUID

from inkmeter.money import Money as ExactMoney
from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant, require_viewer
from resolvers.subscriptions import subscription_type
from resolvers.usage import shown
from schema import alerts as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size
from schema.money import Money
from schema.nodes import TenantId, global_id
from services import alerts, meters
from services.alerts import Alert
from services.measures import MeterBook


def alert_type(alert: Alert, book: MeterBook) -> types.Alert:
    """An alert as the API shows it."""
    meter = book[alert.meter] if alert.meter else None
    currency = alert.currency
    return types.Alert(
        id=global_id("Alert", alert.id),
        kind=types.AlertKind[alert.kind.name],
        meter=alert.meter or None,
        percent=alert.percent,
        units=shown(meter, alert.value) if meter else None,
        bound=shown(meter, alert.bound) if meter else None,
        spent=Money.of(ExactMoney(alert.value, currency)) if currency else None,
        budget=Money.of(ExactMoney(alert.bound, currency)) if currency else None,
        since=alert.since,
        created_at=alert.created_at,
    )


@query("Thresholds that a tenant has crossed, oldest first.", name="alerts")
async def alerts_list(
    info: Info, tenant_id: TenantId = None, first: First = DEFAULT_PAGE, after: After = None
) -> Connection[types.Alert]:
    tenant = await acting_tenant(info, tenant_id)
    size = page_size(first)
    is_operator = require_viewer(info).is_operator
    rows = await alerts.list_alerts(tenant.id, decode_cursor(after, UUID), size + 1, for_operator=is_operator)
    book = await meters.find_meters(info.context.platform, *(row.meter for row in rows if row.meter))
    return page_of(rows, size, key=lambda row: str(row.id), node=lambda row: alert_type(row, book), after=after)


@mutation("Watch what a tenant's usage costs in a billing period.")
async def set_budget(info: Info, input: types.SetBudgetInput) -> types.SetBudgetPayload:
    tenant = await acting_tenant(info, input.tenant_id)
    subscription = await alerts.set_budget(tenant, input.amount, input.alerts_at)
    return types.SetBudgetPayload(subscription=await subscription_type(info.context.platform, subscription))
