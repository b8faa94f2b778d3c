"""The meters that have no counter, worked out for many periods at once: levels from their events, seats from phases."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from inkmeter.usage import Aggregation, Meter
from services.measures import LEVELS, SEATS, MeterBook, added
from services.tallies import Levels, Step, over
from storage.fields import to_micros
from storage.levels import Before, last_before, standing_of_many
from storage.subscriptions import Period, Phase
from storage.usage import ALWAYS, Standing, standing_events

_ROUNDS: Final = 10
"""So often events are passed over whose property is no number, which SQL cannot tell, for all tenants at once; where
there are more of them, one tenant after the other is looked through.
"""

Asked = tuple[Period, datetime]
"""A period, and the moment up to which its usage is asked for, its end at the latest."""


async def read_levels(
    book: MeterBook, asked: Sequence[Asked], phases: Mapping[UUID, Sequence[Phase]], *, known_at: int = ALWAYS
) -> dict[UUID, dict[str, int]]:
    """The meters of levels and seats by period, each up to its moment, as known at a moment (µs). `phases` are those of
    the periods' subscriptions; periods of one tenant do not overlap.

    So many queries for each meter of levels, however many periods there are, of which a few hundred come at a time.
    """
    found: dict[UUID, dict[str, int]] = {period.id: {} for period, _ in asked}
    for meter in book.meters.values():
        if SEATS in (meter.code, meter.source):
            for period, until in asked:
                known = phases[period.subscription_id]
                found[period.id][meter.code] = _seats(book, meter, known, period, until, known_at)
        elif meter.aggregation in LEVELS:
            for period_id, units in (await _read_meter(book, meter, asked, known_at)).items():
                found[period_id][meter.code] = units
    return found


def _seats(
    book: MeterBook, meter: Meter, phases: Sequence[Phase], period: Period, until: datetime, known_at: int
) -> int:
    start, now, end = map(to_micros, (period.starts_at, until, period.ends_at))
    carried, steps = seat_steps(book, meter, phases, start, min(now + 1, end), known_at)
    return over(meter, carried, steps, start, now)


async def _read_meter(book: MeterBook, meter: Meter, asked: Sequence[Asked], known_at: int) -> dict[UUID, int]:
    if meter.aggregation is Aggregation.LATEST:
        # The last level is the one that was reported last, though the reporter's clock may be a little ahead.
        ends = {period.id: (period.tenant_id, to_micros(period.ends_at)) for period, _ in asked}
        last = await _levels_before(book, meter, set(ends.values()), known_at)
        return {period_id: last[end] for period_id, end in ends.items()}
    starts = {period.id: (period.tenant_id, to_micros(period.starts_at)) for period, _ in asked}
    carried = await _levels_before(book, meter, set(starts.values()), known_at)
    levels = {period.id: Levels(meter, carried[starts[period.id]], starts[period.id][1]) for period, _ in asked}
    spans: dict[int, list[tuple[int, int, UUID]]] = {}
    for period, until in asked:
        span = (to_micros(period.starts_at), to_micros(until), period.id)
        spans.setdefault(period.tenant_id, []).append(span)
    for own in spans.values():
        own.sort()
    first = min((own[0][0] for own in spans.values()), default=0)
    end = max((until for own in spans.values() for _, until, _ in own), default=0)
    source = meter.source or meter.code
    async for tenant_id, event in standing_of_many(list(spans), source, first, end, known_at=known_at):
        own = spans[tenant_id]
        at = bisect_right(own, event.occurred_at, key=lambda span: span[0]) - 1
        if at >= 0 and event.occurred_at < own[at][1] and (level := level_of(book, meter, event)) is not None:
            levels[own[at][2]].step(event.occurred_at, level)
    return {period_id: levels[period_id].used(until) for own in spans.values() for _, until, period_id in own}


async def _levels_before(book: MeterBook, meter: Meter, asked: set[Before], known_at: int) -> dict[Before, int]:
    """The last level before each moment; zero before the first."""
    shown: dict[str, Sequence[str]] = {name: sorted(values) for name, values in meter.filters.items()}
    if meter.property is not None:
        shown.setdefault(meter.property, ())
    source, found = meter.source or meter.code, dict[Before, int]()
    left, passed = {one: one for one in asked}, set[UUID]()
    for _ in range(_ROUNDS):
        last = await last_before(source, set(left.values()), shown, besides=passed, known_at=known_at)
        further = {}
        for one, before in left.items():
            event_id, event = last.get(before, (None, None))
            level = level_of(book, meter, event) if event is not None else 0
            if level is not None:
                found[one] = level
            elif event_id is not None and event is not None:
                passed.add(event_id)
                further[one] = (one[0], event.occurred_at + 1)  # there may be others of the same moment
        left = further
        if not left:
            break
    for tenant_id, moment in left:
        found[tenant_id, moment] = await level_before(book, meter, tenant_id, moment, known_at=known_at)
    return found


async def level_before(book: MeterBook, meter: Meter, tenant_id: int, moment: int, *, known_at: int = ALWAYS) -> int:
    """The last level that was reported before a moment (µs); zero before the first."""
    source = meter.source or meter.code
    async for event in standing_events(tenant_id, source, -ALWAYS, moment, known_at=known_at, newest_first=True):
        if (level := level_of(book, meter, event)) is not None:
            return level
    return 0


def level_of(book: MeterBook, meter: Meter, event: Standing) -> int | None:
    """The level that an event reports to a meter; None if it does not count there."""
    level = added(meter, event.quantity, event.properties)
    return None if level is None else level * _fineness(book, meter)


def _fineness(book: MeterBook, meter: Meter) -> int:
    """An average may be finer than the levels that it is made of."""
    if meter.source is None or meter.property is not None:
        return 1
    return int(10 ** (meter.decimals - book[meter.source].decimals))


def seat_steps(
    book: MeterBook, meter: Meter, phases: Sequence[Phase], start: int, end: int, known_at: int = ALWAYS
) -> tuple[int, list[Step]]:
    """The seats before a span and each change within it, in the meter's units, of the phases known at a moment (µs)."""
    known = [phase for phase in phases if to_micros(phase.created_at) <= known_at]
    if not known:
        return 0, []
    fineness = _fineness(book, meter)
    begun = [phase for phase in known if to_micros(phase.starts_at) <= start]
    carried = (begun[-1] if begun else known[0]).seats * fineness
    within = [(to_micros(phase.starts_at), phase.seats * fineness) for phase in known]
    return carried, [(at, seats) for at, seats in within if start < at < end]
