"""What events come to, counted anew: pure, and the measure of what the counters say."""

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction

from inkmeter.usage import Aggregation, Meter, UnitRounding
from services.measures import ADDED_UP, added, value_of

Step = tuple[int, int]
"""A moment in µs, and the level from then on."""


class Tally:
    """Counts events that stand, for one meter of any aggregation but the levels."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.values: Counter[str] = Counter()
        """How many events show each value, for UNIQUE and MAX."""
        self._total = 0

    def count(self, quantity: int, properties: Mapping[str, str]) -> None:
        """Count one event; those that the meter does not count change nothing."""
        if self.meter.aggregation in ADDED_UP:
            self._total += added(self.meter, quantity, properties) or 0
        elif (value := value_of(self.meter, quantity, properties)) is not None:
            self.values[value] += 1

    def add(self, quantity: int, events: int) -> None:
        """Count many events at once, for a plain meter."""
        self._total += events if self.meter.aggregation is Aggregation.COUNT else quantity

    @property
    def used(self) -> int:
        """What they come to, in 10^-decimals units."""
        if self.meter.aggregation is Aggregation.UNIQUE:
            return len(self.values)
        if self.meter.aggregation is Aggregation.MAX:
            return max(map(int, self.values), default=0)
        return self._total


class Levels:
    """The level of a LATEST or TIME_WEIGHTED meter, or of a MAX of levels, over a span of time in µs.

    `carried` is the level from before; steps are added in the order of time.
    """

    def __init__(self, meter: Meter, carried: int, start: int) -> None:
        self.meter, self.level, self.peak = meter, carried, carried
        self._start, self._since = start, start
        self._area = 0

    def step(self, at: int, level: int) -> None:
        """The level from a moment on."""
        self._area += self.level * (at - self._since)
        self.level, self._since = level, at
        self.peak = max(self.peak, level)

    def used(self, end: int) -> int:
        """What the meter says at the end of the span."""
        if self.meter.aggregation is Aggregation.LATEST:
            return self.level
        if self.meter.aggregation is Aggregation.MAX:
            return self.peak
        if end <= self._start:
            return rounded(self.meter, Fraction(self.level))
        area = self._area + self.level * (end - self._since)
        return rounded(self.meter, Fraction(area, end - self._start))

    def begin(self, at: int) -> None:
        """Go on with a new span from a moment on, at the level of now."""
        self._start, self._since, self._area, self.peak = at, at, 0, self.level


def rounded(meter: Meter, units: Fraction) -> int:
    """An average in whole 10^-decimals units, such that rounding it to units of billing later is as if done at once."""
    match meter.rounding:
        case UnitRounding.UP:
            return -(-units // 1)
        case UnitRounding.DOWN:
            return units // 1
        case UnitRounding.HALF_UP if meter.decimals:
            return units // 1
    return (units + Fraction(1, 2)) // 1


def over(meter: Meter, carried: int, steps: Iterable[Step], start: int, end: int) -> int:
    """What a meter of levels comes to over [start, end)."""
    levels = Levels(meter, carried, start)
    for at, level in steps:
        levels.step(at, level)
    return levels.used(end)
