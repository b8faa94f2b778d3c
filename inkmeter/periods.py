"""Billing periods: half-open spans [start, end) of UTC instants, cut at local midnights of the subscription's
zone.

The anchor day is remembered: a subscription anchored on the 31st renews on 28 February and on 31 March again.
Local days exist only here; everything else compares instants.
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class Interval(StrEnum):
    """How long a billing period lasts."""

    MONTH = "MONTH"
    YEAR = "YEAR"

    @property
    def months(self) -> int:
        return 1 if self is Interval.MONTH else 12


class Proration(StrEnum):
    """How a change inside a period is charged.

    SECOND: by exact time. DAY: by local days, of which the day of a change counts as new. NONE: not in this period.
    """

    SECOND = "SECOND"
    DAY = "DAY"
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class BillingPeriod:
    """A half-open span of time: an event exactly at `end` belongs to the next period. Both aware, in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a billing period needs aware datetimes")
        if not self.start < self.end:
            raise ValueError("a billing period ends after it starts")

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def elapsed(self, moment: datetime) -> Fraction:
        """How much of the period lies before `moment`, exactly: 0 up to its start, 1 from its end on."""
        return _within_one(Fraction(_micros(moment - self.start), _micros(self.end - self.start)))

    def elapsed_days(self, moment: datetime, zone: str) -> Fraction:
        """The same in whole local days: those before the day of `moment`, of all days."""
        # A period within one day still has that day.
        return _within_one(Fraction(_days(self.start, moment, zone), max(self.local_days(zone), 1)))

    def local_days(self, zone: str) -> int:
        """How many days the calendar counts from its start to its end."""
        return _days(self.start, self.end, zone)

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The day from which all periods of a subscription are counted, in its own zone."""

    on: date
    zone: str = "UTC"
    interval: Interval = Interval.MONTH

    def __post_init__(self) -> None:
        load_zone(self.zone)

    def boundary(self, index: int) -> datetime:
        """The instant, in UTC, at which period `index` starts; 0 is the anchor day itself."""
        month = self.on.year * 12 + self.on.month - 1 + index * self.interval.months
        year, month = divmod(month, 12)
        day = min(self.on.day, calendar.monthrange(year, month + 1)[1])
        return local_midnight(date(year, month + 1, day), self.zone)

    def period(self, index: int) -> BillingPeriod:
        """The period number `index`; negative numbers lie before the anchor."""
        return BillingPeriod(self.boundary(index), self.boundary(index + 1))

    def period_at(self, moment: datetime) -> BillingPeriod:
        """The period that contains `moment`."""
        local = moment.astimezone(load_zone(self.zone)).date()
        months = (local.year - self.on.year) * 12 + local.month - self.on.month
        index = months // self.interval.months
        while moment < self.boundary(index):
            index -= 1
        while moment >= self.boundary(index + 1):
            index += 1
        return self.period(index)


def local_midnight(day: date, zone: str) -> datetime:
    """The first instant of `day` in `zone`, in UTC.

    Where a clock change skips midnight (as in Asia/Beirut), the day begins at the first instant that exists,
    which is what converting through UTC yields.
    """
    return datetime.combine(day, time(), tzinfo=load_zone(zone)).astimezone(UTC)


def next_midnight(moment: datetime, zone: str) -> datetime:
    """The first instant of a local day, in UTC, that is not before `moment`: at midnight, that very midnight."""
    day = moment.astimezone(load_zone(zone)).date()
    midnight = local_midnight(day, zone)
    return midnight if midnight == moment else local_midnight(day + timedelta(days=1), zone)


def _days(start: datetime, end: datetime, zone: str) -> int:
    local = load_zone(zone)
    return (end.astimezone(local).date() - start.astimezone(local).date()).days


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _within_one(share: Fraction) -> Fraction:
    return min(max(share, Fraction(0)), Fraction(1))


def load_zone(name: str) -> ZoneInfo:
    """The IANA zone of that name. Raises ValueError for an unknown one."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name!r}; use an IANA name such as Europe/Berlin") from None


def day_starts(start: datetime, end: datetime, zone: str) -> Iterator[datetime]:
    """Where [start, end) is cut by local midnights, in UTC: `start` itself, then each midnight inside."""
    day, last = start.astimezone(load_zone(zone)).date(), start
    while last < end:
        yield last
        midnight = last
        while midnight <= last:  # more than once where the local calendar has skipped a day
            day += timedelta(days=1)
            midnight = local_midnight(day, zone)
        last = midnight


def hour_starts(start: datetime, end: datetime, zone: str) -> Iterator[datetime]:
    """Where [start, end) is cut by full hours of the local clock, in UTC: `start` itself, then each hour inside."""
    local = load_zone(zone)
    while start < end:
        yield start
        shown = start.astimezone(local)
        begun = timedelta(minutes=shown.minute, seconds=shown.second, microseconds=shown.microsecond)
        start += timedelta(hours=1) - begun
