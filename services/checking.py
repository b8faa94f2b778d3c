"""What a reconciliation looks at: the checks of a tenant's customer and of each of its invoices.

A check can be carried out any number of times; it asks Stripe anew each time. Other checks of a tenant are added to
`reconciling.CHECKS`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from inkmeter.errors import PaymentRefused
from inkmeter.money import Money
from inkmeter.periods import BillingPeriod
from integrations.protocols import UNKNOWN_ID, StripeInvoice, StripeInvoiceHead
from services import comparing, invoice_items, invoice_states, periods, pushing, repairs, stripe_lines
from services.comparing import Difference, DifferenceKind, OurInvoice, OurLine
from services.discrepancies import Discrepancy, DiscrepancyState, Known
from services.invoice_items import ItemToBe
from services.platform import Platform
from services.repairs import Mender, RepairKind, Resender
from storage.invoices import Invoice, InvoiceKind, InvoiceState, LineItem
from storage.subscriptions import Period, Subscription, SubscriptionState
from storage.tenants import Tenant

STUCK_AFTER: Final = timedelta(days=1)
"""How long the way to Stripe may take: a younger invoice that is not there yet is under way."""
GONE: Final = ("canceled", "incomplete_expired")
ALL_KINDS: Final = frozenset(kind.value for kind in DifferenceKind)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found, with the repairs that are safe by (kind, subject), and how to make one."""

    differences: Sequence[Difference]
    repairs: Mapping[tuple[str, str], RepairKind]
    mender: Mender | Resender | None = None

    def repair_of(self, difference: Difference) -> RepairKind | None:
        return self.repairs.get((difference.kind.value, difference.subject))

    async def mend(self, row: Discrepancy, repair: RepairKind) -> bool:
        return self.mender is not None and await self.mender.run(row, repair)


@dataclass(frozen=True, slots=True)
class Check:
    """Compares one thing; `scope` is the first word of its subjects. What it does not find any more of these `kinds`
    is resolved. `note` keeps what else the comparison has shown; not in a dry run.
    """

    scope: str
    kinds: frozenset[str]
    run: Callable[[Known], Awaitable[Finding]]
    note: Callable[[], Awaitable[None]] | None = None


async def check_customer(platform: Platform, tenant: Tenant, since: datetime) -> Sequence[Check]:
    """That the customer and its subscription are there, and that all its invoices are known to us."""

    async def run(known: Known) -> Finding:
        return Finding(await _compare_customer(platform, tenant, since), {})

    return [Check("customer", ALL_KINDS, run)] if tenant.stripe_customer_id else []


async def check_invoices(platform: Platform, tenant: Tenant, since: datetime) -> Sequence[Check]:
    """Each invoice that was closed since then, is not paid, or differs already."""
    now = platform.clock.now()
    rows = await Discrepancy.filter(tenant_id=tenant.id, state=DiscrepancyState.OPEN)
    is_open = {(row.kind, row.subject.partition(" ")[0]) for row in rows}
    subjects = {subject for _, subject in is_open}
    checks = []
    for invoice in await Invoice.filter(tenant_id=tenant.id).order_by("id"):
        if invoice.kind is InvoiceKind.TOP_UP and invoice.stripe_invoice_id is None:
            continue  # paid on a Checkout page: held against its session before anything was granted
        is_wanted = invoice.finalized_at >= since or invoice.state is not InvoiceState.PAID
        is_held_up = any((kind, str(invoice.id)) in is_open for kind in pushing.HOLD_A_PUSH)
        is_stuck = is_held_up or now - invoice.finalized_at > STUCK_AFTER
        is_there = invoice.state is not InvoiceState.FINALIZED or is_stuck
        if is_there and (is_wanted or str(invoice.id) in subjects):
            checks.append(check_of(platform, invoice))
    return checks


