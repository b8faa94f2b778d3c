"""What the running period would cost, as known now: by the code of the close, and nothing is stored."""

from collections.abc import Sequence
from dataclasses import dataclass

from inkmeter.money import Money
from services import closing, drafting, meters, periods, rating, subscriptions
from services.drafting import NewLine
from services.platform import Platform
from storage.invoices import InvoiceKind, LineItem
from storage.subscriptions import Period, PeriodState, Subscription, periods_with_late_events
from storage.tenants import Tenant


@dataclass(frozen=True, slots=True)
class UpcomingInvoice:
    """An invoice that does not exist yet."""

    period: Period
    lines: Sequence[NewLine]
    total: Money

    def items(self) -> list[tuple[LineItem, Period]]:
        """The lines as an invoice would have them, each with the period that it is for."""
        return [(drafting.item_of(line), line.service_period) for line in self.lines]


async def preview_invoice(platform: Platform, tenant: Tenant) -> UpcomingInvoice:
    """The invoice of the running period if it ended now with what is known. Raises SubscriptionInactive."""
    subscription, period = await subscriptions.require_current(platform, tenant.id)
    following = following_period(subscription, period)
    carried = await meters.carried_codes(platform)
    touched = await periods_with_late_events(tenant.id, period.starts_at, carried)
    lines = await closing.lines_due(platform, subscription, period, following, touched)
    plan = await closing.plan_of(platform, subscription, period)
    lines += drafting.extra_lines(platform, tenant, period, InvoiceKind.PERIOD, plan, lines)
    return UpcomingInvoice(period, lines, rating.sum_of((entry.line for entry in lines), plan.currency))


def following_period(subscription: Subscription, period: Period) -> Period | None:
    """The period after this one, as it will be opened; None if the subscription ends before it."""
    if not periods.goes_on(subscription, period.ends_at):
        return None
    span = subscription.anchor.period_at(period.ends_at)
    return Period(
        tenant_id=subscription.tenant_id,
        subscription_id=subscription.id,
        starts_at=span.start,
        ends_at=span.end,
        state=PeriodState.OPEN,
    )
