"""What Stripe says of an invoice of ours besides its payment: its number, its totals, what is wrong with it.

An effect may be late: another may have looked at Stripe after it and been quicker. What Stripe fixes when it finalizes
an invoice is only ever set.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from inkmeter.events import Event, PaymentActionRequired
from inkmeter.money import Money
from integrations.protocols import StripeInvoice
from services import discrepancies, links, notices
from services.comparing import DifferenceKind
from services.notices import NoticeKind
from services.platform import Platform
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.invoices import Invoice, InvoiceState
from storage.subscriptions import Period
from storage.tenants import Tenant, TenantState, lock_tenant
from storage.transitions import pass_once

SETTLED: Final = (InvoiceState.PAID, InvoiceState.VOID, InvoiceState.UNCOLLECTIBLE)


async def find_locked(theirs_id: str) -> tuple[Tenant, Invoice] | None:
    """Our invoice for one of Stripe's, with its tenant locked: the effects on one tenant's invoices take turns."""
    invoice = await Invoice.get_or_none(stripe_invoice_id=theirs_id)
    if invoice is None:
        return None
    tenant = await lock_tenant(invoice.tenant_id)
    return tenant, await Invoice.get(tenant_id=tenant.id, id=invoice.id)


async def mirror_invoice(platform: Platform, theirs: StripeInvoice) -> bool:
    """Take over what Stripe says, in the caller's transaction. Answers whether the invoice is ours."""
    found = await find_locked(theirs.id)
    if found is None:
        return False
    tenant, invoice = found
    if theirs.status != "draft":
        says = {
            **links.links_of(platform, theirs),
            "stripe_total_minor": theirs.total.minor,
            "amount_due_minor": theirs.amount_due.minor,
        }
        if invoice.amount_paid_minor is None or invoice.amount_paid_minor < theirs.amount_paid.minor:
            says["amount_paid_minor"] = theirs.amount_paid.minor
        await Invoice.filter(tenant_id=tenant.id, id=invoice.id).update(**says)
    return True


async def note_finalization_problem(platform: Platform, theirs: StripeInvoice) -> bool:
    """Stripe could not finalize an invoice (its tax lacks an address, for instance): someone must look at it."""
    found = await find_locked(theirs.id)
    if found is None:
        return False
    tenant, invoice = found
    # Whoever comes late, after it was finalized all the same, opens nothing.
    is_held_up = theirs.status == "draft" and invoice.state is InvoiceState.FINALIZED
    if theirs.finalization_problem is not None and is_held_up:
        evidence = {"stripe_invoice_id": theirs.id, "reason": theirs.finalization_problem}
        ours = Money(invoice.total_minor, invoice.currency)
        text = f"Stripe could not finalize the invoice: {theirs.finalization_problem}"
        await note(platform, tenant, "FINALIZATION", str(invoice.id), ours, theirs.total, evidence, text)
    return True


async def note_action_required(platform: Platform, theirs: StripeInvoice) -> Sequence[Event] | None:
    """The bank wants the payer to confirm. Told once per attempt; None if the invoice is not ours."""
    found = await find_locked(theirs.id)
    if found is None:
        return None
    tenant, invoice = found
    await mirror_invoice(platform, theirs)
    now = platform.clock.now()
    is_due = theirs.status == "open" and theirs.hosted_url is not None
    if not is_due or not await pass_once(theirs.id, f"action_required:{theirs.attempt_count}", now):
        return []
    url = theirs.hosted_url
    await notices.note(tenant.id, NoticeKind.PAYMENT_ACTION_REQUIRED, invoice.id, now, invoice_id=invoice.id, url=url)
    return [PaymentActionRequired(str(tenant.public_id), now, str(invoice.id), theirs.hosted_url or "")]


async def note_deletion(platform: Platform, stripe_invoice_id: str) -> bool:
    """A draft was deleted at Stripe, which only happens by hand. Before ours was on it, another is found or made;
    after that it is what a comparison finds, too, and resolves.
    """
    periods = await Period.filter(stripe_invoice_id=stripe_invoice_id).update(stripe_invoice_id=None)
    found = await find_locked(stripe_invoice_id)
    if found is not None:
        tenant, invoice = found
        evidence = {"stripe_invoice_id": stripe_invoice_id}
        ours = Money(invoice.total_minor, invoice.currency)
        nothing = Money(0, invoice.currency)
        text = missing_text(invoice)
        await note(platform, tenant, DifferenceKind.INVOICE_MISSING, str(invoice.id), ours, nothing, evidence, text)
    return bool(periods) or found is not None


async def note_customer_deletion(platform: Platform, customer_id: str) -> bool:
    """A tenant's customer was deleted at Stripe, by hand: nothing can be collected from it any more."""
    tenant = await Tenant.get_or_none(stripe_customer_id=customer_id)
    if tenant is None:
        return False
    if not await is_customer_needed(tenant):
        return True
    nothing = Money(0, tenant.currency)
    evidence = {"stripe_customer_id": customer_id}
    text = lost_customer_text(customer_id)
    await note(platform, tenant, DifferenceKind.CUSTOMER, "customer", nothing, nothing, evidence, text)
    return True


async def is_customer_needed(tenant: Tenant) -> bool:
    """Whether anything is to be collected from a tenant: not of one that has left and owes nothing."""
    unsettled = Invoice.filter(tenant_id=tenant.id, state__not_in=SETTLED)
    return tenant.state is not TenantState.DEPROVISIONED or await unsettled.exists()


def missing_text(invoice: Invoice) -> str:
    """What is said of an invoice of ours that Stripe does not have."""
    where = f"Stripe has no invoice {invoice.stripe_invoice_id}" if invoice.stripe_invoice_id else "It never arrived"
    return f"Our invoice of {Money(invoice.total_minor, invoice.currency)} is not at Stripe. {where}."


def lost_customer_text(customer_id: str) -> str:
    """What is said of a tenant whose customer was deleted."""
    return f"Stripe's customer {customer_id} was deleted: nothing can be collected."


async def note(
    platform: Platform,
    tenant: Tenant,
    kind: str,
    subject: str,
    ours: Money,
    theirs: Money,
    evidence: Mapping[str, object],
    explanation: str,
) -> None:
    """Keep a discrepancy, once while it is open; what was resolved and comes back is opened again."""
    await discrepancies.open_in_transaction(
        Discrepancy(
            tenant_id=tenant.id,
            kind=str(kind),
            subject=subject,
            ours_minor=ours.minor,
            theirs_minor=theirs.minor,
            currency=ours.currency,
            evidence=dict(evidence),
            explanation=explanation,
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        )
    )
