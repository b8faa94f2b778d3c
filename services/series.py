"""Usage over time, for charts: cut into local hours or days, and by the values of a property."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final, NoReturn

from inkmeter.errors import InvalidInput, Problem
from inkmeter.periods import day_starts, hour_starts, load_zone
from inkmeter.usage import Aggregation, Meter
from services import meters
from services.intake import MAX_PROPERTY_NAME
from services.levels import level_before, level_of, seat_steps
from services.measures import LEVELS, SEATS, MeterBook, takes_all
from services.platform import Platform
from services.problems import Problems
from services.tallies import Levels, Step, Tally
from storage.fields import from_micros, to_micros
from storage.subscriptions import Subscription, phases_of
from storage.tenants import Tenant
from storage.usage import bucket_sums, standing_events

MAX_SPAN: Final = timedelta(days=400)
MAX_POINTS: Final = 10_000
_FIRST_DAY: Final = datetime(2000, 1, 1, tzinfo=UTC)
_WINDOW: Final = to_micros(datetime(1970, 1, 8, tzinfo=UTC))
_MAX_SLOTS: Final = 200_000
Cell = tuple[int, str | None]
"""The number of a cut, and a value of the property."""


class SeriesStep(StrEnum):
    """How long a point lasts; TOTAL is all of it."""

    HOUR = "HOUR"
    DAY = "DAY"
    TOTAL = "TOTAL"


@dataclass(frozen=True, slots=True)
class SeriesRequest:
    """[start, end) of a meter; `zone` is the subscription's if it is missing."""

    meter: str
    start: datetime
    end: datetime
    by: SeriesStep
    group_by: str | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """What a meter has come to in [start, end), in 10^-decimals units, for a value of the property."""

    start: datetime
    end: datetime
    group: str | None
    used: int


@dataclass(frozen=True, slots=True)
class Series:
    """Points in the order of time; those of groups only where there was usage."""

    meter: Meter
    points: Sequence[Point]


async def read_series(platform: Platform, tenant: Tenant, request: SeriesRequest) -> Series:
    """Usage over time. Raises InvalidInput, also for more than can be shown."""
    book = await meters.find_meters(platform, request.meter)
    last = await Subscription.filter(tenant_id=tenant.id).order_by("-started_at").first()
    zone = request.zone or (last.zone if last is not None else "UTC")
    now = platform.clock.now()
    _check(book, request, zone, now)
    meter, cuts = book[request.meter], _cuts(request, zone)
    if SEATS in (meter.code, meter.source):
        points = _levels(meter, cuts, *await _seats(book, meter, last, cuts, now), to_micros(now))
    elif meter.aggregation in LEVELS:
        points = _levels(meter, cuts, *await _reported(book, meter, tenant, cuts, now), to_micros(now))
    elif takes_all(meter):
        points = await _added_up(meter, tenant, cuts, request.group_by)
    else:
        points = await _counted(meter, tenant, cuts, request.group_by)
    return Series(meter, points)


def _check(book: MeterBook, request: SeriesRequest, zone: str, now: datetime) -> None:
    problems = Problems()
    if problems.check_meter(book, request.meter, "meter") and request.group_by is not None:
        meter = book[request.meter]
        is_level = meter.aggregation in LEVELS or SEATS in (meter.code, meter.source)
        problems.check(not is_level, "a level is one for all: it cannot be grouped", "groupByProperty")
        is_name = 1 <= len(request.group_by) <= MAX_PROPERTY_NAME
        is_name = is_name and request.group_by.isascii() and request.group_by.isprintable()
        problems.check(is_name, "is the name of a property", "groupByProperty")
    problems.check(request.start < request.end, "lies before `to`", "from")
    problems.check(request.start >= _FIRST_DAY, f"is not before {_FIRST_DAY:%Y}", "from")
    problems.check(request.end <= now + MAX_SPAN, "lies too far in the future", "to")
    rule = f"is at most {MAX_SPAN.days} days after `from`: ask for parts"
    problems.check(request.end - request.start <= MAX_SPAN, rule, "to")
    try:
        load_zone(zone)
    except ValueError as error:
        problems.add(str(error), "zone")
    problems.refuse()


def _cuts(request: SeriesRequest, zone: str) -> list[int]:
    """The beginnings of the points in µs, and the end of the last."""
    if request.by is SeriesStep.TOTAL:
        starts = [request.start]
    else:
        cut = hour_starts if request.by is SeriesStep.HOUR else day_starts
        starts = list(cut(request.start, request.end, zone))
    if len(starts) > MAX_POINTS:
        raise InvalidInput([Problem(("by",), f"makes more than {MAX_POINTS} points: ask for less time")])
    return [to_micros(moment) for moment in (*starts, request.end)]


