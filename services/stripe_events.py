"""What Inkmeter does on each of Stripe's events: a table from the event's type to its handler.

An event only says where to look. A handler first fetches the object as it is now (network, no transaction), and
answers an effect; the effect runs in one transaction with the mark on the delivery. Effects look at the state of the
object, never at the event, so that order and number of deliveries do not matter.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from inkmeter.events import Event
from services import invoices, links
from services.platform import Platform
from storage.invoices import Invoice


@dataclass(frozen=True, slots=True)
class Applied:
    """What an effect has done: what to tell the plugins after the commit, or why the event does not concern us."""

    events: Sequence[Event] = ()
    why_ignored: str | None = None


Effect = Callable[[], Awaitable[Applied]]
Handler = Callable[[Platform, str], Awaitable[Effect]]
"""Takes the id of the object that the event speaks of."""


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
        events = await invoices.note_payment(platform, theirs)
        return Applied(why_ignored="not an invoice of ours") if events is None else Applied(events)

    return effect


async def take_links(platform: Platform, invoice_id: str) -> Effect:
    """An invoice was finalized: it has a number, a page and a PDF."""
    theirs = await platform.stripe.invoice(invoice_id)

    async def effect() -> Applied:
        ours = await Invoice.get_or_none(stripe_invoice_id=theirs.id)
        if ours is None:
            return Applied(why_ignored="not an invoice of ours")
        await links.keep_links(platform, ours, theirs)
        return Applied()

    return effect


HANDLERS: Final[Mapping[str, Handler]] = {
    "invoice.created": hold_draft,
    "invoice.finalized": take_links,
    "invoice.paid": take_payment,
    "invoice.payment_failed": take_payment,
}
