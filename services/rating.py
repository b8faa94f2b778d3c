"""From counted units to lines of money: the one place where plans meet billing models.

The close, the quota's marginal price and the explanation all rate here, so they cannot disagree.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any, Final
from uuid import UUID

from inkmeter.billing_model import BillingModel, RatedLine, RatedPrice, price
from inkmeter.errors import Conflict, InvalidInput, PluginError, Problem
from inkmeter.money import CURRENCY_DIGITS, WIDE, Money
from inkmeter.periods import Anchor, BillingPeriod
from inkmeter.usage import Meter, Usage
from plugins.registry import BillingModels
from services.measures import billable
from services.problems import Problems
from services.terms import PlanTerms
from storage.plans import Price

SEATS = "seats"


@dataclass(frozen=True, slots=True)
class PricedLine:
    """A rated line and the price that it comes from."""

    price_id: UUID
    meter: str
    model: str
    line: RatedLine


def rate_usage(terms: PlanTerms, units: Mapping[str, int], seats: int, period: BillingPeriod) -> tuple[PricedLine, ...]:
    """Rate a period's stored units by meter with every price of the plan. Raises PluginError if a model breaks."""
    return tuple(
        PricedLine(entry.id, entry.meter, entry.model, line)
        for entry, model in terms.prices
        for line in rate_meter(model, terms.meters[entry.meter], units, seats, period, terms.plan.currency)
    )


def rate_meter(
    model: BillingModel,
    meter: Meter,
    units: Mapping[str, int],
    seats: int,
    period: BillingPeriod,
    currency: str,
) -> tuple[RatedLine, ...]:
    """Rate one price, its fees too. Seats are counted by the subscription, everything else by usage events."""
    quantity = Decimal(seats) if meter.code == SEATS else billable(meter, units.get(meter.code, 0))
    with asking(model, "rate"):
        return price(model, Usage(quantity, period, seats, meter.unit), currency).lines


@contextmanager
def asking(model: BillingModel, hook: str) -> Iterator[None]:
    """Around all that is asked of a model, in exact arithmetic. A model is a partner's code: whatever it raises
    becomes a PluginError that says who it was. What no bill can hold is a Conflict: it follows from what was recorded.
    """
    try:
        with localcontext(WIDE):
            yield
    except OverflowError:
        raise too_much() from None
    except Exception as error:
        raise PluginError(f"{type(error).__name__}: {error}", plugin=type(model).code, hook=hook) from error


def too_much() -> Conflict:
    """The refusal of an amount that no bill can hold."""
    return Conflict(
        "this comes to more than 64 bits of minor units, which no invoice can hold; "
        "correct the usage with correctUsage, or change the plan or the seats"
    )


def sum_of(lines: Iterable[RatedLine], currency: str) -> Money:
    """What lines come to. Raises Conflict past 64 bits of minor units."""
    try:
        return Money.sum((line.total for line in lines), currency)
    except OverflowError:
        raise too_much() from None


def marginal_price(
    terms: PlanTerms, before: Mapping[str, int], units: Mapping[str, int], seats: int, period: BillingPeriod
) -> Money:
    """What these units cost on top of those before, under all prices that they touch: exact to the cent.

    More seats touch every price, since any may depend on them.
    """
    more_seats = units.get(SEATS, 0)
    total = 0
    for entry, model in terms.prices:
        if entry.meter in units or more_seats:
            meter = terms.meters[entry.meter]
            taken = before.get(entry.meter, 0)
            after = taken + units.get(entry.meter, 0)
            if not more_seats and _is_included(model, billable(meter, after), seats):
                continue
            total += _total(entry, model, meter, after, seats + more_seats, period, terms.plan.currency)
            total -= _total(entry, model, meter, taken, seats, period, terms.plan.currency)
    try:
        return Money(total, terms.plan.currency)
    except OverflowError:
        raise too_much() from None


def _is_included(model: BillingModel, quantity: Decimal, seats: int) -> bool:
    """Whether so many units cost nothing beyond the fees, by what the model itself says: nothing need be rated."""
    if not model.rates_usage():
        return True
    allowance = model.allowance(seats)
    return allowance is not None and quantity <= allowance


_totals: dict[tuple[UUID, int, int, datetime, datetime], int] = {}
MAX_TOTALS: Final = 10_000


def _total(
    entry: Price, model: BillingModel, meter: Meter, units: int, seats: int, period: BillingPeriod, currency: str
) -> int:
    """What a price comes to, in minor units. Prices never change, so it is rated once: what one reservation ends with
    the next one begins with.
    """
    key = (entry.id, units, seats, period.start, period.end)
    known = _totals.get(key)
    if known is None:
        lines = rate_meter(model, meter, {meter.code: units}, seats, period, currency)
        known = sum(line.total.minor for line in lines)
        if len(_totals) >= MAX_TOTALS:
            _totals.clear()
        _totals[key] = known
    return known


@dataclass(frozen=True, slots=True)
class Explanation:
    """What usage would cost under a price, and how many units the price includes (None if that does not apply)."""

    rated: RatedPrice
    allowance: Decimal | None


def explain_price(
    models: BillingModels,
    now: datetime,
    code: str,
    config: Mapping[str, Any],
    quantity: Decimal,
    currency: str,
    seats: int = 1,
) -> Explanation:
    """Rate without a plan: the same code as the bill. Raises NotFound, InvalidConfig and InvalidInput."""
    model = models.get(code, path=("model",)).configure(config)
    problems = Problems()
    problems.check(quantity.is_finite() and 0 <= quantity < 2**63, "is not negative and fits 63 bits", "quantity")
    problems.check(0 <= seats < 2**31, "is not negative", "seats")
    problems.check(currency in CURRENCY_DIGITS, "is not an ISO 4217 currency code such as USD", "currency")
    problems.refuse()
    this_month = Anchor(now.date().replace(day=1)).period(0)
    try:
        return Explanation(price(model, Usage(quantity, this_month, seats), currency), model.allowance(seats))
    except OverflowError:
        raise InvalidInput([Problem(("quantity",), "costs more than 64 bits of minor units")]) from None
