"""Lines that Stripe makes itself, of a METERED plan's prices: held against ours, and not added again."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from inkmeter.errors import InkmeterError
from inkmeter.money import Money
from integrations.protocols import StripeInvoice, StripeLine
from services import discrepancies
from services.comparing import DifferenceKind
from services.platform import Platform
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.invoices import Invoice, LineItem, LineKind
from storage.plans import Price
from storage.subscriptions import Period


class BooksDiffer(InkmeterError):
    """Stripe's amounts are not ours. The draft stays held and the difference is kept as a discrepancy."""

    code = "BOOKS_DIFFER"


@dataclass(frozen=True, slots=True)
class _Match:
    """One of our prices on both invoices."""

    price: Price
    kind: LineKind
    ours: Sequence[LineItem]
    theirs: Sequence[StripeLine]

    @property
    def our_minor(self) -> int:
        return sum(item.amount_minor for item in self.ours)

    @property
    def their_minor(self) -> int:
        return sum(line.amount.minor for line in self.theirs)

    @property
    def our_quantity(self) -> Decimal:
        if self.kind is LineKind.FEE:
            return sum((item.quantity for item in self.ours), Decimal(0))
        # Each line of a price keeps the units of the whole period.
        return max((Decimal(str((item.explanation or {})["units"])) for item in self.ours), default=Decimal(0))

    @property
    def their_quantity(self) -> Decimal | None:
        """Of the one line that a price usually makes; None where it is several, as tiers or packs may be shown."""
        return self.theirs[0].quantity if len(self.theirs) == 1 else None

    @property
    def is_empty(self) -> bool:
        return all(line.amount.minor == 0 and not line.quantity for line in self.theirs)

    @property
    def differs(self) -> bool:
        quantity = self.their_quantity
        return self.our_minor != self.their_minor or quantity not in (None, self.our_quantity)


MADE_BY_STRIPE: Final = "il_"
"""How ids of lines begin; what we add is known by the id of its invoice item, `ii_`."""


MOVED: Final = "charge:"
"""How the id of a line begins that Stripe's invoice lacks, and that was charged on the next one instead."""


def is_moved(line: LineItem) -> bool:
    """Whether a line was charged on the next invoice."""
    return (line.stripe_item_id or "").startswith(MOVED)


async def due_at_stripe(invoice: Invoice) -> Money:
    """What Stripe's invoice must come to: our total without what was charged on the next one."""
    moved = await LineItem.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id, stripe_item_id__startswith=MOVED)
    return Money(invoice.total_minor - sum(line.amount_minor for line in moved), invoice.currency)


def is_by_stripe(line: LineItem) -> bool:
    """Whether Stripe makes this line itself, as it was found on its invoice."""
    return (line.stripe_item_id or "").startswith(MADE_BY_STRIPE)


def amounts_by_stripe(invoice: Invoice, lines: Sequence[LineItem]) -> dict[str, Money]:
    """What our lines come to that Stripe makes itself, by the id of its line."""
    amounts: dict[str, Money] = {}
    for line in filter(is_by_stripe, lines):
        before = amounts.get(str(line.stripe_item_id), Money(0, invoice.currency))
        amounts[str(line.stripe_item_id)] = before + Money(line.amount_minor, invoice.currency)
    return amounts


async def note_matched(platform: Platform, invoice: Invoice, theirs: StripeInvoice) -> None:
    """Note which of our lines Stripe has on its invoice already. Raises BooksDiffer where quantity or amount differ:
    nothing was added to the draft then.
    """
    by_price: dict[str, list[StripeLine]] = {}
    for line in theirs.lines:
        if line.price_id is not None and line.invoice_item_id is None:
            by_price.setdefault(line.price_id, []).append(line)
    items = await LineItem.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id)
    period = await Period.get(tenant_id=invoice.tenant_id, id=invoice.period_id)
    # Stripe may have the price of a period that never became METERED: its line is empty, and ours is added.
    is_reported = bool(period.stripe_usage)
    for kind, column in ((LineKind.FEE, "stripe_fee_id"), (LineKind.USAGE, "stripe_usage_id")):
        for price in await Price.filter(**{f"{column}__in": list(by_price)}):
            ours = [item for item in items if item.kind is kind and item.price_id == price.id]
            match = _Match(price, kind, ours, by_price[getattr(price, column)])
            if kind is LineKind.USAGE and not is_reported and match.is_empty:
                continue
            if match.differs:
                raise await _differ(platform, invoice, theirs, match)
            ids = [item.id for item in ours]
            await LineItem.filter(tenant_id=invoice.tenant_id, id__in=ids).update(stripe_item_id=match.theirs[0].id)


async def _differ(platform: Platform, invoice: Invoice, theirs: StripeInvoice, match: _Match) -> BooksDiffer:
    quantity = match.their_quantity
    ours, others = (Money(minor, invoice.currency) for minor in (match.our_minor, match.their_minor))
    text = (
        f"{match.kind.lower()} of {match.price.meter} is {ours} for {match.our_quantity:f}, "
        f"Stripe's {others} for {quantity if quantity is None else format(quantity, 'f')}"
    )
    await discrepancies.open_discrepancy(
        platform,
        Discrepancy(
            tenant_id=invoice.tenant_id,
            kind=DifferenceKind.METERED_LINE.value,
            subject=f"{invoice.id} {match.kind.lower()} {match.price.id}",
            ours_minor=match.our_minor,
            theirs_minor=match.their_minor,
            currency=invoice.currency,
            evidence={
                "stripe_invoice_id": theirs.id,
                "stripe_lines": [[line.id, line.description, line.amount.minor] for line in match.theirs],
                "meter": match.price.meter,
                "our_quantity": format(match.our_quantity, "f"),
                "their_quantity": None if quantity is None else format(quantity, "f"),
            },
            explanation=f"Our {text}. Nothing was added to the draft, which is held.",
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        ),
    )
    return BooksDiffer(f"invoice {invoice.id}: {text}")
