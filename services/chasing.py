"""The job of a case of dunning: before a step is taken, Stripe is asked whether something was paid after all.

--  every invoice that is owed, and the subscription, are fetched as they are now
T   payments are taken over; then the steps that are due are taken, each with its notice
"""

from datetime import timedelta
from typing import Final

from inkmeter.errors import UpstreamError
from inkmeter.events import Event
from integrations.protocols import StripeInvoice, StripeSubscription
from services import dunning_cases, invoice_states, invoices, jobs, overdue, stripe_subscriptions, subscriptions
from services.dunning_cases import DunningCase
from services.platform import Platform
from storage.database import transaction
from storage.jobs import Job
from storage.tenants import lock_tenant

LOOK_EVERY: Final = timedelta(days=1)
"""How often an open case is looked at, in case webhooks were lost."""
ASK_AGAIN: Final = timedelta(minutes=15)


async def look_at_case(platform: Platform, job: Job) -> None:
    """Runs until the case is closed."""
    case = await DunningCase.get(tenant_id=job.tenant_id, id=job.dedup)
    if case.closed_at is None:
        try:
            owed, theirs = await _ask_stripe(platform, job.tenant_id)
        except UpstreamError as error:
            # Not an attempt that failed: a case may last for months, and Stripe be down now and then.
            raise jobs.NotYet(error.message, ASK_AGAIN) from error
        async with transaction():
            events = await _follow(platform, case, owed, theirs)
        for event in events:
            await platform.plugins.publish(event)
        case = await DunningCase.get(tenant_id=job.tenant_id, id=job.dedup)
    if case.closed_at is None:
        standing = await dunning_cases.standing_of(platform, case)
        now = platform.clock.now()
        until = min(standing.next_at - now, LOOK_EVERY) if standing.next_at is not None else LOOK_EVERY
        raise jobs.NotYet("it is not paid", until)
    async with jobs.completing(job):
        pass


async def _ask_stripe(platform: Platform, tenant_id: int) -> tuple[list[StripeInvoice], StripeSubscription | None]:
    ids = [invoice.stripe_invoice_id for invoice in await overdue.owed_invoices(tenant_id)]
    owed = [await platform.stripe.invoice(one) for one in ids if one]
    running = await subscriptions.running_subscription(tenant_id)
    if running is None or running.stripe_subscription_id is None:
        return owed, None
    return owed, await platform.stripe.subscription(running.stripe_subscription_id)


async def _follow(
    platform: Platform, case: DunningCase, owed: list[StripeInvoice], theirs: StripeSubscription | None
) -> list[Event]:
    events: list[Event] = []
    tenant = await lock_tenant(case.tenant_id)
    for invoice in owed:
        events += await invoices.note_payment(platform, invoice) or []
        await invoice_states.mirror_invoice(platform, invoice)
    if theirs is not None:
        events += await stripe_subscriptions.note_status(platform, theirs) or []
    tenant = await lock_tenant(case.tenant_id)
    case = await DunningCase.get(tenant_id=case.tenant_id, id=case.id)
    if case.closed_at is None:
        events += await dunning_cases.take_steps(platform, tenant, case)
    return events
