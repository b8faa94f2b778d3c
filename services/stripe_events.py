"""What Inkmeter does on each of Stripe's events: a table from the event's type to its handler, and one of reasons.

An event only says where to look. A handler first fetches the object as it is now (network, no transaction), and
answers an effect; the effect runs in one transaction with the mark on the delivery. Effects look at the state of the
object, never at the event, so that order and number of deliveries do not matter: two events with different ids that say
the same find the second time that nothing is left to do. What leaves no state behind is noted in `storage.transitions`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from inkmeter.errors import PaymentRefused
from inkmeter.events import Event
from integrations.protocols import StripeInvoice, StripeSubscription
from services import invoice_states, invoices, ownership, stripe_subscriptions
from services.platform import Platform

NOT_OURS: Final = "not an invoice of ours"
IS_GONE: Final = "the object does not exist at Stripe any more"


@dataclass(frozen=True, slots=True)
class Applied:
    """What an effect has done: what to tell the plugins after the commit, or why the event does not concern us."""

    events: Sequence[Event] = ()
    why_ignored: str | None = None


Effect = Callable[[], Awaitable[Applied]]
Handler = Callable[[Platform, str], Awaitable[Effect]]
"""Takes the id of the object that the event speaks of."""
InvoiceEffect = Callable[[Platform, StripeInvoice], Awaitable[Applied]]


def on_invoice(effect: InvoiceEffect) -> Handler:
    """A handler that fetches the invoice and has its effect, unless it was deleted meanwhile."""

    async def handle(platform: Platform, invoice_id: str) -> Effect:
        theirs = await find_invoice(platform, invoice_id)

        async def run() -> Applied:
            return Applied(why_ignored=IS_GONE) if theirs is None else await effect(platform, theirs)

        return run

    return handle


async def find_invoice(platform: Platform, invoice_id: str) -> StripeInvoice | None:
    """The invoice as it is now, None if there is none."""
    try:
        return await platform.stripe.invoice(invoice_id)
    except PaymentRefused as refusal:
        if refusal.upstream_code != "resource_missing":
            raise
        return None


async def hold_draft(platform: Platform, invoice_id: str) -> Effect:
    """A draft was made: if it bills a cycle of ours it is held, and its period knows it."""
    theirs = await find_invoice(platform, invoice_id)
    if theirs is not None and theirs.status == "draft" and await invoices.is_cycle_of_ours(theirs):
        # Stripe would finalize it by its own timer, whether our lines are on it or not.
        await platform.stripe.hold_invoice(theirs.id)

    async def effect() -> Applied:
        if theirs is None:
            return Applied(why_ignored=IS_GONE)
        if theirs.subscription_id is not None and not await invoices.is_subscription_known(theirs.subscription_id):
            await ownership.require_foreign(theirs.subscription_id, theirs.subscription_metadata)
        return Applied(why_ignored=await invoices.attach_draft(platform, theirs))

    return effect


async def take_payment(platform: Platform, theirs: StripeInvoice) -> Applied:
    """A payment was made, or was declined; or Stripe has ended the invoice, or changed something about it."""
    events = await invoices.note_payment(platform, theirs)
    if events is None:
        return await _foreign(theirs)
    await invoice_states.mirror_invoice(theirs)
    return Applied(events)


async def report_finalization(platform: Platform, theirs: StripeInvoice) -> Applied:
    """Stripe could not finalize the invoice."""
    is_ours = await invoice_states.note_finalization_problem(platform, theirs)
    return Applied() if is_ours else await _foreign(theirs)


async def ask_for_action(platform: Platform, theirs: StripeInvoice) -> Applied:
    """The payer must confirm a payment."""
    events = await invoice_states.note_action_required(platform, theirs)
    return await _foreign(theirs) if events is None else Applied(events)


async def _foreign(theirs: StripeInvoice) -> Applied:
    await ownership.require_foreign(theirs.id, theirs.metadata)
    return Applied(why_ignored=NOT_OURS)


async def forget_draft(platform: Platform, invoice_id: str) -> Effect:
    """A draft was deleted."""
    is_there = await find_invoice(platform, invoice_id) is not None

    async def effect() -> Applied:
        if is_there:
            return Applied(why_ignored="the invoice still exists at Stripe")
        is_ours = await invoice_states.note_deletion(platform, invoice_id)
        return Applied() if is_ours else Applied(why_ignored=NOT_OURS)

    return effect


async def miss_customer(platform: Platform, customer_id: str) -> Effect:
    """A customer was deleted."""
    is_deleted = await platform.stripe.is_customer_deleted(customer_id)

    async def effect() -> Applied:
        if not is_deleted:
            return Applied(why_ignored="the customer still exists at Stripe")
        is_ours = await invoice_states.note_customer_deletion(platform, customer_id)
        return Applied() if is_ours else Applied(why_ignored="not a customer of ours")

    return effect


async def follow_subscription(platform: Platform, subscription_id: str) -> Effect:
    """A subscription has changed at Stripe: ended, given up, paused or well again."""
    theirs = await platform.stripe.subscription(subscription_id)

    async def effect() -> Applied:
        events = await stripe_subscriptions.note_status(platform, theirs)
        return Applied(events) if events is not None else await _foreign_subscription(theirs)

    return effect


async def announce_trial_end(platform: Platform, subscription_id: str) -> Effect:
    """A trial at Stripe ends soon."""
    theirs = await platform.stripe.subscription(subscription_id)

    async def effect() -> Applied:
        is_ours = await stripe_subscriptions.note_trial_end(platform, theirs)
        return Applied() if is_ours else await _foreign_subscription(theirs)

    return effect


async def _foreign_subscription(theirs: StripeSubscription) -> Applied:
    await ownership.require_foreign(theirs.id, theirs.metadata)
    return Applied(why_ignored="not a subscription of ours")


HANDLERS: Final[Mapping[str, Handler]] = {
    "customer.deleted": miss_customer,
    "customer.subscription.deleted": follow_subscription,
    "customer.subscription.paused": follow_subscription,
    "customer.subscription.resumed": follow_subscription,
    "customer.subscription.trial_will_end": announce_trial_end,
    "customer.subscription.updated": follow_subscription,
    "invoice.created": hold_draft,
    "invoice.deleted": forget_draft,
    "invoice.finalization_failed": on_invoice(report_finalization),
    "invoice.finalized": on_invoice(take_payment),
    "invoice.marked_uncollectible": on_invoice(take_payment),
    "invoice.paid": on_invoice(take_payment),
    "invoice.payment_action_required": on_invoice(ask_for_action),
    "invoice.payment_failed": on_invoice(take_payment),
    "invoice.updated": on_invoice(take_payment),
    "invoice.voided": on_invoice(take_payment),
    "invoice_payment.paid": on_invoice(take_payment),
}

_SUBSCRIPTION: Final = "plans, seats and ends are decided here and told to Stripe, not taken from it"
_CARDS: Final = "cards stay at Stripe; a payment that follows is told by the invoice"
_NO_CHECKOUT: Final = "Inkmeter makes no Checkout sessions"
_NO_REFUNDS: Final = "Inkmeter refunds nothing at Stripe"
_NO_METERS: Final = "amounts are rated here; Stripe meters no usage of ours"
_NO_SCHEDULE: Final = "Inkmeter makes no schedules"
_NOT_SENT: Final = "invoices are charged automatically, not sent with a due date"

IGNORED: Final[Mapping[str, str]] = {
    "billing.alert.triggered": _NO_METERS,
    "billing.credit_balance_transaction.created": _NO_METERS,
    "billing.credit_grant.created": _NO_METERS,
    "billing.credit_grant.updated": _NO_METERS,
    "charge.dispute.closed": _NO_REFUNDS,
    "charge.dispute.created": _NO_REFUNDS,
    "charge.refunded": _NO_REFUNDS,
    "checkout.session.async_payment_failed": _NO_CHECKOUT,
    "checkout.session.async_payment_succeeded": _NO_CHECKOUT,
    "checkout.session.completed": _NO_CHECKOUT,
    "checkout.session.expired": _NO_CHECKOUT,
    "credit_note.created": _NO_REFUNDS,
    "credit_note.updated": _NO_REFUNDS,
    "credit_note.voided": _NO_REFUNDS,
    "customer.subscription.created": _SUBSCRIPTION,
    "customer.subscription.pending_update_applied": _SUBSCRIPTION,
    "customer.subscription.pending_update_expired": _SUBSCRIPTION,
    "customer.updated": "name and e-mail are kept here; Stripe's copy may differ",
    "invoice.overdue": _NOT_SENT,
    "invoice.payment_succeeded": "invoice.paid says the same, and covers payments outside of Stripe",
    "invoice.upcoming": "it has no id; the period's own clock closes it",
    "invoice.will_be_due": _NOT_SENT,
    "payment_method.attached": _CARDS,
    "payment_method.automatically_updated": _CARDS,
    "payment_method.detached": _CARDS,
    "refund.created": _NO_REFUNDS,
    "refund.failed": _NO_REFUNDS,
    "refund.updated": _NO_REFUNDS,
    "setup_intent.succeeded": _CARDS,
    "subscription_schedule.aborted": _NO_SCHEDULE,
    "subscription_schedule.canceled": _NO_SCHEDULE,
    "subscription_schedule.completed": _NO_SCHEDULE,
    "subscription_schedule.created": _NO_SCHEDULE,
    "subscription_schedule.expiring": _NO_SCHEDULE,
    "subscription_schedule.released": _NO_SCHEDULE,
    "subscription_schedule.updated": _NO_SCHEDULE,
    "v1.billing.meter.error_report_triggered": _NO_METERS,
    "v1.billing.meter.no_meter_found": _NO_METERS,
}
"""Why nothing is done on the others that Inkmeter knows of; what stands in HANDLERS does not stand here."""
