"""Refunds of credits that were paid first: the money goes back where it came from, once for each entry of credits."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from inkmeter.errors import PaymentRefused
from inkmeter.money import Money
from integrations.protocols import StripeReversal
from services import operations
from services.commands import RestoreCredits
from services.platform import Platform
from storage.credits import CreditEntry, CreditEntryKind, CreditGrant, taken_by
from storage.database import insert_new
from storage.orders import OrderWay, Reversal, ReversalKind, TopUpOrder


@dataclass(frozen=True, slots=True)
class Payment:
    """What an order was paid by."""

    order: TopUpOrder
    intent_id: str


async def find_payment(platform: Platform, grant: CreditGrant) -> Payment | None:
    """The payment of a grant that was paid first; None if the next invoice has billed it, or no money has moved."""
    prefix, _, key = grant.idempotency_key.partition(":")
    if prefix != "order":
        return None
    order = await TopUpOrder.get(tenant_id=grant.tenant_id, id=UUID(key))
    intent_id: str | None = order.payment_intent_id
    if intent_id is None and order.way is OrderWay.INVOICE and order.stripe_id is not None:
        intent_id = await platform.stripe.find_payment(order.stripe_id)
        await TopUpOrder.filter(tenant_id=order.tenant_id, id=order.id).update(payment_intent_id=intent_id)
    return None if intent_id is None else Payment(order, intent_id)


async def ensure_refund(
    platform: Platform, payment: Payment, grant: CreditGrant, entry_id: UUID, units: int, amount: Money
) -> bool:
    """Give back the money of an entry that has taken units, once. If Stripe refuses the units are given back instead;
    answers whether it has not.
    """
    undone = f"refund:{entry_id}:back"
    if await taken_by(grant.tenant_id, undone) is not None:
        return False
    if not amount.minor or await Reversal.exists(tenant_id=grant.tenant_id, entry_id=entry_id):
        return True
    try:
        theirs = await platform.stripe.ensure_refund(
            key=f"refund:{entry_id}",
            is_retry=True,
            payment_intent_id=payment.intent_id,
            amount=amount,
            metadata={"entry_id": str(entry_id)},
        )
    except PaymentRefused:
        command = RestoreCredits(
            grant.tenant_id, grant.id, units, CreditEntryKind.REFUNDED, platform.clock.now(), undone
        )
        await operations.submit(platform, command)
        return False
    await note_refund(platform, payment.order, theirs, entry_id)
    return True


async def own_entry(tenant_id: int, metadata: Mapping[str, str]) -> UUID | None:
    """The entry that a refund of ours was made for; None for one that somebody else has made."""
    try:
        entry = await CreditEntry.get_or_none(tenant_id=tenant_id, id=UUID(metadata.get("entry_id", "")))
    except ValueError:
        return None
    return entry.id if entry is not None else None


async def note_refund(platform: Platform, order: TopUpOrder, theirs: StripeReversal, entry_id: UUID) -> None:
    """Note a refund of ours, whoever comes first: we, or its webhook."""
    entry = await CreditEntry.get(tenant_id=order.tenant_id, id=entry_id)
    reversal = Reversal(
        tenant_id=order.tenant_id,
        stripe_id=theirs.id,
        order_id=order.id,
        entry_id=entry_id,
        kind=ReversalKind.REFUND,
        amount_minor=theirs.amount.minor,
        currency=theirs.amount.currency,
        units=-entry.units,
        taken=-entry.units,
        is_standing=True,
        created_at=platform.clock.now(),
    )
    await insert_new(reversal)
