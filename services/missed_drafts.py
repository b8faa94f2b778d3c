"""A cycle's draft that was finalized while not all of our lines were on it: by Stripe, an hour after nobody came for a
METERED plan's, or by a person. What it lacks is charged on the tenant's next invoice, once.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from inkmeter.money import Money
from integrations.protocols import StripeInvoice
from services import stripe_lines
from services.platform import Platform
from storage.charges import Charge, ChargeKind
from storage.database import insert_new, transaction
from storage.invoices import Invoice, LineItem
from storage.subscriptions import Period, PeriodState, enter_period

COLLECTED: Final = ("open", "paid", "uncollectible")


class Item(Protocol):
    """What one invoice item at Stripe stands for."""

    @property
    def lines(self) -> Sequence[LineItem]: ...
    @property
    def amount(self) -> Money: ...
    @property
    def description(self) -> str: ...


async def move_rest(platform: Platform, invoice: Invoice, theirs: StripeInvoice, items: Sequence[Item]) -> None:
    """Charge what Stripe's invoice lacks of `items` on the next one. Nothing is done if that does not explain the whole
    difference, or if there is no next invoice: the books then differ, and people look.
    """
    if theirs.status not in COLLECTED:
        return
    unknown = [item for item in items if not item.lines[0].stripe_item_id]
    there = await _find_unknown(platform, theirs) if unknown else {}
    rest = []
    for item in unknown:
        # An item whose answer was lost is on the invoice all the same.
        if (item_id := there.get(str(item.lines[0].id))) is not None:
            await _note(invoice, item, item_id)
        else:
            rest.append(item)
    missing = Money.sum((item.amount for item in rest), invoice.currency)
    if rest and theirs.subtotal + missing == await stripe_lines.due_at_stripe(invoice):
        await _charge(platform, invoice, theirs, rest)


async def _find_unknown(platform: Platform, theirs: StripeInvoice) -> dict[str, str]:
    """The ids of Stripe's items by our first line that they stand for."""
    if not any(line.invoice_item_id for line in theirs.lines):
        return {}
    named = await platform.stripe.item_metadata(theirs.id)
    return {metadata["line_item_id"]: item_id for item_id, metadata in named.items() if metadata.get("line_item_id")}


async def _note(invoice: Invoice, item: Item, item_id: str) -> None:
    ids = [line.id for line in item.lines]
    await LineItem.filter(tenant_id=invoice.tenant_id, id__in=ids).update(stripe_item_id=item_id)


async def _charge(platform: Platform, invoice: Invoice, theirs: StripeInvoice, rest: Sequence[Item]) -> None:
    tenant_id = invoice.tenant_id
    async with transaction():
        last = await Period.filter(tenant_id=tenant_id, state=PeriodState.OPEN).order_by("-starts_at").first()
        entered = await enter_period(tenant_id, last.starts_at) if last is not None else None
        if last is None or entered is None or entered.state is PeriodState.CLOSED:
            return  # held, so that its close knows of the charges
        for item in rest:
            await insert_new(
                Charge(
                    tenant_id=tenant_id,
                    idempotency_key=f"missed:{item.lines[0].id}",
                    kind=ChargeKind.CORRECTION,
                    meter="",
                    period_starts_at=last.starts_at,
                    label=f"Not on invoice {theirs.number or theirs.id}: {item.description}",
                    amount_minor=item.amount.minor,
                    currency=invoice.currency,
                    created_at=platform.clock.now(),
                ),
                ["tenant_id", "idempotency_key"],
            )
            await _note(invoice, item, f"{stripe_lines.MOVED}{item.lines[0].id}")
