"""Invoices on their way: from our books to Stripe's draft, finalized there, and paid or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from inkmeter.errors import InkmeterError, NotFound
from inkmeter.events import Event, InvoicePaid, PaymentFailed
from inkmeter.money import Money
from integrations.protocols import StripeInvoice
from services import jobs
from services.platform import Platform
from storage.database import insert_new, transaction
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.invoices import Invoice as Invoice
from storage.invoices import InvoiceState as InvoiceState
from storage.invoices import LineItem as LineItem
from storage.jobs import Job
from storage.subscriptions import Period, Subscription
from storage.tenants import Tenant, TenantState

PUSH: Final = "invoice.push"
FOLLOW: Final = "invoice.follow"
FOLLOW_EVERY: Final = timedelta(days=1)
"""How often Stripe is asked about an unpaid invoice. Its webhooks are faster; one that was lost is made up for."""
CYCLE_TOLERANCE: Final = timedelta(days=4)
"""How far Stripe's end of a cycle may lie from ours: it counts months in UTC, we count local days."""
UNPAID: Final = (InvoiceState.FINALIZED, InvoiceState.PUSHED)


class BooksDiffer(InkmeterError):
    """Stripe's total is not ours. The draft stays held and the difference is kept as a discrepancy."""

    code = "BOOKS_DIFFER"


async def push_invoice(platform: Platform, job: Job) -> None:
    """The job: our lines go onto the draft that Stripe made for the cycle, totals are compared, Stripe finalizes.

    Each line's Stripe id is stored as soon as it is known; a repeat adds only what is missing.
    """
    invoice = await Invoice.get(tenant_id=job.tenant_id, id=job.dedup)
    period = await Period.get(tenant_id=job.tenant_id, id=invoice.period_id)
    draft = await _find_draft(platform, invoice, period)
    await Invoice.filter(tenant_id=job.tenant_id, id=invoice.id).update(stripe_invoice_id=draft.id)
    if draft.status == "draft":
        await platform.stripe.hold_invoice(draft.id)
        await _add_lines(platform, job, invoice, period, draft)
        draft = await platform.stripe.invoice(draft.id)
    await _require_equal(platform, invoice, draft)
    final = await platform.stripe.finalize_invoice(draft.id, key=f"invoice:{invoice.id}:finalize")
    async with jobs.completing(job):
        # Stripe's "paid" may have come before this line; it stands.
        await Invoice.filter(tenant_id=job.tenant_id, id=invoice.id, state=InvoiceState.FINALIZED).update(
            state=InvoiceState.PUSHED
        )
        await Invoice.filter(tenant_id=job.tenant_id, id=invoice.id).update(
            pushed_at=platform.clock.now(), hosted_url=final.hosted_url
        )
        await jobs.add_job(platform, tenant_id=job.tenant_id, topic=FOLLOW, dedup=str(invoice.id), run_in=FOLLOW_EVERY)


async def _find_draft(platform: Platform, invoice: Invoice, period: Period) -> StripeInvoice:
    known = invoice.stripe_invoice_id or period.stripe_invoice_id
    if known is not None:
        return await platform.stripe.invoice(known)
    subscription = await Subscription.get(tenant_id=invoice.tenant_id, id=invoice.subscription_id)
    if subscription.stripe_subscription_id is None:
        raise jobs.NotYet("the subscription is not at Stripe yet")
    draft = await platform.stripe.find_draft_invoice(subscription.stripe_subscription_id, period.ends_at)
    if draft is None:
        raise jobs.NotYet("Stripe has not made the cycle's invoice yet", timedelta(minutes=5))
    return draft


async def _add_lines(platform: Platform, job: Job, invoice: Invoice, period: Period, draft: StripeInvoice) -> None:
    items = await LineItem.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id).order_by("position")
    for item in items:
        if item.stripe_item_id is not None or item.amount_minor == 0:
            continue
        stripe_item_id = await platform.stripe.add_line(
            key=f"line:{item.id}",
            is_retry=job.attempts > 1,
            invoice=draft,
            amount=Money(item.amount_minor, invoice.currency),
            description=f"{item.label} ({item.quantity:f} × {item.unit_price:f})",
            period=period.span,
            metadata={"invoice_id": str(invoice.id), "line_item_id": str(item.id)},
        )
        await LineItem.filter(tenant_id=item.tenant_id, id=item.id).update(stripe_item_id=stripe_item_id)


async def _require_equal(platform: Platform, invoice: Invoice, theirs: StripeInvoice) -> None:
    # `subtotal`: a tax that Stripe adds is not a difference between the books.
    if theirs.subtotal == Money(invoice.total_minor, invoice.currency):
        return
    await insert_new(
        Discrepancy(
            tenant_id=invoice.tenant_id,
            kind="INVOICE_TOTAL",
            subject=str(invoice.id),
            ours_minor=invoice.total_minor,
            theirs_minor=theirs.subtotal.minor,
            currency=invoice.currency,
            evidence={
                "stripe_invoice_id": theirs.id,
                "stripe_lines": [[line.id, line.description, line.amount.minor] for line in theirs.lines],
            },
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        )
    )
    raise BooksDiffer(
        f"invoice {invoice.id}: ours is {Money(invoice.total_minor, invoice.currency)}, Stripe's {theirs.subtotal}"
    )


