"""The end of a subscription: cancelling it, and withdrawing what is planned."""

from datetime import datetime, timedelta
from typing import Final

from inkmeter.errors import Conflict, SubscriptionInactive
from inkmeter.events import SubscriptionCancelled
from inkmeter.periods import Proration
from services import meters, mirroring, periods, phases, subscriptions
from services.changes import Change, ChangeAt, changed_event, changing
from services.platform import Platform
from storage.jobs import wake_job
from storage.subscriptions import Period, Phase, PhaseReason, Subscription, SubscriptionState, last_moment
from storage.tenants import Tenant

INSTANT: Final = timedelta(microseconds=1)


async def cancel_subscription(
    platform: Platform, tenant: Tenant, at: ChangeAt, proration: Proration = Proration.SECOND
) -> Subscription:
    """End the subscription, now or with the running period; one that has ended is answered as it is.

    Now, the running period is cut at this instant, or right after the last usage that was counted ahead of the clock.
    Raises SubscriptionInactive if the tenant never had a subscription.
    """
    latest = await subscriptions.latest_subscription(tenant.id)
    now = platform.clock.now()
    if latest.state is SubscriptionState.ENDED or not periods.goes_on(latest, now):
        return latest
    ends_at = None
    try:
        async with changing(platform, tenant) as change:
            ends_at, subscription = await _cancel(platform, change, at, proration)
    except SubscriptionInactive:  # someone else was first
        return await Subscription.get(tenant_id=tenant.id, id=latest.id)
    if ends_at is not None and ends_at != latest.ended_at:
        await platform.plugins.publish(SubscriptionCancelled(str(tenant.public_id), now, ends_at))
    return subscription


async def _cancel(
    platform: Platform, change: Change, at: ChangeAt, proration: Proration
) -> tuple[datetime | None, Subscription]:
    """When the subscription ends now (None if it ends before that anyway), and the subscription."""
    subscription = change.subscription
    target = change.moment(at) if at is ChangeAt.PERIOD_END else change.now
    if subscription.ended_at is not None and target >= subscription.ended_at:
        return None, subscription
    ends_at = await _cut(platform, change, target)
    await Subscription.filter(tenant_id=subscription.tenant_id, id=subscription.id).update(
        ended_at=ends_at,
        # At a period's end nothing is left to prorate but what was counted ahead of the clock.
        end_proration=proration if at is ChangeAt.NOW else Proration.SECOND,
    )
    subscription = await Subscription.get(tenant_id=subscription.tenant_id, id=subscription.id)
    await mirroring.plan_cancelling(platform, subscription)
    return ends_at, subscription


async def _cut(platform: Platform, change: Change, target: datetime) -> datetime:
    """Cut the periods where the subscription ends: at `target`, or where the last usage lies if that is later."""
    tenant_id = change.subscription.tenant_id
    book = await meters.refresh(platform)
    last = await last_moment(tenant_id, change.current.starts_at, list(book.meters))
    ends_at = max(target, change.current.starts_at + INSTANT, last + INSTANT if last is not None else target)
    for period in change.open_periods:
        if period.starts_at >= ends_at:
            await Period.filter(tenant_id=tenant_id, id=period.id).delete()
        elif period.ends_at > ends_at:
            await Period.filter(tenant_id=tenant_id, id=period.id).update(ends_at=ends_at)
            await wake_job(tenant_id, periods.CLOSE, str(period.id), ends_at + platform.terms.close_delay)
    return ends_at


async def resume_subscription(platform: Platform, tenant: Tenant) -> Subscription:
    """Go on as it is: end a pause, and withdraw what is planned: a cancellation, changes, a pause.

    Where there is nothing of that, nothing happens.

    Raises Conflict if the subscription has ended, and SubscriptionInactive without one.
    """
    latest = await subscriptions.latest_subscription(tenant.id)
    if latest.state is SubscriptionState.ENDED or not periods.goes_on(latest, platform.clock.now()):
        raise Conflict("the subscription has ended; call subscribeTenant", path=("tenantId",))
    async with changing(platform, tenant) as change:
        subscription, running = change.subscription, change.running
        planned = change.later_than(change.now)
        await Phase.filter(tenant_id=tenant.id, id__in=[phase.id for phase in planned]).update(
            plan_id=running.plan_id, seats=running.seats, is_paused=False
        )
        if running.is_paused:
            how = Proration(running.proration) if running.proration else None
            await change.add(change.moment(ChangeAt.NOW), PhaseReason.RESUME, how, None, is_paused=False)
        await Subscription.filter(tenant_id=tenant.id, id=subscription.id).update(ended_at=None)
        for period in change.open_periods:
            if not period.is_trial:
                whole = subscription.anchor.period_at(period.starts_at).end
                await Period.filter(tenant_id=tenant.id, id=period.id).update(ends_at=whole)
        terms = await phases.load_terms(platform, running.plan_id)
    is_planned = subscription.ended_at is not None or len(phases.effective([running, *planned])) > 1
    if is_planned or running.is_paused:
        await platform.plugins.publish(changed_event(tenant, change.now, terms, running.seats, change.now))
    return await Subscription.get(tenant_id=tenant.id, id=subscription.id)
