"""The mirror of a subscription in Stripe: made when it begins, cancelled when it ends."""

from datetime import datetime
from typing import Final

from inkmeter.periods import Anchor
from services import jobs, phases, stripe_catalog, stripe_items
from services.platform import Platform
from storage.invoices import Invoice, InvoiceState
from storage.jobs import Job
from storage.plans import StripeMode
from storage.subscriptions import Subscription, phases_of
from storage.tenants import Tenant

MIRROR: Final = "subscription.mirror"
CANCEL: Final = "subscription.cancel"
COLLECTING: Final = (InvoiceState.PUSHED, InvoiceState.PAST_DUE)


async def mirror_subscription(platform: Platform, job: Job) -> None:
    """The job: make the plan's product and price and the subscription at Stripe, each once."""
    subscription = await Subscription.get(tenant_id=job.tenant_id, id=job.dedup)
    tenant = await Tenant.get(id=job.tenant_id)
    # As it began: a repeat must say the same to Stripe. What has changed since is settled afterwards.
    first = (await phases_of(subscription.tenant_id, subscription.id))[0]
    terms = await phases.load_terms(platform, first.plan_id)
    is_retry = job.attempts > 1
    plan = await stripe_catalog.ensure_plan(platform, terms)
    assert plan.stripe_price_id is not None  # noqa: S101 - just made
    items: dict[str, int | None] = {plan.stripe_price_id: 1}
    if plan.stripe_mode is StripeMode.METERED:
        items = await stripe_catalog.metered_items(terms, first.seats)
    assert tenant.stripe_customer_id is not None  # noqa: S101 - only provisioned tenants are subscribed
    mirrored = await platform.stripe.ensure_subscription(
        key=f"subscription:{subscription.id}",
        is_retry=is_retry,
        customer_id=tenant.stripe_customer_id,
        items=items,
        cycle_anchor_at=_cycle_anchor(platform, job, subscription.anchor),
        metadata={"tenant_id": str(tenant.public_id), "subscription_id": str(subscription.id)},
        is_taxed=platform.terms.automatic_tax,
    )
    async with jobs.completing(job):
        await Subscription.filter(tenant_id=job.tenant_id, id=subscription.id).update(
            stripe_subscription_id=mirrored.id
        )
        if plan.stripe_mode is StripeMode.METERED:
            await stripe_items.plan_settling(platform, subscription, reason="begun")


def _cycle_anchor(platform: Platform, job: Job, anchor: Anchor) -> datetime:
    """When Stripe's first full cycle starts: as decided at first, unless that has passed meanwhile."""
    decided = datetime.fromisoformat(job.payload["cycle_anchor_at"])
    now = platform.clock.now()
    return decided if decided > now else anchor.period_at(now).end


async def plan_cancelling(platform: Platform, subscription: Subscription) -> None:
    """Have the subscription cancelled at Stripe once it ends here, in the caller's transaction."""
    if subscription.ended_at is not None:
        wait = subscription.ended_at - platform.clock.now()
        # Named after the end too: one that was withdrawn must not stand in the way of another.
        dedup = f"{subscription.id}:{subscription.ended_at.isoformat()}"
        await jobs.add_job(platform, tenant_id=subscription.tenant_id, topic=CANCEL, dedup=dedup, run_in=wait)
        await stripe_items.plan_settling(platform, subscription, reason=subscription.ended_at.isoformat())


async def cancel_mirror(platform: Platform, job: Job) -> None:
    """The job: cancel at Stripe what has ended here, unless the end was withdrawn.

    Stripe stops collecting a cancelled subscription's open invoices; it is told to go on with ours.
    """
    subscription = await Subscription.get(tenant_id=job.tenant_id, id=job.dedup.partition(":")[0])
    if subscription.ended_at is not None and subscription.ended_at <= platform.clock.now():
        if subscription.stripe_subscription_id is None:
            raise jobs.NotYet("the subscription is not at Stripe yet")
        await platform.stripe.cancel_subscription(
            subscription.stripe_subscription_id, key=f"subscription:{subscription.id}:cancel"
        )
        unpaid = await Invoice.filter(
            tenant_id=job.tenant_id, subscription_id=subscription.id, state__in=COLLECTING
        ).order_by("id")
        for invoice in unpaid:
            if invoice.stripe_invoice_id is not None:
                await platform.stripe.resume_collection(invoice.stripe_invoice_id)
    async with jobs.completing(job):
        pass