def check_of(platform: Platform, invoice: Invoice) -> Check:
    """The check of one invoice."""

    async def run(known: Known) -> Finding:
        fresh = await Invoice.get(tenant_id=invoice.tenant_id, id=invoice.id)
        return await _compare_one(platform, fresh, known)

    # What has held a push up is over when the invoice was pushed, whoever told of it last.
    is_pushed = invoice.state is not InvoiceState.FINALIZED
    return Check(str(invoice.id), ALL_KINDS | frozenset(pushing.HOLD_A_PUSH if is_pushed else ()), run)


async def _compare_one(platform: Platform, invoice: Invoice, known: Known) -> Finding:
    theirs = await _their_invoice(platform, invoice)
    if theirs is None:
        return _missing(platform, invoice)
    lines = await LineItem.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id).order_by("position")
    items = await invoice_items.items_of(invoice, lines)
    ours = OurInvoice(
        str(invoice.id),
        invoice.state.value,
        invoice.currency,
        await _our_lines(items),
        stripe_lines.amounts_by_stripe(invoice, lines),
    )
    ids = {line.item_id for line in ours.lines}
    has_unknown = any(line.invoice_item_id not in {None, *ids} for line in theirs.lines)
    metadata = await platform.stripe.item_metadata(theirs.id) if has_unknown else {}
    differences = comparing.compare_invoice(ours, theirs, metadata)
    if differences or known:
        differences = comparing.corrected(differences, await repairs.taken_off(platform, theirs, known))
    if theirs.has_credit_notes:
        differences += comparing.foreign_credits(ours, theirs, await platform.stripe.credit_notes(theirs.id))
    mender = Mender(platform, invoice, theirs, {str(item.lines[0].id): item for item in items})
    planned = {(found.kind.value, found.subject): repairs.plan_repair(found, theirs) for found in differences}
    return Finding(differences, {key: repair for key, repair in planned.items() if repair is not None}, mender)


def _missing(platform: Platform, invoice: Invoice) -> Finding:
    """One that never arrived is under way still; one whose draft was deleted before it was finalized goes again."""
    total, zero = Money(invoice.total_minor, invoice.currency), Money(0, invoice.currency)
    evidence = {"stripe_invoice_id": invoice.stripe_invoice_id}
    text = invoice_states.missing_text(invoice)
    found = Difference(DifferenceKind.INVOICE_MISSING, str(invoice.id), total, zero, text, evidence)
    if not invoice.stripe_invoice_id or invoice.state is not InvoiceState.FINALIZED:
        return Finding([found], {})
    return Finding([found], {(found.kind.value, found.subject): RepairKind.PUSH_AGAIN}, Resender(platform, invoice))


async def _their_invoice(platform: Platform, invoice: Invoice) -> StripeInvoice | None:
    if invoice.stripe_invoice_id is None:
        return None
    try:
        return await platform.stripe.invoice(invoice.stripe_invoice_id)
    except PaymentRefused as refusal:
        if refusal.upstream_code != UNKNOWN_ID:
            raise
        return None


async def _our_lines(items: Sequence[ItemToBe]) -> list[OurLine]:
    cycles: dict[UUID, BillingPeriod] = {}
    lines = []
    for item in items:
        first = item.lines[0]
        if first.service_period_id not in cycles:
            served = await Period.get(tenant_id=first.tenant_id, id=first.service_period_id)
            subscription = await Subscription.get(tenant_id=first.tenant_id, id=served.subscription_id)
            cycles[served.id] = periods.cycle_of(subscription, served)
        cycle, span = cycles[first.service_period_id], item.period
        lines.append(
            OurLine(
                id=str(first.id),
                item_id=first.stripe_item_id,
                label=item.description,
                amount=item.amount,
                period=(span.start, span.end),
                cycle=(span.start, cycle.end),
            )
        )
    return lines


