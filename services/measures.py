"""What an event adds to each meter: pure, so that it can be decided inside any transaction."""

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Final

from inkmeter.money import WIDE
from inkmeter.usage import METERS, Aggregation, Meter, UnitRounding, read_quantity

ADDED_UP: Final = (Aggregation.SUM, Aggregation.COUNT)
"""Counters of these grow by what each event adds."""
SEATS: Final = "seats"
"""The one meter that no event feeds: it follows from the subscription's phases."""
BY_VALUE: Final = (Aggregation.UNIQUE, Aggregation.MAX)
"""Counters of these follow from the values that were seen, each with the number of its events."""
LEVELS: Final = (Aggregation.LATEST, Aggregation.TIME_WEIGHTED)
"""These have no counter: what they come to depends on when it is asked. They take no quota."""
MAX_UNITS: Final = 10**12
"""The most that one event can add, in 10^-decimals units, so that no sum of a period leaves 63 bits."""
_ROUNDINGS: Final = {
    UnitRounding.UP: ROUND_CEILING,
    UnitRounding.DOWN: ROUND_FLOOR,
    UnitRounding.HALF_UP: ROUND_HALF_UP,
}


def takes_all(meter: Meter) -> bool:
    """Whether every event of its source adds its quantity, or one, whatever its properties are."""
    return meter.aggregation in ADDED_UP and meter.property is None and not meter.filters


class MeterBook:
    """All meters by code, built in and the operator's, and which of them each kind of event feeds."""

    def __init__(self, own: Iterable[Meter] = ()) -> None:
        own = tuple(own)
        self.own_count = len(own)
        self.meters: dict[str, Meter] = {**METERS, **{meter.code: meter for meter in own}}
        self._fed: dict[str, tuple[Meter, ...]] = {}
        for meter in self.meters.values():
            source = meter.source or meter.code
            self._fed[source] = (*self._fed.get(source, ()), meter)
        self.plain = {code for code, fed in self._fed.items() if len(fed) == 1 and _is_plain(fed[0])}
        self.simple = frozenset(
            meter.code
            for meter in self.meters.values()
            if meter.source is None and meter.code != SEATS and meter.decimals == 0 and takes_all(meter)
        )
        """Codes of the meters whose events need nothing but a whole quantity: nearly all are of one of these."""

    def __contains__(self, code: str) -> bool:
        return code in self.meters

    def __getitem__(self, code: str) -> Meter:
        return self.meters[code]

    def is_plain(self, code: str) -> bool:
        """Whether events of this code add their quantity to one meter, and do nothing else."""
        return code in self.plain

    def fed_by(self, code: str) -> tuple[Meter, ...]:
        """The meters that count events of this code: usually the one of that name alone."""
        return self._fed.get(code, ())


def is_counted(meter: Meter, properties: Mapping[str, str]) -> bool:
    """Whether an event with these properties passes the meter's filters."""
    return not meter.filters or all(properties.get(name) in values for name, values in meter.filters.items())


def added(meter: Meter, quantity: int, properties: Mapping[str, str]) -> int | None:
    """What an event adds to a SUM or COUNT meter, or the number that MAX and the levels look at, in 10^-decimals
    units; None if it does not count: filtered out, or its property is missing, negative or no number that fits.
    `quantity` is in the units of the meter of the events' own code.
    """
    if not is_counted(meter, properties):
        return None
    if meter.aggregation is Aggregation.COUNT:
        return 1
    if meter.property is None:
        return quantity
    number = scaled(properties.get(meter.property), meter.decimals)
    return number if number is not None and 0 <= number <= MAX_UNITS else None


def value_of(meter: Meter, quantity: int, properties: Mapping[str, str]) -> str | None:
    """What a UNIQUE or MAX meter tells apart; None if the event does not count, or it is another kind of meter."""
    if meter.aggregation is Aggregation.UNIQUE and meter.property is not None:
        return properties.get(meter.property) if is_counted(meter, properties) else None
    if meter.aggregation is Aggregation.MAX:
        number = added(meter, quantity, properties)
        return str(number) if number is not None else None
    return None


def _is_plain(meter: Meter) -> bool:
    return meter.source is None and meter.aggregation is Aggregation.SUM and not meter.filters and not meter.property


def scaled(number: str | Decimal | int | None, decimals: int) -> int | None:
    """A number as an integer of 10^-decimals units; None if it is none, or has more digits than that."""
    if number is None:
        return None
    try:
        units = Decimal(read_quantity(number) if isinstance(number, str) else number).scaleb(decimals, WIDE)
    except (ValueError, ArithmeticError):
        return None
    if not units.is_finite() or units != units.to_integral_value() or abs(units) >= 2**63:
        return None
    return int(units)


def quantity_of(meter: Meter, units: int) -> Decimal:
    """The stored units as the number that people read."""
    return Decimal(units).scaleb(-meter.decimals, WIDE)


def billable(meter: Meter, units: int) -> Decimal:
    """The stored units as the quantity that is billed: with fractions rounded as the meter says."""
    quantity = quantity_of(meter, units)
    rounding = _ROUNDINGS.get(meter.rounding)
    return quantity if rounding is None else quantity.quantize(Decimal(1), rounding, WIDE)
