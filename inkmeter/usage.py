"""Meters, and the usage of one meter in one period as a billing model sees it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from inkmeter.money import WIDE
from inkmeter.periods import BillingPeriod


class Aggregation(StrEnum):
    """How the events of a meter become one number for a period.

    SUM of the quantities; COUNT of the events; UNIQUE, how many different values a property had; MAX, the largest;
    LATEST, the last level that was reported; TIME_WEIGHTED, the level averaged over the period.
    """

    SUM = "SUM"
    COUNT = "COUNT"
    UNIQUE = "UNIQUE"
    MAX = "MAX"
    LATEST = "LATEST"
    TIME_WEIGHTED = "TIME_WEIGHTED"


class UnitRounding(StrEnum):
    """What becomes of a fraction of a unit when a period is billed."""

    NONE = "NONE"
    UP = "UP"
    DOWN = "DOWN"
    HALF_UP = "HALF_UP"


@dataclass(frozen=True, slots=True)
class Meter:
    """What is counted. `code` is stable and snake_case; `unit` names one of it for people.

    It counts the events of `source` (its own code unless another meter's is given) whose properties match every one
    of `filters`. With a `property` that one's number is what counts, and not the event's quantity; for UNIQUE it is
    the value that is told apart. Quantities are kept in integers of 10^-`decimals` units.
    """

    code: str
    unit: str
    description: str
    aggregation: Aggregation = Aggregation.SUM
    source: str | None = None
    property: str | None = None
    decimals: int = 0
    rounding: UnitRounding = UnitRounding.NONE
    filters: Mapping[str, frozenset[str]] = field(default_factory=dict)


METERS: Final[dict[str, Meter]] = {
    meter.code: meter
    for meter in (
        Meter("documents_created", "document", "Documents uploaded to SignNow or made from a template."),
        Meter("invites_sent", "invite", "Signature invites that SignNow accepted."),
        Meter("documents_completed", "document", "Documents that every signer has signed."),
        Meter("signatures", "signature", "Signers who have signed, counted once per invite."),
        Meter("downloads", "download", "Signed documents downloaded."),
        Meter(
            "api_calls",
            "call",
            "Calls made to SignNow for the tenant; repeats of a failed call do not count.",
        ),
        Meter("seats", "seat", "Users who may sign, the most at any time in the period.", Aggregation.MAX),
    )
}
"""The built-in meters by code."""


class Rounding(StrEnum):
    """What happens to a pack that is begun but not full."""

    UP = "UP"
    DOWN = "DOWN"


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a meter was used in a period: what a billing model rates.

    `quantity` is in the meter's units and may be fractional; `seats` is the number that the subscription pays
    for; `unit` is the meter's word for one, for labels.
    """

    quantity: Decimal
    period: BillingPeriod
    seats: int = 1
    unit: str = "unit"

    def __post_init__(self) -> None:
        if not isinstance(self.quantity, Decimal):
            raise TypeError(f"a quantity is a Decimal, not {type(self.quantity).__name__}")
        if not self.quantity.is_finite() or self.quantity < 0:
            raise ValueError("a quantity is finite and not negative")
        if self.seats < 0:
            raise ValueError("seats are not negative")

    def beyond(self, included: Decimal | int) -> Decimal:
        """What is used beyond an included amount, exactly; zero while within it."""
        return max(WIDE.subtract(self.quantity, included), Decimal(0))

    def within(self, included: Decimal | int) -> Decimal:
        """What is used of an included amount; the rest is `beyond` it."""
        return min(self.quantity, Decimal(included))

    def packs_of(self, size: Decimal | int, rounding: Rounding = Rounding.UP) -> int:
        """How many packs of `size` the quantity needs, or fills, rounding down: 101 needs 3 packs of 50."""
        return packs(self.quantity, size, rounding)


def packs(quantity: Decimal, size: Decimal | int, rounding: Rounding = Rounding.UP) -> int:
    """How many packs of `size` a quantity needs, or fills, rounding down. Raises ValueError for size 0."""
    if size <= 0:
        raise ValueError("a pack holds more than nothing")
    full, rest = WIDE.divmod(quantity, size)
    return int(full) + (rest > 0 and rounding is Rounding.UP)


_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_MAX_DIGITS: Final = 30
_TOO_LONG: Final = 10**_MAX_DIGITS


def read_quantity(value: object) -> int | Decimal:
    """A quantity as it comes in JSON: a whole number, or any exact one as a string. Raises ValueError with the rule."""
    if type(value) is int and -_TOO_LONG < value < _TOO_LONG:
        return value
    if isinstance(value, str) and len(value) <= _MAX_DIGITS and _NUMBER.fullmatch(value):
        return Decimal(value)
    raise ValueError(f'a quantity is a whole number, or a string such as "1.5", of at most {_MAX_DIGITS} digits')
