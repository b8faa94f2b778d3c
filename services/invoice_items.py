"""What Stripe must have on an invoice for our lines, and putting it there: together in one call, or one by one."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from inkmeter.errors import PaymentRefused
from inkmeter.money import Money
from inkmeter.periods import BillingPeriod
from integrations.protocols import UNKNOWN_ID, AddedLines, StripeInvoice, StripeLineToBe
from services import stripe_lines
from services.platform import Platform
from storage.database import transaction
from storage.invoices import Invoice, LineItem
from storage.subscriptions import Period

STAND_FOR_ALL: Final = (UNKNOWN_ID, "idempotency_error", "invoice_not_editable")
"""Refusals of several lines that would be the same, or would be no answer, one by one."""
MOST_ITEMS: Final = 250
"""Items that an invoice may have at Stripe."""


@dataclass(frozen=True, slots=True)
class ItemToBe:
    """What one invoice item at Stripe stands for: a line of ours, or the last ones together."""

    lines: Sequence[LineItem]
    amount: Money
    description: str
    period: BillingPeriod


async def add_items(platform: Platform, invoice: Invoice, theirs: StripeInvoice, *, is_retry: bool) -> StripeInvoice:
    """Put onto Stripe's draft what is missing there, in one call. Answers the draft as it then stands."""
    new = {_key_of(item, theirs): item for item in await of_invoice(invoice)}
    missing = {key: item for key, item in new.items() if not item.lines[0].stripe_item_id}
    if missing and len(missing) == len(new):
        added = await _add_together(platform, invoice, theirs, missing, is_retry=is_retry)
        if added is not None:
            async with transaction():
                for key, stripe_item_id in added.items.items():
                    await _note_item(invoice, missing.pop(key), stripe_item_id)
            theirs = added.invoice
    if not missing:
        return theirs
    for key, item in missing.items():
        await add_item(platform, invoice, theirs, item, key=key, is_retry=is_retry)
    return await platform.stripe.invoice(theirs.id)


async def of_invoice(invoice: Invoice) -> list[ItemToBe]:
    """The items that Stripe must have for an invoice, as it is stored."""
    lines = await LineItem.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id).order_by("position")
    return await items_of(invoice, lines)


def _key_of(item: ItemToBe, theirs: StripeInvoice) -> str:
    # It names both: what is finalized or deleted meanwhile gives way to another invoice.
    return f"line:{item.lines[0].id}:{theirs.id}"


async def _add_together(
    platform: Platform, invoice: Invoice, theirs: StripeInvoice, items: Mapping[str, ItemToBe], *, is_retry: bool
) -> AddedLines | None:
    """All in one call; None if Stripe takes none of them so. One by one it says which of them it refuses."""
    # Others to add make another call: a repeat under one key must say the same.
    named = hashlib.sha256(" ".join(items).encode()).hexdigest()[:16]
    lines = [
        StripeLineToBe(key, item.amount, item.description, item.period, _metadata(invoice, item))
        for key, item in items.items()
    ]
    try:
        return await platform.stripe.add_lines(
            key=f"invoice:{invoice.id}:lines:{named}", is_retry=is_retry, invoice=theirs, lines=lines
        )
    except PaymentRefused as refusal:
        if refusal.upstream_code in STAND_FOR_ALL:
            raise
        return None


async def items_of(invoice: Invoice, lines: Sequence[LineItem]) -> list[ItemToBe]:
    """The items that Stripe must have for an invoice with these lines, beside the lines that it makes itself and
    those that were charged on the next invoice.
    """
    lines = [line for line in lines if not (stripe_lines.is_by_stripe(line) or stripe_lines.is_moved(line))]
    served = [line.service_period_id for line in lines]
    spans = {p.id: p.span for p in await Period.filter(tenant_id=invoice.tenant_id, id__in=served)}
    made = []
    for group in _grouped([line for line in lines if line.amount_minor]):
        first = group[0]
        described = f"{first.label} ({first.quantity:f} × {first.unit_price:f})"
        amount = Money(sum(line.amount_minor for line in group), invoice.currency)
        text = described if len(group) == 1 else f"{len(group)} more lines"
        if amount.minor:
            made.append(ItemToBe(group, amount, text, spans[first.service_period_id]))
    return made


async def add_item(
    platform: Platform, invoice: Invoice, theirs: StripeInvoice, new: ItemToBe, *, key: str, is_retry: bool
) -> None:
    """Put an item onto Stripe's draft, and store its id at once."""
    stripe_item_id = await platform.stripe.add_line(
        key=key,
        is_retry=is_retry,
        invoice=theirs,
        amount=new.amount,
        description=new.description,
        period=new.period,
        metadata=_metadata(invoice, new),
    )
    await _note_item(invoice, new, stripe_item_id)


def _metadata(invoice: Invoice, item: ItemToBe) -> dict[str, str]:
    return {"invoice_id": str(invoice.id), "line_item_id": str(item.lines[0].id)}


async def _note_item(invoice: Invoice, item: ItemToBe, stripe_item_id: str) -> None:
    await LineItem.filter(tenant_id=invoice.tenant_id, id__in=[line.id for line in item.lines]).update(
        stripe_item_id=stripe_item_id
    )


def _grouped(lines: Sequence[LineItem]) -> list[Sequence[LineItem]]:
    """Each line by itself, but all from the last that Stripe would take in one."""
    singles: list[Sequence[LineItem]] = [[line] for line in lines]
    if len(lines) <= MOST_ITEMS:
        return singles
    return [*singles[: MOST_ITEMS - 1], lines[MOST_ITEMS - 1 :]]
