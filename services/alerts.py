"""Alerts, and the budgets that some of them watch. The ledger writes them (services/alerting.py)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

from inkmeter.errors import NotFound
from inkmeter.money import to_money
from services import subscriptions
from services.limits import ALERTS_AT, check_percentages
from services.problems import Problems
from services.subscriptions import Subscription
from storage.alerts import Alert as Alert
from storage.alerts import AlertKind as AlertKind
from storage.tenants import Tenant

OPERATORS: Final = (AlertKind.MARGIN,)
"""Alerts that a tenant's own key does not see: they tell what SignNow charges."""


async def list_alerts(tenant_id: int, after: UUID | None, limit: int, *, for_operator: bool) -> Sequence[Alert]:
    """A tenant's alerts, oldest first, after the given one."""
    query = Alert.filter(tenant_id=tenant_id)
    if not for_operator:
        query = query.exclude(kind__in=OPERATORS)
    if after is not None:
        query = query.filter(id__gt=after)
    return await query.order_by("id").limit(limit)


async def find_alert(tenant_id: int | None, alert_id: UUID) -> Alert:
    """The alert, of that tenant unless None. Raises NotFound, also for another tenant's."""
    alert = await Alert.get_or_none(id=alert_id)
    if alert is None or tenant_id not in (None, alert.tenant_id) or (tenant_id and alert.kind in OPERATORS):
        raise NotFound("no such alert")
    return alert


async def set_budget(tenant: Tenant, amount: Decimal | None, alerts_at: Sequence[int] = ALERTS_AT) -> Subscription:
    """Watch what the running subscription's usage costs in a period, in major units; None watches it no more.

    A budget stops nothing. Raises InvalidInput, and SubscriptionInactive.
    """
    problems = Problems()
    if amount is not None:
        problems.check_amount(amount, tenant.currency, "amount", least=1)
    check_percentages(problems, alerts_at, "alertsAt")
    problems.refuse()
    subscription = await subscriptions.require_subscription(tenant.id)
    subscription.budget_minor = None if amount is None else to_money(amount, tenant.currency).minor
    subscription.budget_alerts_at = [] if amount is None else list(alerts_at)
    await Subscription.filter(tenant_id=tenant.id, id=subscription.id).update(
        budget_minor=subscription.budget_minor, budget_alerts_at=subscription.budget_alerts_at
    )
    return subscription