async def _added_up(meter: Meter, tenant: Tenant, cuts: Sequence[int], group_by: str | None) -> list[Point]:
    """Of a meter that takes all events: the database adds up quarters of an hour, which no hour or day divides."""
    tallies: dict[Cell, Tally] = {}
    for start in range(cuts[0], cuts[-1], _WINDOW):
        end = min(start + _WINDOW, cuts[-1])
        slots = await bucket_sums(
            tenant.id, meter.source or meter.code, start, end, group_by=group_by, most=_MAX_SLOTS + 1
        )
        if len(slots) > _MAX_SLOTS:
            _refuse_groups()
        for slot in slots:
            _tally(tallies, meter, (_place(cuts, max(slot.at, start)), slot.group)).add(slot.total, slot.events)
    return _points(meter, cuts, tallies, is_grouped=group_by is not None)


async def _counted(meter: Meter, tenant: Tenant, cuts: Sequence[int], group_by: str | None) -> list[Point]:
    """Of any other meter: each event is looked at."""
    tallies: dict[Cell, Tally] = {}
    async for event in standing_events(tenant.id, meter.source or meter.code, cuts[0], cuts[-1]):
        group = event.properties.get(group_by) if group_by is not None else None
        _tally(tallies, meter, (_place(cuts, event.occurred_at), group)).count(event.quantity, event.properties)
    return _points(meter, cuts, tallies, is_grouped=group_by is not None)


def _place(cuts: Sequence[int], moment: int) -> int:
    return bisect_right(cuts, moment) - 1


def _tally(tallies: dict[Cell, Tally], meter: Meter, cell: Cell) -> Tally:
    if cell not in tallies:
        if len(tallies) >= MAX_POINTS:
            _refuse_groups()
        tallies[cell] = Tally(meter)
    return tallies[cell]


def _refuse_groups() -> NoReturn:
    why = f"has so many values that there are more than {MAX_POINTS} points: ask for less time, or longer steps"
    raise InvalidInput([Problem(("groupByProperty",), why)])


def _points(meter: Meter, cuts: Sequence[int], tallies: dict[Cell, Tally], *, is_grouped: bool) -> list[Point]:
    if is_grouped:
        cells = sorted(tallies, key=lambda cell: (cell[0], cell[1] is not None, cell[1] or ""))
    else:
        cells = [(number, None) for number in range(len(cuts) - 1)]
    return [
        _point(cuts, number, tallies[number, group].used if (number, group) in tallies else 0, group)
        for number, group in cells
    ]


def _point(cuts: Sequence[int], number: int, used: int, group: str | None = None) -> Point:
    return Point(from_micros(cuts[number]), from_micros(cuts[number + 1]), group, used)


async def _seats(
    book: MeterBook, meter: Meter, subscription: Subscription | None, cuts: Sequence[int], now: datetime
) -> tuple[int, list[Step]]:
    if subscription is None:
        return 0, []
    phases = await phases_of(subscription.tenant_id, subscription.id)
    return seat_steps(book, meter, phases, cuts[0], min(cuts[-1], to_micros(now) + 1))


async def _reported(
    book: MeterBook, meter: Meter, tenant: Tenant, cuts: Sequence[int], now: datetime
) -> tuple[int, list[Step]]:
    # A reporter's clock may be a little ahead: its level counts as the latest, but has not lasted yet.
    end = cuts[-1] if meter.aggregation is Aggregation.LATEST else min(cuts[-1], to_micros(now) + 1)
    steps = [
        (event.occurred_at, level)
        async for event in standing_events(tenant.id, meter.source or meter.code, cuts[0], end)
        if (level := level_of(book, meter, event)) is not None
    ]
    return await level_before(book, meter, tenant.id, cuts[0]), steps


def _levels(meter: Meter, cuts: Sequence[int], carried: int, steps: Sequence[Step], now: int) -> list[Point]:
    """A level holds from one step to the next, over all cuts between them; what is to come has none."""
    points = []
    levels, waiting = Levels(meter, carried, cuts[0]), iter([*steps, (cuts[-1], 0)])
    at, level = next(waiting)
    for number, (start, end) in enumerate(pairwise(cuts)):
        if start > now:
            break
        while at <= start:
            levels.step(at, level)
            at, level = next(waiting)
        levels.begin(start)
        while at < end:
            levels.step(at, level)
            at, level = next(waiting)
        points.append(_point(cuts, number, levels.used(min(end, max(now, start)))))
    return points
