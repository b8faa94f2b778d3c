"""What Stripe says of subscriptions: ended there, given up, paused. Taken over from the subscription as it is now."""

from inkmeter.events import Event, SigningRestricted, TenantRestored
from integrations.protocols import StripeSubscription
from services import dunning_cases, notices, periods
from services.notices import NoticeKind
from services.platform import Platform
from services.pushing import ENDED_AT_STRIPE
from storage.subscriptions import Subscription
from storage.tenants import Tenant, TenantState, lock_tenant


async def note_status(platform: Platform, theirs: StripeSubscription) -> list[Event] | None:
    """Take over what Stripe says, in the caller's transaction; None if the subscription is not ours.

    One that has ended here is over, whatever Stripe says: it was cancelled by ourselves.
    """
    found = await Subscription.get_or_none(stripe_subscription_id=theirs.id)
    if found is None:
        return None
    tenant = await lock_tenant(found.tenant_id)
    subscription = await Subscription.get(tenant_id=found.tenant_id, id=found.id)
    await Subscription.filter(tenant_id=tenant.id, id=subscription.id).update(
        stripe_status=theirs.status, stripe_pause=theirs.pause_reason
    )
    if not periods.goes_on(subscription, platform.clock.now()):
        return []
    if theirs.status in ENDED_AT_STRIPE:
        return await dunning_cases.end_at_stripe(platform, tenant, subscription)
    if theirs.status in dunning_cases.GIVEN_UP:
        await dunning_cases.wake(platform, tenant.id)
    return await _follow_pause(platform, tenant, subscription, theirs)


async def _follow_pause(
    platform: Platform, tenant: Tenant, before: Subscription, theirs: StripeSubscription
) -> list[Event]:
    """Restrict a tenant whose subscription was paused without a debt, and restore it when that is over."""
    was = tenant.state
    now = platform.clock.now()
    case = await dunning_cases.open_case(tenant.id)
    await dunning_cases.set_state(tenant, case)
    if theirs.status == "paused" and before.stripe_status != "paused":
        subject = f"{before.id}:{now.isoformat()}"
        await notices.note(tenant.id, NoticeKind.SUBSCRIPTION_PAUSED, subject, now)
    if case is not None or was is tenant.state:
        return []
    if tenant.state is TenantState.RESTRICTED:
        return [SigningRestricted(str(tenant.public_id), now, ())]
    return [TenantRestored(str(tenant.public_id), now, None)]


async def note_trial_end(platform: Platform, theirs: StripeSubscription) -> bool:
    """A trial that someone began at Stripe ends soon; answers whether the subscription is ours."""
    found = await Subscription.get_or_none(stripe_subscription_id=theirs.id)
    if found is None:
        return False
    await notices.note(
        found.tenant_id, NoticeKind.TRIAL_ENDING, found.id, platform.clock.now(), until=theirs.trial_ends_at
    )
    return True
