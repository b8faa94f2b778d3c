"""What Inkmeter does on each of Stripe's events: a table from the event's type to its handler.

An event only says where to look. A handler first fetches the object as it is now (network, no transaction), and
answers an effect; the effect runs in one transaction with the mark on the delivery. Effects look at the state of the
object, never at the event, so that order and number of deliveries do not matter.
"""

from collections.abc import Mapping
from typing import Final

from services import card_orders, checkouts, invoices, reversals
from services.effects import Applied, Effect, Handler
from services.platform import Platform


async def hold_draft(platform: Platform, invoice_id: str) -> Effect:
    """A draft was made: if it bills a cycle of ours it is held, and its period knows it."""
    theirs = await platform.stripe.invoice(invoice_id)
    if theirs.status == "draft" and await invoices.is_cycle_of_ours(theirs):
        # Stripe would finalize it by its own timer, whether our lines are on it or not.
        await platform.stripe.hold_invoice(theirs.id)

    async def effect() -> Applied:
        return Applied(why_ignored=await invoices.attach_draft(platform, theirs))

    return effect


async def take_payment(platform: Platform, invoice_id: str) -> Effect:
    """A payment was made, or was declined."""
    theirs = await platform.stripe.invoice(invoice_id)

    async def effect() -> Applied:
        # Until it is paid, an order is no invoice of ours: one that is not is no reason for dunning.
        events = await card_orders.note_order(platform, theirs)
        if events is None:
            events = await invoices.note_payment(platform, theirs)
        return Applied(why_ignored="not an invoice of ours") if events is None else Applied(events)

    return effect


HANDLERS: Final[Mapping[str, Handler]] = {
    "charge.dispute.closed": reversals.take_dispute,
    "charge.dispute.created": reversals.take_dispute,
    "charge.dispute.updated": reversals.take_dispute,
    "charge.refunded": reversals.take_charge,
    "checkout.session.async_payment_failed": checkouts.take_checkout,
    "checkout.session.async_payment_succeeded": checkouts.take_checkout,
    "checkout.session.completed": checkouts.take_checkout,
    "checkout.session.expired": checkouts.take_checkout,
    "invoice.created": hold_draft,
    "invoice.paid": take_payment,
    "invoice.payment_failed": take_payment,
    "refund.created": reversals.take_refund,
    "refund.failed": reversals.take_refund,
    "refund.updated": reversals.take_refund,
}
