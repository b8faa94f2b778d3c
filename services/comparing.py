"""Comparing one invoice of ours with Stripe's, line by line: a pure function of both books.

Lines are joined on the stored ids of invoice items. Sums are those of lines, subtotal and total; never what was paid,
for balances and the smallest charge move money. Stripe's docs do not promise an item's metadata on its line: it is
given apart, by item.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from inkmeter.money import Money
from integrations.protocols import StripeCreditNote, StripeInvoice, StripeLine


class DifferenceKind(StrEnum):
    """What is wrong, from our side: MISSING at Stripe, EXTRA there, and so on."""

    MISSING = "MISSING"
    EXTRA = "EXTRA"
    DUPLICATE = "DUPLICATE"
    AMOUNT = "AMOUNT"
    CURRENCY = "CURRENCY"
    PERIOD = "PERIOD"
    STRIPE_ONLY = "STRIPE_ONLY"
    HEADER = "HEADER"
    STATE = "STATE"
    INVOICE_MISSING = "INVOICE_MISSING"
    SUBSCRIPTION = "SUBSCRIPTION"
    CUSTOMER = "CUSTOMER"
    METERED_LINE = "METERED_LINE"
    METER_DAY = "METER_DAY"


MONEY: Final = frozenset(
    {DifferenceKind.MISSING, DifferenceKind.EXTRA, DifferenceKind.DUPLICATE, DifferenceKind.AMOUNT}
)
"""Kinds that say how much more or less Stripe has."""

STATES: Final[Mapping[str, frozenset[str]]] = {
    "draft": frozenset({"FINALIZED"}),
    "open": frozenset({"FINALIZED", "PUSHED", "PAST_DUE"}),
    "paid": frozenset({"PAID"}),
    "void": frozenset({"VOID"}),
    "uncollectible": frozenset({"UNCOLLECTIBLE", "PAST_DUE"}),  # by Stripe itself: it is owed still
}
"""Our states of an invoice that go with each of Stripe's."""


@dataclass(frozen=True, slots=True)
class OurLine:
    """What one invoice item must be; `item_id` is the item that was made of it, None before it was.

    `cycle` is the whole cycle of its period: one that was cut since may have been sent whole.
    """

    id: str
    item_id: str | None
    label: str
    amount: Money
    period: tuple[datetime, datetime]
    cycle: tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class OurInvoice:
    """A closed invoice of ours, with the lines that Stripe must have."""

    id: str
    state: str
    currency: str
    lines: Sequence[OurLine]
    by_stripe: Mapping[str, Money] = field(default_factory=dict)
    """What the lines come to that Stripe makes itself, of a METERED plan's prices, by the id of its line."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs: `subject` names it among all of a tenant's, `explanation` says it in words."""

    kind: DifferenceKind
    subject: str
    ours: Money
    theirs: Money
    explanation: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def too_much(self) -> int:
        """How much more Stripe has than we, in minor units."""
        return self.theirs.minor - self.ours.minor


def compare_invoice(
    ours: OurInvoice, theirs: StripeInvoice, items: Mapping[str, Mapping[str, str]]
) -> list[Difference]:
    """Everything in which Stripe's invoice differs from ours. `items` is the metadata of those of its items that we
    do not know by their ids.
    """
    if theirs.subtotal.currency != ours.currency:
        return [
            Difference(
                DifferenceKind.CURRENCY,
                ours.id,
                Money(sum(line.amount.minor for line in ours.lines), ours.currency),
                theirs.subtotal,
                f"Our invoice is in {ours.currency}, Stripe's in {theirs.subtotal.currency}.",
                {"stripe_invoice_id": theirs.id},
            )
        ]
    return [*_Join(ours, theirs, items).differences(), *_headers(ours, theirs), *_states(ours, theirs)]


def foreign_credits(ours: OurInvoice, theirs: StripeInvoice, notes: Sequence[StripeCreditNote]) -> list[Difference]:
    """What somebody has taken off Stripe's invoice by credit notes of their own; those of our repairs name them."""
    found = []
    for note in notes:
        if note.is_void or "discrepancy_id" in note.metadata:
            continue
        text = f"Somebody took {note.amount} off the invoice at Stripe by a credit note, which our books do not know."
        evidence = {"stripe_invoice_id": theirs.id, "stripe_credit_note_id": note.id}
        nothing = Money(0, note.amount.currency)
        found.append(
            Difference(DifferenceKind.STRIPE_ONLY, f"{ours.id} {note.id}", nothing, -note.amount, text, evidence)
        )
    return found