async def note_payment(platform: Platform, theirs: StripeInvoice) -> Sequence[Event] | None:
    """Take over what Stripe says of the payment, in the caller's transaction. Answers what to tell the plugins after
    the commit, or None if the invoice is not ours.

    Safe in any order and any number of times: it looks at the invoice as it is now, not at the event.
    """
    invoice = await Invoice.get_or_none(stripe_invoice_id=theirs.id)
    if invoice is None:
        return None
    # Two invoices of one tenant take turns: whether it is in grace depends on both.
    tenant = await Tenant.filter(id=invoice.tenant_id).select_for_update().get()
    if theirs.subtotal != Money(invoice.total_minor, invoice.currency):
        return []  # finalized without our lines, or with others: what was paid is not what is owed
    if theirs.status == "paid":
        return await _mark_paid(platform, tenant, invoice)
    if theirs.status == "open" and theirs.attempt_count > 0:
        return await _mark_past_due(platform, tenant, invoice)
    return []


async def _mark_paid(platform: Platform, tenant: Tenant, invoice: Invoice) -> Sequence[Event]:
    now = platform.clock.now()
    changed = await Invoice.filter(tenant_id=tenant.id, id=invoice.id, paid_at=None).update(
        state=InvoiceState.PAID, paid_at=now
    )
    if not changed:
        return []
    if not await Invoice.exists(tenant_id=tenant.id, state=InvoiceState.PAST_DUE):
        await Tenant.filter(id=tenant.id, state=TenantState.GRACE).update(state=TenantState.ACTIVE, grace_until=None)
    return [
        InvoicePaid(str(tenant.public_id), now, str(invoice.id), Money(invoice.total_minor, invoice.currency)),
    ]


async def _mark_past_due(platform: Platform, tenant: Tenant, invoice: Invoice) -> Sequence[Event]:
    now = platform.clock.now()
    changed = await Invoice.filter(tenant_id=tenant.id, id=invoice.id, state__in=UNPAID).update(
        state=InvoiceState.PAST_DUE
    )
    if not changed:
        return []
    # The clock starts with the first failure; later ones do not extend it.
    until = tenant.grace_until or now + platform.terms.grace
    await Tenant.filter(id=tenant.id, state=TenantState.ACTIVE).update(state=TenantState.GRACE, grace_until=until)
    return [PaymentFailed(str(tenant.public_id), now, str(invoice.id), until)]


async def follow_payment(platform: Platform, job: Job) -> None:
    """The job: look at a pushed invoice until nothing more is collected, in case a webhook was lost."""
    invoice = await Invoice.get(tenant_id=job.tenant_id, id=job.dedup)
    assert invoice.stripe_invoice_id is not None  # noqa: S101 - it was pushed
    if invoice.paid_at is None:
        theirs = await platform.stripe.invoice(invoice.stripe_invoice_id)
        async with transaction():
            events = await note_payment(platform, theirs)
        for event in events or []:
            await platform.plugins.publish(event)
        if theirs.status == "open":
            raise jobs.NotYet("it is not paid", FOLLOW_EVERY)
    async with jobs.completing(job):
        pass


async def find_invoice(tenant_id: int | None, invoice_id: UUID) -> Invoice:
    """The invoice, of that tenant unless None. Raises NotFound, also for another tenant's."""
    query = Invoice.filter(id=invoice_id) if tenant_id is None else Invoice.filter(id=invoice_id, tenant_id=tenant_id)
    invoice = await query.first()
    if invoice is None:
        raise NotFound("no such invoice", path=("id",))
    return invoice


async def list_invoices(tenant_id: int, after: UUID | None, limit: int) -> Sequence[Invoice]:
    """The tenant's invoices in the order in which they were made, after the given one."""
    query = Invoice.filter(tenant_id=tenant_id)
    if after is not None:
        query = query.filter(id__gt=after)
    return await query.order_by("id").limit(limit)


@dataclass(frozen=True, slots=True)
class InvoiceDetails:
    """An invoice with its period and its lines."""

    invoice: Invoice
    period: Period
    lines: Sequence[LineItem]


async def load_details(tenant_id: int, found: Sequence[Invoice]) -> list[InvoiceDetails]:
    """The periods and lines of a tenant's invoices, in two queries however many there are."""
    periods = {p.id: p for p in await Period.filter(tenant_id=tenant_id, id__in=[i.period_id for i in found])}
    items = await LineItem.filter(tenant_id=tenant_id, invoice_id__in=[i.id for i in found]).order_by("position")
    return [
        InvoiceDetails(invoice, periods[invoice.period_id], [i for i in items if i.invoice_id == invoice.id])
        for invoice in found
    ]


async def is_cycle_of_ours(theirs: StripeInvoice) -> bool:
    """Whether it bills a cycle of a subscription that we made."""
    return (
        theirs.subscription_id is not None
        and theirs.billing_reason == "subscription_cycle"
        and await Subscription.exists(stripe_subscription_id=theirs.subscription_id)
    )


async def attach_draft(platform: Platform, theirs: StripeInvoice) -> str | None:
    """A cycle's draft has come: note it on its period, in the caller's transaction, and push if we have closed.

    Answers why it does not concern us.
    """
    if not await is_cycle_of_ours(theirs):
        return "not a billing cycle of ours"
    subscription = await Subscription.get(stripe_subscription_id=theirs.subscription_id)
    end = theirs.period[1]
    near = await Period.filter(
        tenant_id=subscription.tenant_id,
        subscription_id=subscription.id,
        ends_at__gte=end - CYCLE_TOLERANCE,
        ends_at__lte=end + CYCLE_TOLERANCE,
    )
    period = min(near, key=lambda p: abs(p.ends_at - end), default=None)
    if period is None:
        return f"no billing period of ours ends at {end.isoformat()}"
    await Period.filter(tenant_id=period.tenant_id, id=period.id, stripe_invoice_id=None).update(
        stripe_invoice_id=theirs.id
    )
    invoice = await Invoice.get_or_none(tenant_id=period.tenant_id, period_id=period.id)
    if invoice is not None:
        await jobs.wake(platform, invoice.tenant_id, PUSH, str(invoice.id))
    return None