async def _compare_customer(platform: Platform, tenant: Tenant, since: datetime) -> list[Difference]:
    assert tenant.stripe_customer_id is not None  # noqa: S101 - there would be no check
    zero = Money(0, tenant.currency)
    if not await platform.stripe.customer_exists(tenant.stripe_customer_id):
        if not await invoice_states.is_customer_needed(tenant):
            return []
        text = invoice_states.lost_customer_text(tenant.stripe_customer_id)
        evidence = {"stripe_customer_id": tenant.stripe_customer_id}
        return [Difference(DifferenceKind.CUSTOMER, "customer", zero, zero, text, evidence)]
    found = []
    for subscription in await Subscription.filter(tenant_id=tenant.id).order_by("id"):
        wrong = await _compare_subscription(platform, tenant, subscription)
        if wrong is not None:
            evidence = {"stripe_subscription_id": subscription.stripe_subscription_id}
            subject = f"customer {subscription.id}"
            found.append(Difference(DifferenceKind.SUBSCRIPTION, subject, zero, zero, wrong, evidence))
    for head in await platform.stripe.invoices_since(tenant.stripe_customer_id, since):
        difference = await _judge_invoice(platform, tenant, head)
        if difference is not None:
            found.append(difference)
    return found


async def _compare_subscription(platform: Platform, tenant: Tenant, subscription: Subscription) -> str | None:
    """What is wrong with a subscription at Stripe, in words."""
    stripe_id = subscription.stripe_subscription_id
    if stripe_id is None:
        return None
    has_ended = subscription.ended_at is not None and subscription.ended_at <= platform.clock.now() - STUCK_AFTER
    if subscription.state is SubscriptionState.ENDED and not has_ended:
        return None
    try:
        theirs = await platform.stripe.subscription(stripe_id)
    except PaymentRefused as refusal:
        if refusal.upstream_code != UNKNOWN_ID:
            raise
        return f"Stripe has no subscription {stripe_id}."
    if theirs.customer_id != tenant.stripe_customer_id:
        return f"Stripe's subscription {stripe_id} belongs to another customer, {theirs.customer_id}."
    if has_ended and theirs.status not in GONE:
        return f"Our subscription has ended, Stripe's {stripe_id} is {theirs.status}."
    if not has_ended and subscription.ended_at is None and theirs.status in GONE:
        return f"Our subscription runs, Stripe's {stripe_id} is {theirs.status}."
    return None


async def _judge_invoice(platform: Platform, tenant: Tenant, head: StripeInvoiceHead) -> Difference | None:
    """What an invoice of the customer's is to us; None if it is known, empty, or a draft that waits for our close."""
    if await Invoice.exists(tenant_id=tenant.id, stripe_invoice_id=head.id) or not head.subtotal.minor:
        return None
    zero, subject = Money(0, head.subtotal.currency), f"customer {head.id}"
    evidence = {"stripe_invoice_id": head.id, "status": head.status, "metadata": dict(head.metadata)}
    if (claimed := head.metadata.get("invoice_id")) is not None:
        ours = await _named(tenant, claimed)
        if ours is None:
            text = f"Stripe's invoice {head.id} was made by Inkmeter for an invoice that our books do not have."
            return Difference(DifferenceKind.EXTRA, subject, zero, head.subtotal, text, evidence)
        if ours.stripe_invoice_id is None:
            return None  # its push finds it
        text = f"Stripe's invoice {head.id} is a second one for ours, which is {ours.stripe_invoice_id}."
        return Difference(DifferenceKind.DUPLICATE, subject, zero, head.subtotal, text, evidence)
    if "inkmeter_key" in head.metadata:
        return None  # made by Inkmeter for something that is not an invoice of a period
    if head.subscription_id is not None and await _is_waiting(tenant, head):
        return None
    text = f"Stripe's invoice {head.id} of this customer was made by somebody else."
    return Difference(DifferenceKind.STRIPE_ONLY, subject, zero, head.subtotal, text, evidence)


async def _is_waiting(tenant: Tenant, head: StripeInvoiceHead) -> bool:
    """Whether it is the draft of a cycle whose period is not closed or pushed yet."""
    return head.status == "draft" and await Period.exists(tenant_id=tenant.id, stripe_invoice_id=head.id)


async def _named(tenant: Tenant, invoice_id: str) -> Invoice | None:
    """Our invoice of that id, which was read from metadata that anybody can write."""
    try:
        return await Invoice.get_or_none(tenant_id=tenant.id, id=UUID(invoice_id))
    except ValueError:
        return None
