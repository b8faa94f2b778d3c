"""What Stripe says of an invoice of ours besides its payment: its number, its totals, what is wrong with it.

An effect may be late: another may have looked at Stripe after it and been quicker. What Stripe fixes when it finalizes
an invoice is only ever set.
"""

from collections.abc import Mapping, Sequence

from inkmeter.events import Event, PaymentActionRequired
from inkmeter.money import Money
from integrations.protocols import StripeInvoice
from services import links, notices
from services.notices import NoticeKind
from services.platform import Platform
from storage.database import insert_new
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.invoices import Invoice
from storage.subscriptions import Period
from storage.tenants import Tenant, lock_tenant
from storage.transitions import pass_once


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
        says = {**links.links_of(platform, theirs), "stripe_total_minor": theirs.total.minor}
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
    if theirs.finalization_problem is not None:
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
    """A draft was deleted at Stripe, which only happens by hand. Before ours was on it, another is found or made."""
    periods = await Period.filter(stripe_invoice_id=stripe_invoice_id).update(stripe_invoice_id=None)
    found = await find_locked(stripe_invoice_id)
    if found is not None:
        tenant, invoice = found
        evidence = {"stripe_invoice_id": stripe_invoice_id}
        ours = Money(invoice.total_minor, invoice.currency)
        nothing = Money(0, invoice.currency)
        text = "The draft that our invoice stands on was deleted at Stripe by hand."
        await note(platform, tenant, "INVOICE_DELETED", str(invoice.id), ours, nothing, evidence, text)
    return bool(periods) or found is not None


async def note_customer_deletion(platform: Platform, customer_id: str) -> bool:
    """A tenant's customer was deleted at Stripe, by hand: nothing can be collected from it any more."""
    tenant = await Tenant.get_or_none(stripe_customer_id=customer_id)
    if tenant is None:
        return False
    nothing = Money(0, tenant.currency)
    evidence = {"stripe_customer_id": customer_id}
    text = "The tenant's customer was deleted at Stripe by hand: nothing can be collected from it any more."
    await note(platform, tenant, "CUSTOMER_DELETED", customer_id, nothing, nothing, evidence, text)
    return True


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
    """Keep a discrepancy, once per kind and subject."""
    await insert_new(
        Discrepancy(
            tenant_id=tenant.id,
            kind=kind,
            subject=subject,
            ours_minor=ours.minor,
            theirs_minor=theirs.minor,
            currency=ours.currency,
            evidence=dict(evidence),
            explanation=explanation,
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        ),
        ["tenant_id", "kind", "subject"],
    )