def corrected(differences: Sequence[Difference], taken_off: Mapping[tuple[str, str], int]) -> list[Difference]:
    """The differences that are left after what was corrected apart from the lines: so many minor units of Stripe's
    were `taken_off` (by credit notes; negative where they were charged later), by kind and subject.
    """
    left = []
    for found in differences:
        minor = taken_off.get((found.kind.value, found.subject), 0)
        if minor:
            found = replace(found, theirs=Money(found.theirs.minor - minor, found.theirs.currency))  # noqa: PLW2901
        if found.kind not in MONEY or found.too_much:
            left.append(found)
    return left


class _Join:
    """Our lines and theirs by item."""

    def __init__(self, ours: OurInvoice, theirs: StripeInvoice, items: Mapping[str, Mapping[str, str]]) -> None:
        self._ours, self._theirs, self._items = ours, theirs, items
        self._found: list[Difference] = []
        self._left: dict[str, list[StripeLine]] = {}
        for line in theirs.lines:
            if line.invoice_item_id is not None:
                self._left.setdefault(line.invoice_item_id, []).append(line)

    def differences(self) -> list[Difference]:
        for line in self._ours.lines:
            self._compare(line, self._take(line))
        own: dict[str, list[StripeLine]] = {}
        for their_line in self._theirs.lines:
            if their_line.invoice_item_id is None:
                own.setdefault(their_line.price_id or their_line.id, []).append(their_line)
        for same_price in own.values():
            self._judge_own(same_price)
        for item_id, lines in self._left.items():
            for unknown in lines:
                self._judge_unknown(item_id, unknown)
        return self._found

    def _take(self, line: OurLine) -> list[StripeLine]:
        """Their lines that are this line: by its item, or by the item's metadata if we never learnt its id."""
        if line.item_id is not None and line.item_id in self._left:
            return self._left.pop(line.item_id)
        named = next((i for i in self._left if self._items.get(i, {}).get("line_item_id") == line.id), None)
        return self._left.pop(named) if named is not None else []

    def _compare(self, ours: OurLine, found: list[StripeLine]) -> None:
        if not found:
            zero = Money(0, ours.amount.currency)
            self._add(
                DifferenceKind.MISSING, ours.id, ours.amount, zero, f"Stripe lacks our line {ours.label!r}.", ours
            )
            return
        theirs, *more = found
        if theirs.amount.currency != ours.amount.currency:
            text = f"Our line {ours.label!r} is in {ours.amount.currency}, Stripe's in {theirs.amount.currency}."
            self._add(DifferenceKind.CURRENCY, ours.id, ours.amount, theirs.amount, text, ours, theirs)
        elif theirs.amount != ours.amount:
            text = f"Our line {ours.label!r} is {ours.amount}, Stripe's is {theirs.amount}."
            self._add(DifferenceKind.AMOUNT, ours.id, ours.amount, theirs.amount, text, ours, theirs)
        if theirs.period not in (_seconds(ours.period), _seconds(ours.cycle)):
            text = f"Our line {ours.label!r} is for {_shown(ours.period)}, Stripe's for {_shown(theirs.period)}."
            self._add(DifferenceKind.PERIOD, ours.id, ours.amount, theirs.amount, text, ours, theirs)
        for line in more:
            self._add_duplicate(ours.id, line, is_same_item=True)

    def _judge_own(self, lines: list[StripeLine]) -> None:
        """Stripe's own lines of one of a subscription's prices: they are ours of a METERED plan, or of zero."""
        known = [self._ours.by_stripe[line.id] for line in lines if line.id in self._ours.by_stripe]
        if known:
            ours = Money.sum(known, self._ours.currency)
            theirs = Money.sum((line.amount for line in lines), self._ours.currency)
            if ours != theirs:
                text = f"Stripe bills {lines[0].description!r} by its own price as {theirs}; ours is {ours}."
                self._add(DifferenceKind.METERED_LINE, lines[0].id, ours, theirs, text, None, lines[0])
            return
        for line in (line for line in lines if line.amount.minor):
            text = f"Stripe bills {line.description!r} by a price of its own, which our books do not have."
            self._add(DifferenceKind.STRIPE_ONLY, line.id, _nothing(line), line.amount, text, None, line)

    def _judge_unknown(self, item_id: str, line: StripeLine) -> None:
        names = self._items.get(item_id, {})
        line_id = names.get("line_item_id")
        if line_id is None:
            text = f"{line.description!r} was put onto the invoice at Stripe by somebody else."
            self._add(DifferenceKind.STRIPE_ONLY, line.id, _nothing(line), line.amount, text, None, line)
        elif line_id in {ours.id for ours in self._ours.lines}:
            self._add_duplicate(line_id, line)
        else:
            text = f"{line.description!r} at Stripe was made by Inkmeter, but no line of this invoice stands for it."
            self._add(DifferenceKind.EXTRA, line.id, _nothing(line), line.amount, text, None, line)

    def _add_duplicate(self, line_id: str, line: StripeLine, *, is_same_item: bool = False) -> None:
        text = f"Stripe has our line {line.description!r} once more."
        evidence = {"line_item_id": line_id, "is_same_item": is_same_item}
        self._add(DifferenceKind.DUPLICATE, line.id, _nothing(line), line.amount, text, None, line, evidence)

    def _add(
        self,
        kind: DifferenceKind,
        about: str,
        ours: Money,
        theirs: Money,
        explanation: str,
        our_line: OurLine | None,
        their_line: StripeLine | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        evidence: dict[str, Any] = {"stripe_invoice_id": self._theirs.id, **(more or {})}
        if our_line is not None:
            evidence |= {"line_item_id": our_line.id, "label": our_line.label}
        if their_line is not None:
            evidence |= {
                "stripe_line_id": their_line.id,
                "stripe_item_id": their_line.invoice_item_id,
                "stripe_description": their_line.description,
                "stripe_period": [moment.isoformat() for moment in their_line.period],
            }
        self._found.append(Difference(kind, f"{self._ours.id} {about}", ours, theirs, explanation, evidence))


def _headers(ours: OurInvoice, theirs: StripeInvoice) -> list[Difference]:
    """Stripe's sums held against each other."""
    currency = theirs.subtotal.currency
    lines = Money(sum(line.amount.minor for line in theirs.lines), currency)
    must = Money(theirs.subtotal.minor - theirs.discounts.minor + theirs.exclusive_tax.minor, currency)
    found = []
    evidence = {"stripe_invoice_id": theirs.id}
    if lines != theirs.subtotal:
        text = f"Stripe's lines come to {lines}, its subtotal is {theirs.subtotal}."
        found.append(Difference(DifferenceKind.HEADER, f"{ours.id} subtotal", lines, theirs.subtotal, text, evidence))
    if must != theirs.total:
        text = f"Stripe's subtotal less discounts and with tax is {must}, its total {theirs.total}."
        found.append(Difference(DifferenceKind.HEADER, f"{ours.id} total", must, theirs.total, text, evidence))
    if theirs.discounts.minor:
        text = f"Stripe takes {theirs.discounts} off the invoice, which our books do not know."
        off = Money(-theirs.discounts.minor, currency)
        found.append(
            Difference(DifferenceKind.STRIPE_ONLY, f"{ours.id} discount", Money(0, currency), off, text, evidence)
        )
    return found


def _states(ours: OurInvoice, theirs: StripeInvoice) -> list[Difference]:
    if ours.state in STATES.get(theirs.status, frozenset()):
        return []
    text = f"Our invoice is {ours.state}, Stripe's is {theirs.status}."
    evidence = {"stripe_invoice_id": theirs.id, "ours": ours.state, "theirs": theirs.status}
    total = Money(sum(line.amount.minor for line in ours.lines), ours.currency)
    return [Difference(DifferenceKind.STATE, f"{ours.id} state", total, theirs.subtotal, text, evidence)]


def _nothing(line: StripeLine) -> Money:
    return Money(0, line.amount.currency)


def _seconds(period: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
    """Stripe counts in whole seconds."""
    return period[0].replace(microsecond=0), period[1].replace(microsecond=0)


def _shown(period: tuple[datetime, datetime]) -> str:
    return " to ".join(moment.isoformat() for moment in period)
