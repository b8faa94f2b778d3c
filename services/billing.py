"""What a billing period costs: a pure function, so that the same period may be billed as often as one likes.

    fees         of each price, by the parts of the cycle in which it was in force (services/proration.py)
    usage        of the whole period, by the terms in force at its end, within the bounds of each price
    discounts    in order, each on what the ones before it left
    commitment   what is missing to the minimum that was agreed

Each line is rounded once; the total is the sum of the lines.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Final
from uuid import UUID

from inkmeter.billing_model import BillingModel, Line, RatedLine, RatedPrice, bounded, rated
from inkmeter.money import WIDE, Money, to_money
from inkmeter.usage import Usage
from services.proration import Course, Segment, describe_share, peak_seats, split_cycle, stages_in_force
from services.proration import Stage as Stage
from services.rating import SEATS, asking, sum_of
from storage.invoices import LineKind
from storage.plans import Price

SHOWN_PLACES: Final = Decimal("1E-12")
"""The part of a quantity is shown with twelve digits after the point; amounts are made from the exact part."""


@dataclass(frozen=True, slots=True)
class Discount:
    """Either a `percent`, from 0 to 100, or an `amount` off what fees and usage cost."""

    label: str
    percent: Decimal | None = None
    amount: Money | None = None

    def __post_init__(self) -> None:
        if (self.percent is None) == (self.amount is None):
            raise ValueError("a discount is either a percentage or an amount")
        if self.percent is not None and not 0 <= self.percent <= 100:
            raise ValueError("a discount is from 0 to 100 percent")
        if self.amount is not None and self.amount.minor < 0:
            raise ValueError("a discount is not negative")


@dataclass(frozen=True, slots=True)
class PeriodFacts(Course):
    """Everything that the price of a period depends on.

    `units` are the billable quantities by meter, credits already taken off; seats are the most at any time unless
    they stand there. `minimum` is the commitment for a whole cycle. A trial costs nothing.
    """

    units: Mapping[str, Decimal] = field(default_factory=dict)
    discounts: tuple[Discount, ...] = ()
    minimum: Money | None = None
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class BillLine:
    """A line of a period's bill; `price_id`, `meter` and `model` say which price it comes from, if from one."""

    kind: LineKind
    line: RatedLine
    price_id: UUID | None = None
    meter: str = ""
    model: str = ""


def fee_lines(facts: PeriodFacts) -> tuple[BillLine, ...]:
    """The FEE lines of the period alone: they do not depend on usage, so they may be billed in advance.

    Raises PluginError if a model breaks.
    """
    if facts.is_trial:
        return ()
    prices = {
        entry.id: (entry, model) for stage in stages_in_force(facts) for entry, model in stage.terms.prices
    }.values()
    return tuple(
        _from(entry, LineKind.FEE, line) for entry, model in prices for line in _rate_fees(facts, entry, model)
    )


def bill_period(facts: PeriodFacts) -> tuple[BillLine, ...]:
    """All lines of the period: fees, usage, discounts, commitment. Raises PluginError if a model breaks."""
    stages = stages_in_force(facts)
    if facts.is_trial or not stages:
        return ()
    currency = facts.currency
    fees = fee_lines(facts)
    bill = [*fees, *_usage_lines(facts, fees)]
    bill += _discount_lines(facts.discounts, _total(bill, currency))
    if facts.minimum is not None:
        due = to_money(Fraction(facts.minimum.amount) * _covered(facts), facts.minimum.currency)
        missing = due - _total(bill, currency)
        if missing.minor > 0:
            bill.append(BillLine(LineKind.COMMITMENT, _single("Minimum commitment", missing)))
    return tuple(bill)


def bill_fees(facts: PeriodFacts) -> tuple[BillLine, ...]:
    """The FEE lines with their discounts: what may be billed before the period is over."""
    fees = fee_lines(facts)
    return (*fees, *_discount_lines(facts.discounts, _total([*fees], facts.currency)))


@dataclass(slots=True)
class _Part:
    """A fee line and the part of the cycle that it is due for."""

    line: Line
    begins: Fraction
    ends: Fraction


