"""Pushing an invoice: our lines go onto Stripe's, totals are compared, Stripe finalizes and collects.

What is compared is the invoice as Stripe answers the last change of ours, or as it is read anew.

An invoice of a cycle goes onto the draft that Stripe makes at the cycle's end. What has no cycle there gets an invoice
of its own: an opening, the last one after a cancellation, a cycle that Stripe never saw or finalized without us.
"""

from datetime import timedelta
from typing import Final

from inkmeter.errors import PaymentRefused
from integrations.protocols import NO_TAX_LOCATION, UNKNOWN_ID, StripeInvoice
from services import discrepancies, invoice_items, invoice_states, jobs, missed_drafts, periods, stripe_lines, taxes
from services.comparing import DifferenceKind
from services.platform import Platform
from services.stripe_lines import BooksDiffer as BooksDiffer
from storage.database import transaction
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.invoices import Invoice, InvoiceKind, InvoiceState, LineItem
from storage.jobs import Job
from storage.subscriptions import Period, Subscription
from storage.tenants import Tenant

PUSH: Final = "invoice.push"
FOLLOW: Final = "invoice.follow"
FOLLOW_EVERY: Final = timedelta(days=1)
"""How often Stripe is asked about an unpaid invoice. Its webhooks are faster; one that was lost is made up for."""
CYCLE_TOLERANCE: Final = timedelta(days=4)
"""How far Stripe's end of a cycle may lie from ours: it counts months in UTC, we count local days."""
ENDED_AT_STRIPE: Final = ("canceled", "incomplete_expired")
INVOICE_TOTAL: Final = "INVOICE_TOTAL"
"""The kind of discrepancy that holds a push up."""
HOLD_A_PUSH: Final = (INVOICE_TOTAL, taxes.FINALIZATION, DifferenceKind.INVOICE_MISSING.value)
PUSH_AGAIN: Final = "PUSH_AGAIN"
"""The repair that somebody has asked for where Stripe's draft was deleted."""
BILLS_NO_CYCLE: Final = (*ENDED_AT_STRIPE, "paused")
"""Stripe's docs: a paused subscription makes no invoices."""


async def push_invoice(platform: Platform, job: Job) -> None:
    """The job. Each line's Stripe id is stored as soon as it is known; a repeat adds only what is missing."""
    invoice = await Invoice.get(tenant_id=job.tenant_id, id=job.dedup)
    theirs = await _find_theirs(platform, job, invoice)
    await _note_theirs(invoice, theirs)
    # What was finalized without us may be paid, too, and its webhooks may have come: it is asked about at once.
    follow_in = FOLLOW_EVERY if theirs.status == "draft" else timedelta()
    if theirs.status != "draft" and theirs.subtotal != await stripe_lines.due_at_stripe(invoice):
        await stripe_lines.note_matched(platform, invoice, theirs)
        await missed_drafts.move_rest(platform, invoice, theirs, await invoice_items.of_invoice(invoice))
    if theirs.status == "draft":
        # Held already by the webhook that told of it, unless it is late or taxes are new.
        if theirs.is_advancing or (platform.terms.automatic_tax and not theirs.is_taxed):
            theirs = await platform.stripe.hold_invoice(theirs.id, is_taxed=platform.terms.automatic_tax)
        await stripe_lines.note_matched(platform, invoice, theirs)
        theirs = await invoice_items.add_items(platform, invoice, theirs, is_retry=job.attempts > 1)
    await _require_equal(platform, invoice, theirs)
    final = await _finalize(platform, job, invoice, theirs)
    if final.status == "open" and not final.is_advancing:
        # Held by us, then finalized by somebody else: Stripe would never collect it.
        await platform.stripe.resume_collection(final.id)
    async with jobs.completing(job):
        await invoice_states.mirror_invoice(platform, final)
        # Stripe's "paid" may have come before this line; it stands.
        await Invoice.filter(tenant_id=job.tenant_id, id=invoice.id, state=InvoiceState.FINALIZED).update(
            state=InvoiceState.PUSHED
        )
        await Invoice.filter(tenant_id=job.tenant_id, id=invoice.id).update(pushed_at=platform.clock.now())
        await discrepancies.resolve(platform, job.tenant_id, HOLD_A_PUSH, str(invoice.id))
        await jobs.add_job(platform, tenant_id=job.tenant_id, topic=FOLLOW, dedup=str(invoice.id), run_in=follow_in)


async def _note_theirs(invoice: Invoice, theirs: StripeInvoice) -> None:
    """Keep the id of Stripe's invoice; what was on another one, which is gone, goes onto this one anew."""
    if invoice.stripe_invoice_id == theirs.id:
        return
    async with transaction():
        if invoice.stripe_invoice_id:
            await LineItem.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id).update(stripe_item_id=None)
        await Invoice.filter(tenant_id=invoice.tenant_id, id=invoice.id).update(stripe_invoice_id=theirs.id)


