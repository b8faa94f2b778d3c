"""Billing periods: half-open spans [start, end) of UTC instants, cut at local midnights of the subscription's
zone.

The anchor day is remembered: a subscription anchored on the 31st renews on 28 February and on 31 March again.
Local days exist only here; everything else compares instants.
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class Interval(StrEnum):
    """How long a billing period lasts."""

    MONTH = "MONTH"
    YEAR = "YEAR"

    @property
    def months(self) -> int:
        return 1 if self is Interval.MONTH else 12


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


def load_zone(name: str) -> ZoneInfo:
    """The IANA zone of that name. Raises ValueError for an unknown one."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name!r}; use an IANA name such as Europe/Berlin") from None
