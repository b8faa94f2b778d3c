"""Invoices: what Stripe says of their payment, its drafts, and reading them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from inkmeter.errors import NotFound
from inkmeter.events import Event, InvoicePaid, PaymentFailed
from inkmeter.money import Money
from integrations.protocols import StripeInvoice
from services import dunning_cases, invoice_states, jobs, notices, periods, pushing, stripe_lines
from services.notices import NoticeKind
from services.platform import Platform
from services.pushing import CYCLE_TOLERANCE, FOLLOW_EVERY
from storage.database import transaction
from storage.invoices import Invoice as Invoice
from storage.invoices import InvoiceKind as InvoiceKind
from storage.invoices import InvoiceState as InvoiceState
from storage.invoices import LineItem as LineItem
from storage.invoices import LineKind as LineKind
from storage.jobs import Job
from storage.subscriptions import Period, Subscription
from storage.tenants import Tenant, lock_tenant

COLLECTED: Final = (InvoiceState.FINALIZED, InvoiceState.PUSHED, InvoiceState.PAST_DUE)
VOIDABLE: Final = (*COLLECTED, InvoiceState.UNCOLLECTIBLE)
GIVEN_UP_BY_STRIPE: Final = (
    "max_payment_attempts",
    "payment_not_received",
    "subscription_canceled",
    "subscription_paused",
)
"""Why an invoice is uncollectible, in Stripe's words, where nobody has forgiven it (API version 2026-10-28)."""


async def note_payment(platform: Platform, theirs: StripeInvoice) -> Sequence[Event] | None:
    """Take over what Stripe says of the payment, in the caller's transaction. Answers what to tell the plugins after
    the commit, or None if the invoice is not ours.

    Safe in any order and any number of times: it looks at the invoice as it is now, not at the event.
    """
    invoice = await Invoice.get_or_none(stripe_invoice_id=theirs.id)
    if invoice is None:
        return None
    # Two invoices of one tenant take turns: whether it is in grace depends on both.
    tenant = await lock_tenant(invoice.tenant_id)
    invoice = await Invoice.get(tenant_id=tenant.id, id=invoice.id)
    is_whole = theirs.subtotal == Money(invoice.total_minor, invoice.currency)
    if theirs.status != "void" and not is_whole and theirs.subtotal != await stripe_lines.due_at_stripe(invoice):
        return []  # finalized without our lines, or with others: what was paid is not what is owed
    has_failed, events = False, []
    if theirs.status == "paid":
        events = await _mark_paid(platform, tenant, invoice, theirs)
    elif theirs.status == "void" or (theirs.status == "uncollectible" and _is_forgiven(theirs)):
        await _retire(platform, invoice, theirs)
    elif theirs.status == "uncollectible" or (theirs.status == "open" and theirs.attempt_count > 0):
        has_failed = await _mark_past_due(platform, tenant, invoice, theirs)
    events += await dunning_cases.follow_debts(platform, tenant)
    if has_failed and (case := await dunning_cases.open_case(tenant.id)) is not None:
        until = dunning_cases.policy_of(case).grace_ends(case.since)
        events.append(PaymentFailed(str(tenant.public_id), platform.clock.now(), str(invoice.id), until))
    return events


async def _mark_paid(platform: Platform, tenant: Tenant, invoice: Invoice, theirs: StripeInvoice) -> list[Event]:
    now = platform.clock.now()
    changed = await Invoice.filter(tenant_id=tenant.id, id=invoice.id, paid_at=None).update(
        state=InvoiceState.PAID, paid_at=now, settled_at=theirs.settled_at or now
    )
    if not changed:
        return []
    return [
        InvoicePaid(str(tenant.public_id), now, str(invoice.id), Money(invoice.total_minor, invoice.currency)),
    ]


async def _retire(platform: Platform, invoice: Invoice, theirs: StripeInvoice) -> None:
    """Stripe may still void, or be paid, what is uncollectible; nothing goes the other way."""
    is_void = theirs.status == "void"
    await Invoice.filter(
        tenant_id=invoice.tenant_id, id=invoice.id, state__in=VOIDABLE if is_void else COLLECTED
    ).update(
        state=InvoiceState.VOID if is_void else InvoiceState.UNCOLLECTIBLE,
        settled_at=invoice.settled_at or theirs.settled_at or platform.clock.now(),
    )


def _is_forgiven(theirs: StripeInvoice) -> bool:
    """Whether somebody has given the debt up. What Stripe marked by itself after its retries is owed still; API
    versions before endive do not tell the two apart.
    """
    return theirs.uncollectible_reason not in GIVEN_UP_BY_STRIPE


