"""What a subscription at Stripe bills: the plan's price of zero, or the prices of a METERED plan.

Stripe bills a period's usage and the next period's fees in one invoice at its end. So a period is METERED only while
the same plan goes on after it. As soon as something else is planned, Stripe's prices give way to the one of zero, and
what the period comes to is ours to bill; they are never put back before the next period.
"""

from typing import Final

from services import jobs, periods, phases, stripe_catalog
from services.platform import Platform
from storage.database import transaction
from storage.jobs import Job
from storage.plans import StripeMode
from storage.subscriptions import Period, StripeUsage, Subscription, phases_of

ITEMS: Final = "subscription.items"
FOLLOW: Final = "usage.report"


async def plan_settling(platform: Platform, subscription: Subscription, *, reason: str) -> None:
    """Have the items looked at after a change, in the caller's transaction; `reason` names the change."""
    await jobs.add_job(platform, tenant_id=subscription.tenant_id, topic=ITEMS, dedup=f"{subscription.id}:{reason}")


async def settle_items_of(platform: Platform, job: Job) -> None:
    """The job: bring a subscription's items at Stripe to what they shall be now."""
    subscription = await Subscription.get(tenant_id=job.tenant_id, id=job.dedup.partition(":")[0])
    if subscription.stripe_subscription_id is None:
        raise jobs.NotYet("the subscription is not at Stripe yet")
    await settle_items(platform, subscription)
    async with jobs.completing(job):
        pass


async def settle_items(platform: Platform, subscription: Subscription) -> None:
    """Bring a subscription's items at Stripe to what they shall be now; nothing once it has ended."""
    now = platform.clock.now()
    at_stripe = subscription.stripe_subscription_id
    if not at_stripe or not periods.goes_on(subscription, now):
        return
    period = await periods.current_period(platform, subscription)
    stages = await phases_of(subscription.tenant_id, subscription.id)
    running, following = phases.phase_at(stages, now), phases.phase_at(stages, period.ends_at)
    terms = await phases.load_terms(platform, running.plan_id)
    plan = await stripe_catalog.ensure_plan(platform, terms)
    goes_on = running.plan_id == following.plan_id and periods.goes_on(subscription, period.ends_at)
    is_metered = plan.stripe_mode is StripeMode.METERED and goes_on
    if period.stripe_usage is StripeUsage.METERED and not is_metered:
        await _mark(period, StripeUsage.METERED, StripeUsage.TAKEN_OVER)
        period.stripe_usage = StripeUsage.TAKEN_OVER
    is_metered = is_metered and period.stripe_usage is not StripeUsage.TAKEN_OVER
    assert plan.stripe_price_id is not None  # noqa: S101 - just made
    items: dict[str, int | None] = {plan.stripe_price_id: 1}
    if is_metered:
        items = await stripe_catalog.metered_items(terms, following.seats)
    await platform.stripe.set_items(at_stripe, key=f"subscription:{subscription.id}:items", items=items)
    if is_metered and period.stripe_usage is None:
        # Only now: nothing is reported before Stripe has the price that bills it.
        async with transaction():
            await _mark(period, None, StripeUsage.METERED)
            await jobs.add_job(platform, tenant_id=period.tenant_id, topic=FOLLOW, dedup=str(period.id))


async def _mark(period: Period, before: StripeUsage | None, after: StripeUsage) -> None:
    """Say who bills a period's usage, unless someone else has said so meanwhile."""
    await Period.filter(tenant_id=period.tenant_id, id=period.id, stripe_usage=before).update(stripe_usage=after)
