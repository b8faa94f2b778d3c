"""The arithmetic of margin: amounts with the place that they belong to, shared out and added up. Nothing else.

Every amount is a whole number of minor units or of units, and belongs to one place; a table adds up the places of a
group. So the rows of any grouping come to the same totals, and no order of the amounts matters.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar

from inkmeter.money import WIDE, Money

HUNDREDTH: Final = Decimal("0.01")


class Measure(StrEnum):
    """What an amount is of: revenue as RATED, BILLED and COLLECTED; upstream cost as DECLARED by our cost table, and
    ACTUAL by SignNow's bills; units SOLD to tenants and BOUGHT from SignNow.
    """

    RATED = "RATED"
    BILLED = "BILLED"
    COLLECTED = "COLLECTED"
    DECLARED = "DECLARED"
    ACTUAL = "ACTUAL"
    SOLD = "SOLD"
    BOUGHT = "BOUGHT"


class MarginGroup(StrEnum):
    """What the rows of a table are."""

    TENANT = "TENANT"
    PLAN = "PLAN"
    BILLING_MODEL = "BILLING_MODEL"
    MONTH = "MONTH"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an amount belongs: whose, in which month ("2026-03"), under which plan and billing model, by their codes.

    A cost that no tenant has caused has no tenant; what comes from no price has no billing model.
    """

    tenant_id: int | None
    month: str
    plan: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An amount in minor units of `currency`, or units: sold in the plan's currency, bought in that of the cost."""

    place: Place
    measure: Measure
    amount: int
    currency: str


class Sums:
    """Amounts added up by place, measure and currency, so that many of them take the room of few."""

    def __init__(self) -> None:
        self._found: dict[tuple[Place, Measure, str], int] = {}

    def add(self, place: Place, measure: Measure, amount: int, currency: str) -> None:
        """Add an amount; one of zero is there, too."""
        key = (place, measure, currency)
        self._found[key] = self._found.get(key, 0) + amount

    def entries(self) -> list[Entry]:
        """One of each place, measure and currency."""
        return [Entry(place, measure, amount, cur) for (place, measure, cur), amount in self._found.items()]


class _Comparable(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


Part = TypeVar("Part", bound=_Comparable)


def share_out(amount: int, weights: Mapping[Part, int]) -> dict[Part, int]:
    """Divide an amount by weights so that the parts come to it exactly: the largest remainders get what is left over,
    of equal ones the first by its key. Without any weight there are no parts.

    A negative amount, as of a credit note, is divided like its opposite.
    """
    whole = sum(weights.values())
    if whole <= 0:
        return {}
    size, sign = abs(amount), 1 if amount >= 0 else -1
    parts = {part: size * weight // whole for part, weight in weights.items()}
    left = size - sum(parts.values())
    order = sorted(weights, key=lambda part: (-(size * weights[part] % whole), part))
    for part in order[:left]:
        parts[part] += 1
    return {part: sign * share for part, share in parts.items()}


@dataclass(slots=True)
class MarginRow:
    """What the entries of one group come to in one currency; `also_in` are the currencies of its other rows.

    `key` is what the group is: a tenant's id, the code of a plan or billing model, a month; None for what has none.
    """

    key: Any
    currency: str
    sums: dict[Measure, int] = field(default_factory=dict)
    also_in: tuple[str, ...] = ()

    def units(self, measure: Measure) -> int:
        """The units sold or bought."""
        return self.sums.get(measure, 0)

    def money(self, measure: Measure) -> Money:
        return Money(self.sums.get(measure, 0), self.currency)

    def margin(self, cost: Measure = Measure.DECLARED) -> Money:
        """Rated revenue less a cost."""
        return self.money(Measure.RATED) - self.money(cost)

    def percent(self, cost: Measure = Measure.DECLARED) -> Decimal | None:
        """The margin in percent of the rated revenue, to a hundredth; None where there is no revenue."""
        return percent_of(self.margin(cost).minor, self.money(Measure.RATED).minor)


def percent_of(part: int, whole: int) -> Decimal | None:
    """A part in percent, rounded half to even to a hundredth; None of nothing or less."""
    if whole <= 0:
        return None
    return WIDE.divide(Decimal(part * 100), Decimal(whole)).quantize(HUNDREDTH, context=WIDE)


Key = Callable[[Place], Any]
KEYS: Final[dict[MarginGroup, Key]] = {
    MarginGroup.TENANT: lambda place: place.tenant_id,
    MarginGroup.PLAN: lambda place: place.plan,
    MarginGroup.BILLING_MODEL: lambda place: place.model,
    MarginGroup.MONTH: lambda place: place.month,
}


def tabulate(entries: Iterable[Entry], key: Key) -> list[MarginRow]:
    """Add up the entries by group and currency: a row for each, in order, what belongs to no group last."""
    found: dict[tuple[Any, str], MarginRow] = {}
    for entry in entries:
        group = key(entry.place)
        row = found.setdefault((group, entry.currency), MarginRow(group, entry.currency))
        row.sums[entry.measure] = row.sums.get(entry.measure, 0) + entry.amount
    currencies: dict[Any, list[str]] = {}
    for group, currency in sorted(found, key=lambda pair: pair[1]):
        currencies.setdefault(group, []).append(currency)
    for (group, currency), row in found.items():
        row.also_in = tuple(other for other in currencies[group] if other != currency)
    return [found[pair] for pair in sorted(found, key=lambda pair: (pair[0] is None, pair[0] or 0, pair[1]))]