async def _mark_past_due(platform: Platform, tenant: Tenant, invoice: Invoice, theirs: StripeInvoice) -> bool:
    """Answers whether this is the first that we hear of a failure."""
    now = platform.clock.now()
    url = theirs.hosted_url or invoice.hosted_url
    changed = await Invoice.filter(tenant_id=tenant.id, id=invoice.id, failed_at=None, settled_at=None).update(
        state=InvoiceState.PAST_DUE, failed_at=now, hosted_url=url
    )
    if changed:
        await notices.note(tenant.id, NoticeKind.PAYMENT_FAILED, invoice.id, now, invoice_id=invoice.id, url=url)
    return bool(changed)


async def follow_payment(platform: Platform, job: Job) -> None:
    """The job: look at a pushed invoice until nothing more is collected, in case a webhook was lost."""
    invoice = await Invoice.get(tenant_id=job.tenant_id, id=job.dedup)
    assert invoice.stripe_invoice_id is not None  # noqa: S101 - it was pushed
    if invoice.paid_at is None:
        theirs = await platform.stripe.invoice(invoice.stripe_invoice_id)
        async with transaction():
            events = await note_payment(platform, theirs)
            await invoice_states.mirror_invoice(platform, theirs)
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
    """An invoice with its lines, and the periods that it and they are for, by id."""

    invoice: Invoice
    lines: Sequence[LineItem]
    periods: Mapping[UUID, Period]

    @property
    def period(self) -> Period:
        return self.periods[self.invoice.period_id]


async def load_details(tenant_id: int, found: Sequence[Invoice]) -> list[InvoiceDetails]:
    """The periods and lines of a tenant's invoices, in two queries however many there are."""
    items = await LineItem.filter(tenant_id=tenant_id, invoice_id__in=[i.id for i in found]).order_by("position")
    wanted = {*(invoice.period_id for invoice in found), *(item.service_period_id for item in items)}
    served = {period.id: period for period in await Period.filter(tenant_id=tenant_id, id__in=wanted)}
    return [
        InvoiceDetails(invoice, [item for item in items if item.invoice_id == invoice.id], served) for invoice in found
    ]


@dataclass(frozen=True, slots=True)
class BilledAmount:
    """What some lines came to."""

    quantity: Decimal
    amount: Money


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What an ADJUSTMENT corrects, and why."""

    adjusts: LineKind
    billed: BilledAmount
    now: BilledAmount
    late_events: int
    corrections: int
    reason: str


def read_adjustment(item: LineItem, currency: str) -> Adjustment | None:
    """The explanation of an ADJUSTMENT; None for every other line."""
    explained: Any = item.explanation
    if item.kind is not LineKind.ADJUSTMENT or explained is None or item.adjusts is None:
        return None

    def amount(side: str) -> BilledAmount:
        return BilledAmount(Decimal(explained[side]["quantity"]), Money(explained[side]["amount_minor"], currency))

    return Adjustment(
        LineKind(item.adjusts),
        amount("billed"),
        amount("now"),
        explained["late_events"],
        explained["corrections"],
        explained["reason"],
    )


async def is_subscription_known(stripe_subscription_id: str) -> bool:
    """Whether a subscription of ours has that id at Stripe."""
    return await Subscription.exists(stripe_subscription_id=stripe_subscription_id)


async def is_cycle_of_ours(theirs: StripeInvoice) -> bool:
    """Whether it bills a cycle of a subscription that we made: not one that Stripe counts within a long trial."""
    if theirs.subscription_id is None or theirs.billing_reason != "subscription_cycle":
        return False
    subscription = await Subscription.get_or_none(stripe_subscription_id=theirs.subscription_id)
    if subscription is None:
        return False
    first = await Period.filter(tenant_id=subscription.tenant_id, subscription_id=subscription.id).order_by("starts_at")
    return bool(first) and theirs.period[1] > first[0].ends_at - CYCLE_TOLERANCE


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
    # A period that was cut short may end near a cycle, but no cycle of Stripe's ends with it.
    whole = [period for period in near if periods.is_whole(subscription, period)]
    period = min(whole, key=lambda p: abs(p.ends_at - end), default=None)
    if period is None:
        return f"no billing period of ours ends at {end.isoformat()}"
    await Period.filter(tenant_id=period.tenant_id, id=period.id, stripe_invoice_id=None).update(
        stripe_invoice_id=theirs.id
    )
    invoice = await Invoice.get_or_none(tenant_id=period.tenant_id, period_id=period.id, kind=InvoiceKind.PERIOD)
    if invoice is not None:
        await jobs.wake(platform, invoice.tenant_id, pushing.PUSH, str(invoice.id))
    return None
