"""Reading usage: what a period has come to, from the counters now, or from the events as they were known then."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from inkmeter.errors import InvalidInput, Problem
from inkmeter.usage import Aggregation, Meter
from services import meters, subscriptions
from services.counters import recount
from services.measures import LEVELS, SEATS, MeterBook, added, billable
from services.platform import Platform
from services.problems import Problems
from services.tallies import Levels, Step, over
from storage import counters as stored
from storage.database import transaction
from storage.fields import to_micros
from storage.subscriptions import Period, Phase, enter_period, phases_of
from storage.tenants import Tenant
from storage.usage import ALWAYS, Counter, Standing, list_events, read_counters, standing_events
from storage.usage import ListedEvent as ListedEvent


@dataclass(frozen=True, slots=True)
class MeterUsage:
    """A meter's sums in a period, in 10^-decimals units. `credited` of those used were paid for with credits."""

    meter: Meter
    used: int
    reserved: int
    credited: int


@dataclass(frozen=True, slots=True)
class UsageReading:
    """What a period has come to."""

    period: Period
    meters: Sequence[MeterUsage]


async def read_usage(
    platform: Platform, tenant: Tenant, *, at: datetime | None = None, as_of: datetime | None = None
) -> UsageReading:
    """Every meter of the period that contains `at`, the present one if it is missing; `as_of` a moment, what was known
    then. Raises InvalidInput for the future, SubscriptionInactive for a moment that no subscription covers.
    """
    now = platform.clock.now()
    for name, moment in (("at", at), ("asOf", as_of)):
        if moment is not None and moment > now:
            raise InvalidInput([Problem((name,), "lies in the future")])
    if at is None:
        _, period = await subscriptions.require_current(platform, tenant.id)
    else:
        period = await subscriptions.ensure_period(platform, tenant.id, at)
    book = await meters.refresh(platform)
    if as_of is None:
        sums = await read_counters(tenant.id, period.starts_at)
    else:
        sums = await _sums_known_at(book, period, as_of)
    known_at = ALWAYS if as_of is None else to_micros(as_of)
    until = min(as_of or now, period.ends_at)
    levels = await read_levels(book, period, until, known_at=known_at)
    found = {**sums, **{code: Counter(used=units) for code, units in levels.items()}}
    return UsageReading(
        period,
        [
            MeterUsage(meter, counter.used, counter.reserved, counter.credited)
            for meter in book.meters.values()
            for counter in [found.get(meter.code, Counter())]
        ],
    )


async def _sums_known_at(book: MeterBook, period: Period, moment: datetime) -> dict[str, Counter]:
    """The counters as they would have stood at a moment, from the events that were recorded by then."""
    async with transaction():
        # A batch in flight was decided before this moment, perhaps: it is waited for. Later ones are recorded later.
        await enter_period(period.tenant_id, period.starts_at)
    key, at = (period.tenant_id, to_micros(period.starts_at)), to_micros(moment)
    tallies = await recount(book, period.tenant_id, period.span, known_at=at)
    held = await stored.held_units_at(*key, at)
    paid = await stored.credited_units(*key, at)
    return {
        code: Counter(tallies[code].used if code in tallies else 0, held.get(code, 0), paid.get(code, 0))
        for code in {*tallies, *held, *paid}
    }


async def billed_units(platform: Platform, period: Period, until: datetime) -> dict[str, Decimal]:
    """The quantity of each meter that a period is billed for, up to a moment: without what credits have paid for, and
    with fractions rounded as the meter says.

    Inside the transaction that holds the period's lock, they are what they stay.
    """
    book = await meters.refresh(platform)
    counters = await read_counters(period.tenant_id, period.starts_at)
    units = {code: counter.used - counter.credited for code, counter in counters.items()}
    units |= await read_levels(book, period, min(until, period.ends_at))
    return {code: billable(book[code], used) for code, used in units.items() if code in book}


async def read_levels(book: MeterBook, period: Period, until: datetime, *, known_at: int = ALWAYS) -> dict[str, int]:
    """The meters that have no counter, worked out up to a moment: levels from their events, seats from the phases."""
    start, now = to_micros(period.starts_at), to_micros(until)
    end = to_micros(period.ends_at)
    found = {}
    phases: list[Phase] | None = None
    for meter in book.meters.values():
        if SEATS in (meter.code, meter.source):
            if phases is None:
                phases = await phases_of(period.tenant_id, period.subscription_id)
            carried, steps = seat_steps(book, meter, phases, start, min(now + 1, end), known_at)
            found[meter.code] = over(meter, carried, steps, start, now)
        elif meter.aggregation in LEVELS:
            # The last level is the one that was reported last, though the reporter's clock may be a little ahead.
            last = end if meter.aggregation is Aggregation.LATEST else now
            found[meter.code] = await _level(book, meter, period.tenant_id, start, last, known_at)
    return found


async def _level(book: MeterBook, meter: Meter, tenant_id: int, start: int, end: int, known_at: int) -> int:
    if meter.aggregation is Aggregation.LATEST:
        return await level_before(book, meter, tenant_id, end, known_at=known_at)
    levels = Levels(meter, await level_before(book, meter, tenant_id, start, known_at=known_at), start)
    source = meter.source or meter.code
    async for event in standing_events(tenant_id, source, start, end, known_at=known_at):
        if (level := level_of(book, meter, event)) is not None:
            levels.step(event.occurred_at, level)
    return levels.used(end)


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


async def list_usage_events(
    platform: Platform, tenant: Tenant, code: str, after: tuple[int, UUID] | None, limit: int
) -> tuple[Meter, Sequence[ListedEvent]]:
    """The events that feed a meter, oldest first after (µs, id), and the meter in whose units they are counted.

    Raises InvalidInput for a meter that no events feed.
    """
    problems = Problems()
    book = await meters.find_meters(platform, code)
    if problems.check_meter(book, code, "meter"):
        problems.check(SEATS not in (code, book[code].source), "seats have no events", "meter")
    problems.refuse()
    source = book[book[code].source or code]
    return source, await list_events(tenant.id, source.code, after, limit)
