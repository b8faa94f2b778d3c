"""Money that went back and cannot be put right by itself: discrepancies for the operator to decide."""

from typing import Final

from inkmeter.money import Money
from integrations.protocols import StripeReversal
from services import discrepancies
from services.orders import TopUpOrder
from services.platform import Platform
from storage.database import insert_new
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.invoices import Invoice
from storage.orders import Reversal, ReversalKind

USED: Final = "REFUND_OF_USED_CREDITS"


async def resolve_used(platform: Platform, reversal: Reversal) -> None:
    """The money did not go back after all; in the caller's transaction."""
    await discrepancies.resolve(platform, reversal.tenant_id, [USED], reversal.stripe_id)


async def flag_used(platform: Platform, reversal: Reversal, order: TopUpOrder, taken: int) -> None:
    """The money went back for units that were used before. `ours` is what those were worth that could be taken,
    `theirs` what went back.
    """
    await insert_new(
        Discrepancy(
            tenant_id=reversal.tenant_id,
            kind=USED,
            subject=reversal.stripe_id,
            ours_minor=order.amount_minor * taken // order.units,
            theirs_minor=reversal.amount_minor,
            currency=reversal.currency,
            evidence={
                "order_id": str(order.id),
                "invoice_id": str(order.invoice_id),
                "reversal": reversal.kind,
                "units": reversal.units,
                "taken": taken,
            },
            explanation="Money of an order went back, and the credits that it had paid for were used before.",
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        ),
        ["tenant_id", "kind", "subject"],
    )


async def flag_invoice(
    platform: Platform, kind: ReversalKind, theirs: StripeReversal, stripe_invoice_id: str | None, *, is_standing: bool
) -> bool:
    """Money of an invoice that bills more than an order: what to do about it is the operator's to say.

    Answers whether it is an invoice of ours. In the caller's transaction.
    """
    invoice = await Invoice.get_or_none(stripe_invoice_id=stripe_invoice_id) if stripe_invoice_id else None
    if invoice is None:
        return False
    if not is_standing:
        await discrepancies.resolve(platform, invoice.tenant_id, [f"{kind}_OF_INVOICE"], theirs.id)
    # Also where it is over: whoever has looked earlier and comes later opens nothing.
    await insert_new(
        Discrepancy(
            tenant_id=invoice.tenant_id,
            kind=f"{kind}_OF_INVOICE",
            subject=theirs.id,
            ours_minor=0,
            theirs_minor=theirs.amount.minor,
            currency=theirs.amount.currency,
            evidence={
                "invoice_id": str(invoice.id),
                "stripe_invoice_id": invoice.stripe_invoice_id,
                "total": str(Money(invoice.total_minor, invoice.currency)),
            },
            explanation="Money of an invoice went back that our books know nothing of.",
            state=DiscrepancyState.OPEN if is_standing else DiscrepancyState.RESOLVED,
            created_at=platform.clock.now(),
        ),
        ["tenant_id", "kind", "subject"],
    )
    return True
