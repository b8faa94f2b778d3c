"""Orders of a plan's rule, paid off session: each gets an invoice of its own at Stripe, charged to the customer's card.

Declined: the invoice is voided, nothing is granted, and the order has failed; no dunning follows. A bank that takes its
time is waited for.
"""

import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from inkmeter.errors import PaymentRefused
from inkmeter.events import Event
from integrations.protocols import StripeInvoice
from services import jobs, orders
from services.ordering import PAY as PAY
from services.orders import OrderState, OrderWay, Paid, TopUpOrder
from services.platform import Platform
from services.pushing import BooksDiffer
from storage.database import transaction
from storage.jobs import Job
from storage.subscriptions import Period
from storage.tenants import Tenant

ASK_EVERY: Final = timedelta(hours=1)


async def pay_order(platform: Platform, job: Job) -> None:
    """The job. Killed anywhere, it finds what it has made and goes on from how that stands."""
    order = await TopUpOrder.get(tenant_id=job.tenant_id, id=job.dedup)
    if order.state is OrderState.OPEN:
        theirs = await _invoice(platform, job, order)
        if theirs.status == "draft":
            theirs = await _finalize(platform, job, order, theirs)
        failure = None
        if theirs.status == "open":
            theirs, failure = await _collect(platform, order, theirs)
        async with transaction():
            events = await _note_invoice(platform, order, theirs, failure)
        for event in events:
            await platform.plugins.publish(event)
    async with jobs.completing(job):
        pass


async def _invoice(platform: Platform, job: Job, order: TopUpOrder) -> StripeInvoice:
    if order.stripe_id is None:
        tenant = await Tenant.get(id=order.tenant_id)
        assert tenant.stripe_customer_id is not None  # noqa: S101 - only provisioned tenants are subscribed
        order.stripe_id = await platform.stripe.ensure_invoice(
            key=f"order:{order.id}",
            is_retry=job.attempts > 1,
            customer_id=tenant.stripe_customer_id,
            currency=order.currency,
            metadata={"tenant_id": str(tenant.public_id), "order_id": str(order.id)},
        )
        await TopUpOrder.filter(tenant_id=order.tenant_id, id=order.id).update(stripe_id=order.stripe_id)
    return await platform.stripe.invoice(order.stripe_id)


async def _finalize(platform: Platform, job: Job, order: TopUpOrder, theirs: StripeInvoice) -> StripeInvoice:
    """Finalized without Stripe's own collection: it is charged once, by us."""
    if order.stripe_item_id is None:
        period = await Period.get(tenant_id=order.tenant_id, id=order.period_id)
        item_id = await platform.stripe.add_line(
            key=f"order:{order.id}:line",
            is_retry=job.attempts > 1,
            invoice=theirs,
            amount=orders.price_of(order),
            description=await orders.label_of(platform, order),
            period=period.span,
            metadata={"order_id": str(order.id)},
        )
        order.stripe_item_id = item_id
        await TopUpOrder.filter(tenant_id=order.tenant_id, id=order.id).update(stripe_item_id=item_id)
    draft = await platform.stripe.invoice(theirs.id)
    if draft.subtotal != orders.price_of(order):
        raise BooksDiffer(f"order {order.id}: ours is {orders.price_of(order)}, Stripe's {draft.subtotal}")
    return await platform.stripe.finalize_invoice(theirs.id, key=f"order:{order.id}:finalize", is_collected=False)


async def _collect(platform: Platform, order: TopUpOrder, theirs: StripeInvoice) -> tuple[StripeInvoice, str | None]:
    """Charge the card. Answers the invoice as it then stands, and why it was declined. Raises NotYet."""
    failure = None
    if theirs.attempt_count and await platform.stripe.is_payment_under_way(theirs.id):
        raise jobs.NotYet("the bank takes its time", ASK_EVERY)
    try:
        await platform.stripe.pay_invoice(theirs.id, key=f"order:{order.id}:pay")
    except PaymentRefused as refusal:
        failure = refusal.message
        # Paid by other means just now? Then it cannot be voided, and is paid.
        with contextlib.suppress(PaymentRefused):
            await platform.stripe.void_invoice(theirs.id, key=f"order:{order.id}:void")
    theirs = await platform.stripe.invoice(theirs.id)
    if theirs.status == "open":
        raise jobs.NotYet("the bank takes its time" if failure is None else "it is not voided yet", ASK_EVERY)
    return theirs, failure


async def _note_invoice(
    platform: Platform, order: TopUpOrder, theirs: StripeInvoice, failure: str | None
) -> Sequence[Event]:
    if theirs.status == "paid":
        paid = Paid(theirs.subtotal, stripe_invoice_id=theirs.id, hosted_url=theirs.hosted_url)
        return await orders.note_paid(platform, order, paid)
    return await orders.end(platform, order, OrderState.FAILED, failure or f"the invoice is {theirs.status}")


async def note_order(platform: Platform, theirs: StripeInvoice) -> Sequence[Event] | None:
    """Take over what Stripe says of an order's invoice, in the caller's transaction. None if it is not an order's.

    What is not paid is left to the job, which then looks again.
    """
    order = await TopUpOrder.get_or_none(stripe_id=theirs.id, way=OrderWay.INVOICE)
    if order is None:
        return None
    if theirs.status == "paid":
        return await _note_invoice(platform, order, theirs, None)
    await jobs.wake(platform, order.tenant_id, PAY, str(order.id))
    return []
