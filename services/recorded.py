"""Deliveries about invoices that need no look at Stripe, because what they can tell is provably in our books.

Only what is final counts as recorded: that a push has found the draft, which it holds itself; that the invoice was
finalized; that it is paid. Everything else, above all whatever moves money, is read from Stripe anew.
"""

from typing import Final

from services.effects import Applied, Effect
from storage.invoices import Invoice, InvoiceKind, InvoiceState
from storage.subscriptions import Period

CREATED: Final = "invoice.created"
UPDATED: Final = "invoice.updated"
"""Anything may have changed: only of a draft that nothing of ours is on does it tell nothing."""
FINALIZED: Final = "invoice.finalized"
ALSO_WHEN_PAID: Final = (FINALIZED, "invoice.paid", "invoice.payment_failed", "invoice_payment.paid")
"""What is told of an invoice on its way to being paid, which is a final status at Stripe."""


async def find_recorded(event_type: str, object_id: str) -> Effect | None:
    """The effect of a delivery whose object need not be fetched; None if it must be."""
    if event_type not in (CREATED, UPDATED, *ALSO_WHEN_PAID):
        return None
    invoice = await Invoice.get_or_none(stripe_invoice_id=object_id)
    if invoice is None:
        is_awaited = event_type == UPDATED and await Period.exists(stripe_invoice_id=object_id)
        return _nothing("our invoice is not on this draft yet") if is_awaited else None
    if event_type == CREATED:
        return _nothing()  # the push has found it, and holds it itself
    if event_type == UPDATED:
        return None
    is_finalized = None not in (invoice.pushed_at, invoice.number, invoice.stripe_total_minor)
    return _nothing() if is_finalized and (event_type == FINALIZED or _is_paid(invoice)) else None


def _nothing(why_ignored: str | None = None) -> Effect:
    async def effect() -> Applied:
        return Applied(why_ignored=why_ignored)

    return effect


def _is_paid(invoice: Invoice) -> bool:
    """Whether we know all of the payment. What an order was paid with is looked at for the order's sake."""
    is_known = invoice.state is InvoiceState.PAID and invoice.amount_paid_minor is not None
    return is_known and invoice.kind is not InvoiceKind.TOP_UP
