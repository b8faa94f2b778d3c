"""Reading usage: what a period has come to, from the counters now, or from the events as they were known then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from inkmeter.errors import InvalidInput, Problem
from inkmeter.usage import Meter
from services import meters, subscriptions
from services.counters import recount
from services.levels import Asked, read_levels
from services.measures import SEATS, MeterBook, billable
from services.platform import Platform
from services.problems import Problems
from storage import counters as stored
from storage.database import transaction
from storage.fields import to_micros
from storage.subscriptions import Period, Phase, enter_period, phases_of
from storage.tenants import Tenant
from storage.usage import ALWAYS, Counter, counters_of, list_events, read_counters
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
    phases = {period.subscription_id: await phases_of(period.tenant_id, period.subscription_id)}
    levels = await read_levels(book, [(period, until)], phases, known_at=known_at)
    found = {**sums, **{code: Counter(used=units) for code, units in levels[period.id].items()}}
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
    phases = {period.subscription_id: await phases_of(period.tenant_id, period.subscription_id)}
    return (await billed_units_of(platform, [(period, until)], phases))[period.id]


async def billed_units_of(
    platform: Platform, asked: Sequence[Asked], phases: Mapping[UUID, Sequence[Phase]]
) -> dict[UUID, dict[str, Decimal]]:
    """The same of many periods, by period, in a number of queries that does not depend on theirs: of a few hundred at
    a time. `phases` are those of their subscriptions.
    """
    book = await meters.refresh(platform)
    asked = [(period, min(until, period.ends_at)) for period, until in asked]
    counters = await counters_of([period for period, _ in asked])
    levels = await read_levels(book, asked, phases)
    found = {}
    for period, _ in asked:
        units = {code: counter.used - counter.credited for code, counter in counters[period.id].items()}
        units |= levels[period.id]
        found[period.id] = {code: billable(book[code], used) for code, used in units.items() if code in book}
    return found


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
