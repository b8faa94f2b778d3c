"""What Inkmeter does on each of Stripe's events: a table from the event's type to its handler, and one of reasons.

An event only says where to look. Unless what it can tell is `recorded`, a handler first fetches the object as it is now
(network, no transaction), and answers an effect; the effect runs in one transaction with the mark on the delivery.
Effects look at the state of the object, never at the event, so that order and number of deliveries do not matter: two
events with different ids that say the same find the second time that nothing is left to do. What leaves no state behind
is noted in `storage.transitions`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from inkmeter.errors import PaymentRefused
from integrations.protocols import UNKNOWN_ID, StripeInvoice, StripeSubscription
from services import (
    card_orders,
    checkouts,
    invoice_states,
    invoices,
    jobs,
    ownership,
    reconciling,
    report_checks,
    reversals,
    stripe_subscriptions,
)
from services.effects import Applied, Effect, Handler
from services.platform import Platform
from storage.invoices import Invoice

NOT_OURS: Final = "not an invoice of ours"
IS_GONE: Final = "the object does not exist at Stripe any more"


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
    """The invoice as it is since the delivery came, None if there is none."""

    async def fetch() -> StripeInvoice | None:
        try:
            return await platform.stripe.invoice(invoice_id)
        except PaymentRefused as refusal:
            if refusal.upstream_code != UNKNOWN_ID:
                raise
            return None

    return await platform.turns.look(invoice_id, fetch)


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
    # Until it is paid, an order is no invoice of ours: one that is not is no reason for dunning.
    if (ordered := await card_orders.note_order(platform, theirs)) is not None:
        await invoice_states.mirror_invoice(platform, theirs)
        return Applied(ordered)
    events = await invoices.note_payment(platform, theirs)
    if events is None:
        return await _foreign(theirs)
    await invoice_states.mirror_invoice(platform, theirs)
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


async def take_credit_note(platform: Platform, note_id: str) -> Effect:
    """Something was taken off an invoice, or put back: if it is ours, the two are compared at once."""
    note = await platform.stripe.credit_note(note_id)

    async def effect() -> Applied:
        invoice = await Invoice.get_or_none(stripe_invoice_id=note.invoice_id)
        if invoice is None:
            return Applied(why_ignored=NOT_OURS)
        payload, dedup = {"invoice": str(invoice.id)}, f"{note.id}:{'void' if note.is_void else 'issued'}"
        tenant_id, topic = invoice.tenant_id, reconciling.COMPARE
        await jobs.add_job(platform, tenant_id=tenant_id, topic=topic, dedup=dedup, payload=payload)
        return Applied()

    return effect


async def miss_customer(platform: Platform, customer_id: str) -> Effect:
    """A customer was deleted."""
    is_deleted = not await platform.stripe.customer_exists(customer_id)

    async def effect() -> Applied:
        if not is_deleted:
            return Applied(why_ignored="the customer still exists at Stripe")
        is_ours = await invoice_states.note_customer_deletion(platform, customer_id)
        return Applied() if is_ours else Applied(why_ignored="not a customer of ours")

    return effect


async def take_meter_errors(platform: Platform, event_id: str) -> Effect:
    """Stripe has not counted usage that was reported to its meters."""
    note = await report_checks.take_error_report(platform, event_id)

    async def effect() -> Applied:
        return Applied(why_ignored=await note())

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
    "charge.dispute.closed": reversals.take_dispute,
    "charge.dispute.created": reversals.take_dispute,
    "charge.dispute.updated": reversals.take_dispute,
    "charge.refunded": reversals.take_charge,
    "checkout.session.async_payment_failed": checkouts.take_checkout,
    "checkout.session.async_payment_succeeded": checkouts.take_checkout,
    "checkout.session.completed": checkouts.take_checkout,
    "checkout.session.expired": checkouts.take_checkout,
    "credit_note.created": take_credit_note,
    "credit_note.updated": take_credit_note,
    "credit_note.voided": take_credit_note,
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
    "refund.created": reversals.take_refund,
    "refund.failed": reversals.take_refund,
    "refund.updated": reversals.take_refund,
    "v1.billing.meter.error_report_triggered": take_meter_errors,
    "v1.billing.meter.no_meter_found": take_meter_errors,
}
SAID_BY_EVENT: Final = frozenset(kind for kind, handler in HANDLERS.items() if handler is take_meter_errors)
"""Events that say themselves what happened: their handlers take the event's own id, and fetch it."""


_SUBSCRIPTION: Final = "plans, seats and ends are decided here and told to Stripe, not taken from it"
_CARDS: Final = "cards stay at Stripe; a payment that follows is told by the invoice"
_NO_CREDITS: Final = "credits and alerts are kept here; those of Stripe are not used"
_NO_SCHEDULE: Final = "Inkmeter makes no schedules"
_NOT_SENT: Final = "invoices are charged automatically, not sent with a due date"

IGNORED: Final[Mapping[str, str]] = {
    "billing.alert.triggered": _NO_CREDITS,
    "billing.credit_balance_transaction.created": _NO_CREDITS,
    "billing.credit_grant.created": _NO_CREDITS,
    "billing.credit_grant.updated": _NO_CREDITS,
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
    "setup_intent.succeeded": _CARDS,
    "subscription_schedule.aborted": _NO_SCHEDULE,
    "subscription_schedule.canceled": _NO_SCHEDULE,
    "subscription_schedule.completed": _NO_SCHEDULE,
    "subscription_schedule.created": _NO_SCHEDULE,
    "subscription_schedule.expiring": _NO_SCHEDULE,
    "subscription_schedule.released": _NO_SCHEDULE,
    "subscription_schedule.updated": _NO_SCHEDULE,
}
"""Why nothing is done on the others that Inkmeter knows of; what stands in HANDLERS does not stand here."""
