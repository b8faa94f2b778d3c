"""An invoice's links at Stripe: its number, its page where it can be paid, and its PDF."""

from datetime import timedelta
from typing import Any, Final

from inkmeter.errors import InkmeterError
from integrations.protocols import StripeInvoice
from services.platform import Platform
from storage.invoices import Invoice

STALE_AFTER: Final = timedelta(days=1)
"""How old links may be when somebody looks at one invoice. That Stripe's links end some day is our assumption."""


def links_of(platform: Platform, theirs: StripeInvoice) -> dict[str, Any]:
    """The columns of an invoice that keep them."""
    return {
        "number": theirs.number,
        "hosted_url": theirs.hosted_url,
        "pdf_url": theirs.pdf_url,
        "links_at": platform.clock.now(),
    }


async def keep_links(platform: Platform, invoice: Invoice, theirs: StripeInvoice) -> None:
    """Store what Stripe says of them, in the caller's transaction."""
    links = links_of(platform, theirs)
    await Invoice.filter(tenant_id=invoice.tenant_id, id=invoice.id).update(**links)
    invoice.update_from_dict(links)


async def refresh_links(platform: Platform, invoice: Invoice) -> Invoice:
    """The invoice with links that are not stale, if Stripe answers; with those that are known if it does not."""
    is_fresh = invoice.links_at and platform.clock.now() - invoice.links_at < STALE_AFTER
    if invoice.stripe_invoice_id and not is_fresh:
        try:
            theirs = await platform.stripe.invoice(invoice.stripe_invoice_id)
        except InkmeterError:
            return invoice  # reading does not depend on Stripe
        if theirs.number is not None:
            await keep_links(platform, invoice, theirs)
    return invoice
