"""The billing periods of a subscription: which there are, and opening the one that a moment needs.

trial    from the start of the first local day to the trial's end, free; only if there is one
cycles   from the anchor on; the last is cut where the subscription ends
"""

from datetime import datetime
from typing import Final

from inkmeter.errors import SubscriptionInactive
from inkmeter.periods import BillingPeriod
from services import jobs
from services.platform import Platform
from storage.database import insert_new, transaction
from storage.subscriptions import Covered as Covered
from storage.subscriptions import (
    Period,
    PeriodState,
    Subscription,
    covered_spans,
    lock_subscription,
    period_at,
)

CLOSE: Final = "period.close"


def cycle_of(subscription: Subscription, period: Period) -> BillingPeriod:
    """The whole span that the fees of a period are for; the period may begin later in it, or be cut short."""
    return period.span if period.is_trial else subscription.anchor.period_at(period.starts_at)


def is_whole(subscription: Subscription, period: Period) -> bool:
    """Whether a period ends where a trial or a cycle does, and not where it was cut."""
    is_boundary = subscription.anchor.period_at(period.ends_at).start == period.ends_at
    return is_boundary or period.ends_at == subscription.trial_ends_at


def goes_on(subscription: Subscription, moment: datetime) -> bool:
    """Whether the subscription has not ended by then."""
    return subscription.ended_at is None or moment < subscription.ended_at


async def open_period(platform: Platform, subscription: Subscription, moment: datetime) -> None:
    """Make the period of that moment unless it is there, with the job that closes it; in the caller's transaction.

    Raises SubscriptionInactive if the subscription has ended by then.
    """
    subscription = await lock_subscription(subscription.tenant_id, subscription.id, strength="SHARE")
    if not goes_on(subscription, moment):
        raise ended(subscription)
    span = subscription.anchor.period_at(moment)
    end = min(span.end, subscription.ended_at) if subscription.ended_at is not None else span.end
    await store_period(platform, subscription, BillingPeriod(span.start, end))


async def store_period(
    platform: Platform, subscription: Subscription, span: BillingPeriod, *, is_trial: bool = False
) -> Period:
    """Store a period unless one begins then already, with the job that closes it."""
    period = Period(
        tenant_id=subscription.tenant_id,
        subscription_id=subscription.id,
        starts_at=span.start,
        ends_at=span.end,
        is_trial=is_trial,
        state=PeriodState.OPEN,
    )
    if await insert_new(period, ["tenant_id", "starts_at"]):
        delay = span.end - platform.clock.now() + platform.terms.close_delay
        await jobs.add_job(platform, tenant_id=subscription.tenant_id, topic=CLOSE, dedup=str(period.id), run_in=delay)
    return period


def ended(subscription: Subscription) -> SubscriptionInactive:
    """The refusal of what comes after the end."""
    at = subscription.ended_at.isoformat() if subscription.ended_at else "some time"
    return SubscriptionInactive(f"the subscription ended at {at}; call subscribeTenant to go on")


async def current_period(platform: Platform, subscription: Subscription) -> Period:
    """The period that contains the present. Raises SubscriptionInactive after the subscription's end."""
    now = platform.clock.now()
    if not goes_on(subscription, now):
        raise ended(subscription)
    return await ensure_period(platform, subscription.tenant_id, now)


async def ensure_period(platform: Platform, tenant_id: int, moment: datetime) -> Period:
    """The period that bills that moment, of a running or an ended subscription; made if it is missing.

    Raises SubscriptionInactive for a moment that no subscription covers.
    """
    found = await period_at(tenant_id, moment)
    if found is None:
        covering = await find_covering(tenant_id, moment)
        subscription = await Subscription.get(tenant_id=tenant_id, id=covering.subscription_id)
        async with transaction():
            await open_period(platform, subscription, moment)
        found = await period_at(tenant_id, moment)
    if found is None:  # it was cut short meanwhile
        raise SubscriptionInactive(f"there is no subscription at {moment.isoformat()}")
    return found


async def find_covering(tenant_id: int, moment: datetime) -> Covered:
    """Which subscription covers a moment. Raises SubscriptionInactive."""
    spans = await require_spans(tenant_id)
    for span in spans:
        if moment in span:
            return span
    raise uncovered(spans, moment)


async def require_spans(tenant_id: int) -> list[Covered]:
    """What the tenant's subscriptions cover, in order. Raises SubscriptionInactive if it never had one."""
    spans = await covered_spans(tenant_id)
    if not spans:
        raise SubscriptionInactive("the tenant has no subscription; call subscribeTenant first")
    return spans


async def running_spans(tenant_id: int) -> list[Covered]:
    """The same of a tenant with a running subscription. Raises SubscriptionInactive without one."""
    spans = await covered_spans(tenant_id)
    if not any(span.is_running for span in spans):
        raise SubscriptionInactive("the tenant has no running subscription; call subscribeTenant first")
    return spans


def uncovered(spans: list[Covered], moment: datetime) -> SubscriptionInactive:
    """The refusal of a moment that no subscription covers."""
    first = spans[0].start.isoformat()
    if moment < spans[0].start:
        return SubscriptionInactive(f"there was no subscription before {first}")
    return SubscriptionInactive(f"there is no subscription at {moment.isoformat()}: it has ended by then")