def _rate_fees(facts: PeriodFacts, entry: Price, model: BillingModel) -> list[RatedLine]:
    with asking(model, "seat_changes"):
        seat_changes = model.seat_changes()
    segments = [segment for segment in split_cycle(facts, seat_changes) if _has(segment, entry)]
    with asking(model, "fees"):
        return [_rate_part(facts, part) for part in _parts(segments, model)]


def _parts(segments: list[Segment], model: BillingModel) -> list[_Part]:
    """What stays the same through a change is one part: a fee for all is not split because a seat was added."""
    parts: list[_Part] = []
    for segment in segments:
        for line in model.fees(segment.seats):
            same = next((part for part in parts if part.line == line and part.ends == segment.begins), None)
            if same is not None:
                same.ends = segment.ends
            else:
                parts.append(_Part(line, segment.begins, segment.ends))
    return parts


def _has(segment: Segment, entry: Price) -> bool:
    return not segment.is_paused and any(entry.id == other.id for other, _ in segment.terms.prices)


def _rate_part(facts: PeriodFacts, part: _Part) -> RatedLine:
    line, share, currency = part.line, part.ends - part.begins, facts.currency
    if share == 1:
        return rated([line], currency).lines[0]
    exact = WIDE.divide(WIDE.multiply(line.quantity, Decimal(share.numerator)), Decimal(share.denominator))
    shown = exact.quantize(SHOWN_PLACES, context=WIDE)
    whole = shown.to_integral_value()
    return RatedLine(
        f"{line.label} ({describe_share(facts, share)})",
        whole if shown == whole else shown.normalize(WIDE),
        line.unit_price,
        to_money(Fraction(line.amount) * share, currency),
    )


def _usage_lines(facts: PeriodFacts, fees: tuple[BillLine, ...]) -> Iterator[BillLine]:
    stages = stages_in_force(facts)
    peak = peak_seats(stages)
    units = {SEATS: Decimal(peak), **facts.units}
    covered = _covered(facts)
    if not any(units.values()) and all(stage.is_paused for stage in stages):
        return
    for entry, model in stages[-1].terms.prices:
        with asking(model, "rate"):
            usage = Usage(
                units.get(entry.meter, Decimal(0)), facts.cycle, peak, stages[-1].terms.meters[entry.meter].unit
            )
            used = rated(model.rate(usage), facts.currency).lines
            due = tuple(fee.line for fee in fees if fee.price_id == entry.id)
            least, most = model.spend_bounds()
            bill = RatedPrice(due + used, Money.sum((line.total for line in due + used), facts.currency))
            within = bounded(bill, None if least is None else Fraction(least) * covered, most)
        yield from (_from(entry, LineKind.USAGE, line) for line in within.lines[len(due) :])


def _discount_lines(discounts: tuple[Discount, ...], left: Money) -> Iterator[BillLine]:
    for discount in discounts:
        if left.minor <= 0:
            return
        line = _discount(discount, left)
        if line.total.minor:
            yield BillLine(LineKind.DISCOUNT, line)
            left += line.total


def _discount(discount: Discount, left: Money) -> RatedLine:
    if discount.percent is not None:
        line = Line(discount.label, left.amount, discount.percent.scaleb(-2, WIDE).copy_negate())
        return rated([line], left.currency).lines[0]
    assert discount.amount is not None  # noqa: S101 - one of the two is there
    more = discount.amount - left
    return _single(discount.label, -(left if more.minor > 0 else discount.amount))


def _covered(facts: PeriodFacts) -> Fraction:
    """The part of the cycle that the subscription pays for."""
    return sum((part.length for part in split_cycle(facts) if not part.is_paused), Fraction(0))


def _from(entry: Price, kind: LineKind, line: RatedLine) -> BillLine:
    return BillLine(kind, line, entry.id, entry.meter, entry.model)


def _single(label: str, amount: Money) -> RatedLine:
    return RatedLine(label, Decimal(1), amount.amount, amount)


def _total(bill: list[BillLine], currency: str) -> Money:
    return sum_of((entry.line for entry in bill), currency)