async def _finalize(platform: Platform, job: Job, invoice: Invoice, theirs: StripeInvoice) -> StripeInvoice:
    # A key for each try: Stripe repeats a refusal for a day, also after its reason is mended. An invoice is finalized
    # once at most, whatever the key.
    key = f"invoice:{invoice.id}:finalize:{job.lease_token}"
    try:
        return await platform.stripe.finalize_invoice(theirs.id, key=key)
    except PaymentRefused as refusal:
        if refusal.upstream_code == NO_TAX_LOCATION:
            await taxes.report_no_location(platform, invoice, theirs)
        raise


async def _find_theirs(platform: Platform, job: Job, invoice: Invoice) -> StripeInvoice:
    """The invoice at Stripe that ours goes onto; one of its own is made where no cycle has one for us."""
    period = await Period.get(tenant_id=invoice.tenant_id, id=invoice.period_id)
    is_of_cycle = invoice.kind is InvoiceKind.PERIOD
    known = invoice.stripe_invoice_id or (period.stripe_invoice_id if is_of_cycle else None)
    replaced = None
    if known is not None:
        theirs = await _look_up(platform, invoice, known)
        if theirs is None:
            replaced = known
        elif not _was_missed(invoice, theirs):
            return theirs
    elif is_of_cycle and (draft := await _find_cycle(platform, invoice, period)) is not None:
        return draft
    tenant = await Tenant.get(id=invoice.tenant_id)
    assert tenant.stripe_customer_id is not None  # noqa: S101 - only provisioned tenants are subscribed
    invoice_id = await platform.stripe.ensure_invoice(
        # Stripe would answer the first one's key with the draft that was deleted.
        key=f"invoice:{invoice.id}" + (f":after:{replaced}" if replaced else ""),
        is_retry=job.attempts > 1,
        customer_id=tenant.stripe_customer_id,
        currency=invoice.currency,
        metadata={"tenant_id": str(tenant.public_id), "invoice_id": str(invoice.id)},
        is_taxed=platform.terms.automatic_tax,
    )
    return await platform.stripe.invoice(invoice_id)


async def _look_up(platform: Platform, invoice: Invoice, stripe_id: str) -> StripeInvoice | None:
    """Stripe's invoice; None for a draft that was deleted, if somebody has asked that ours goes there again."""
    try:
        return await platform.stripe.invoice(stripe_id)
    except PaymentRefused as refusal:
        if refusal.upstream_code != UNKNOWN_ID:
            raise
        missing = Discrepancy.filter(tenant_id=invoice.tenant_id, kind=DifferenceKind.INVOICE_MISSING.value)
        begun = missing.filter(subject=str(invoice.id), state=DiscrepancyState.OPEN, repair=PUSH_AGAIN)
        if not await begun.exists():
            raise
        return None


def _was_missed(invoice: Invoice, theirs: StripeInvoice) -> bool:
    """Whether Stripe finalized a cycle's draft before we came to it: nothing that was added is on it, and nothing is
    billed by it. What a METERED plan's prices have billed on it stays there.
    """
    is_untouched = theirs.subscription_id is not None and all(line.invoice_item_id is None for line in theirs.lines)
    return theirs.status != "draft" and is_untouched and not theirs.subtotal.minor and invoice.total_minor != 0


async def _find_cycle(platform: Platform, invoice: Invoice, period: Period) -> StripeInvoice | None:
    """The draft of a cycle that nobody has told us of; None if Stripe will make none for this period.

    Raises NotYet while it may still come.
    """
    subscription = await Subscription.get(tenant_id=invoice.tenant_id, id=invoice.subscription_id)
    if not periods.is_whole(subscription, period):
        return None
    if subscription.stripe_subscription_id is None:
        if not periods.goes_on(subscription, period.ends_at):
            return None
        raise jobs.NotYet("the subscription is not at Stripe yet")
    # Asked first: a cycle that it has passed by now has made its draft.
    theirs = await platform.stripe.subscription(subscription.stripe_subscription_id)
    draft = await platform.stripe.find_draft_invoice(subscription.stripe_subscription_id, period.ends_at)
    if draft is not None:
        return draft
    if theirs.status in BILLS_NO_CYCLE or theirs.period_end > period.ends_at + CYCLE_TOLERANCE:
        return None
    raise jobs.NotYet("Stripe has not made the cycle's invoice yet", timedelta(minutes=5))


async def _require_equal(platform: Platform, invoice: Invoice, theirs: StripeInvoice) -> None:
    # `subtotal`: a tax that Stripe adds is not a difference between the books.
    ours = await stripe_lines.due_at_stripe(invoice)
    if theirs.subtotal == ours:
        return
    await discrepancies.open_discrepancy(
        platform,
        Discrepancy(
            tenant_id=invoice.tenant_id,
            kind=INVOICE_TOTAL,
            subject=str(invoice.id),
            ours_minor=ours.minor,
            theirs_minor=theirs.subtotal.minor,
            currency=invoice.currency,
            evidence={
                "stripe_invoice_id": theirs.id,
                "stripe_lines": [[line.id, line.description, line.amount.minor] for line in theirs.lines],
            },
            explanation=f"Our invoice comes to {ours}, Stripe's draft to {theirs.subtotal}; it is held.",
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        ),
    )
    raise BooksDiffer(f"invoice {invoice.id}: ours is {ours}, Stripe's {theirs.subtotal}")
