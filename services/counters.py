"""Counters held against the events, operations and credits that they stand for: rebuilt, backfilled, and checked daily.

A period is compared without its lock first, so that nobody waits; only what differs is looked at again under it.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from inkmeter.periods import BillingPeriod
from inkmeter.usage import Meter
from services import counter_differences, jobs, meters
from services.counter_differences import Difference as Difference
from services.counter_differences import Sum as Sum
from services.measures import LEVELS, SEATS, MeterBook, takes_all
from services.platform import Platform
from services.tallies import Tally
from storage import counters as stored
from storage.counters import PeriodKey
from storage.database import transaction
from storage.fields import from_micros, to_micros
from storage.jobs import SYSTEM, Job, advance_job, waiting_jobs
from storage.meters import meter_ages
from storage.subscriptions import Period, enter_period
from storage.tenants import Tenant
from storage.usage import ALWAYS, Counter, read_counters, standing_events, sum_and_count

CHECK: Final = "counters.check"
CHECK_EVERY: Final = timedelta(days=1)
_SLICE: Final = 20
_FIRST: Final = (-1, -ALWAYS)


@dataclass(frozen=True, slots=True)
class Report:
    """What a rebuild has found, over so many periods."""

    periods: int
    differences: Sequence[Difference]


async def recount(
    book: MeterBook, tenant_id: int, span: BillingPeriod, *, known_at: int = ALWAYS, only: str | None = None
) -> dict[str, Tally]:
    """Count a period's events anew, as known at a moment (µs): the tallies of all meters that they feed, or of one.

    Levels and seats are not counted here.
    """
    tallies: dict[str, Tally] = {}
    for code, (quantity, events) in (await sum_and_count(tenant_id, span, known_at=known_at)).items():
        fed = [Tally(m) for m in book.fed_by(code) if m.aggregation not in LEVELS and only in (None, m.code)]
        read = [tally for tally in fed if not takes_all(tally.meter)]
        for tally in fed:
            tallies[tally.meter.code] = tally
            if takes_all(tally.meter):
                tally.add(quantity, events)
        if read:
            bounds = to_micros(span.start), to_micros(span.end)
            async for event in standing_events(tenant_id, code, *bounds, known_at=known_at):
                for tally in read:
                    tally.count(event.quantity, event.properties)
    return tallies


async def rebuild_counters(platform: Platform, tenant: Tenant | None, *, check: bool = False) -> Report:
    """Compare the counters of every period, of a tenant or of all, and put them right unless it is only a `check`."""
    book = await meters.refresh(platform)
    count, differences = 0, list[Difference]()
    tenants: dict[int, None] = {tenant.id: None} if tenant else {}
    async for period in _periods(tenant):
        count += 1
        tenants[period.tenant_id] = None
        found = await _settle(book, period, repair=not check)
        await counter_differences.resolve_period(platform, period, found if check else ())
        differences += found
    for tenant_id in tenants:
        found = await _settle_grants(tenant_id, repair=not check)
        await counter_differences.resolve_grants(platform, tenant_id, found if check else ())
        differences += found
    return Report(count, differences)


async def _periods(tenant: Tenant | None) -> AsyncIterator[PeriodKey]:
    tenant_id, starts_at = (tenant.id, -ALWAYS) if tenant else _FIRST
    is_one = tenant is not None
    while found := await stored.periods_after(tenant_id, starts_at, _SLICE, only_open=False, only_tenant=is_one):
        for period in found:
            yield period
        tenant_id, starts_at = found[-1].tenant_id, found[-1].starts_at


async def _settle(book: MeterBook, period: PeriodKey, *, repair: bool) -> list[Difference]:
    """What differs in a period, under its lock, and put right if it shall be."""
    if not await _compare(book, period, is_check=not repair):
        return []
    async with transaction():
        await enter_period(period.tenant_id, from_micros(period.starts_at), strength="UPDATE")
        found = await _compare(book, period, is_check=not repair)
        if repair:
            await _repair(period, found)
    return found


async def _compare(book: MeterBook, period: PeriodKey, *, is_check: bool) -> list[Difference]:
    key = (period.tenant_id, period.starts_at)
    start = from_micros(period.starts_at)
    says = await read_counters(period.tenant_id, start)
    shown = await stored.read_values(*key)
    tallies = await recount(book, period.tenant_id, BillingPeriod(start, from_micros(period.ends_at)))
    held, paid = await stored.held_units(*key), await stored.credited_units(*key, ALWAYS)
    found: list[Difference] = []
    for meter in await _comparable(book, period, is_check=is_check):
        code, counter = meter.code, says.get(meter.code, Counter())
        tally = tallies.get(code) or Tally(meter)
        for what, is_, must in (
            (Sum.USED, counter.used, tally.used),
            (Sum.RESERVED, counter.reserved, held.get(code, 0)),
            (Sum.CREDITED, counter.credited, paid.get(code, 0)),
        ):
            if is_ != must:
                found.append(Difference(period.tenant_id, start, code, what, is_, must))
        known = {value: events for (m, value), events in shown.items() if m == code}
        for value in sorted({*known, *tally.values}):
            is_, must = known.get(value, 0), tally.values.get(value, 0)
            if is_ != must:
                found.append(Difference(period.tenant_id, start, code, Sum.VALUE, is_, must, value))
    return found


async def _comparable(book: MeterBook, period: PeriodKey, *, is_check: bool) -> list[Meter]:
    """The meters that have counters. To a check those are nothing new that are younger than the period's close, or
    whose backfill is still to come.
    """
    counted = [m for m in book.meters.values() if m.aggregation not in LEVELS and SEATS not in (m.code, m.source)]
    if not is_check:
        return counted
    ages, coming = await meter_ages(), await waiting_jobs(SYSTEM, meters.BACKFILL)
    last = period.closed_at if period.closed_at is not None else ALWAYS
    return [meter for meter in counted if meter.code not in coming and ages.get(meter.code, 0) < last]


async def _repair(period: PeriodKey, found: Sequence[Difference]) -> None:
    says = await read_counters(period.tenant_id, from_micros(period.starts_at))
    key = (period.tenant_id, period.starts_at)
    for code in dict.fromkeys(difference.meter for difference in found):
        counter = says.get(code, Counter())
        sums = {Sum.USED: counter.used, Sum.RESERVED: counter.reserved, Sum.CREDITED: counter.credited}
        for difference in found:
            if difference.meter == code and difference.what is Sum.VALUE:
                await stored.set_value(*key, code, difference.of or "", difference.expected)
            elif difference.meter == code:
                sums[difference.what] = difference.expected
        await stored.set_counter(*key, code, *sums.values())


async def _settle_grants(tenant_id: int, *, repair: bool) -> list[Difference]:
    if not await stored.wrong_grants(tenant_id):
        return []
    async with transaction():
        await stored.lock_periods(tenant_id)
        wrong = await stored.wrong_grants(tenant_id)
        for grant in wrong if repair else ():
            await stored.set_remaining(tenant_id, grant.id, grant.entries)
    return [
        Difference(tenant_id, None, grant.meter, Sum.REMAINING, grant.remaining, grant.entries, str(grant.id))
        for grant in wrong
    ]


async def backfill_meter(platform: Platform, job: Job) -> None:
    """The job of a new meter: its counters of all periods that are open, from the events that are there already.

    Ingestion may go on: whoever plans a batch knows the meter as soon as it exists, and both hold the period's lock.
    """
    book = await meters.refresh(platform)
    after: tuple[int, int] = tuple(job.payload.get("after", _FIRST))
    while found := await stored.periods_after(*after, 1, only_open=True):
        [period] = found
        after = (period.tenant_id, period.starts_at)
        async with transaction():
            await enter_period(period.tenant_id, from_micros(period.starts_at), strength="UPDATE")
            await _fill(book, *after, from_micros(period.ends_at), job.dedup)
            await advance_job(job, {"after": list(after)}, platform.clock.now())
    async with jobs.completing(job):
        pass


async def backfill_period(platform: Platform, period: Period) -> None:
    """Count what no backfill has come to yet, in a period that is about to be closed: its caller holds the lock."""
    if coming := await waiting_jobs(SYSTEM, meters.BACKFILL):
        book = await meters.refresh(platform)
        for code in sorted(coming):
            await _fill(book, period.tenant_id, to_micros(period.starts_at), period.ends_at, code)


async def _fill(book: MeterBook, tenant_id: int, starts_at: int, ends_at: datetime, code: str) -> None:
    start = from_micros(starts_at)
    tally = (await recount(book, tenant_id, BillingPeriod(start, ends_at), only=code)).get(code)
    if tally is not None:
        counter = (await read_counters(tenant_id, start)).get(code, Counter())
        await stored.set_counter(tenant_id, starts_at, code, tally.used, counter.reserved, counter.credited)
        for value, events in tally.values.items():
            await stored.set_value(tenant_id, starts_at, code, value, events)


async def schedule_check(platform: Platform) -> None:
    """Add the daily check; once in a database."""
    await jobs.add_job(platform, tenant_id=SYSTEM, topic=CHECK, dedup="daily", run_in=CHECK_EVERY)


async def check_counters(platform: Platform, job: Job) -> None:
    """The job that looks at every open period once a day. What differs becomes a discrepancy; nothing is repaired."""
    book = await meters.refresh(platform)
    after: tuple[int, int] = tuple(job.payload.get("after", _FIRST))
    while found := await stored.periods_after(*after, _SLICE, only_open=True):
        for period in found:
            wrong = await _settle(book, period, repair=False)
            await counter_differences.keep(platform, wrong)
            await counter_differences.resolve_period(platform, period, wrong)
        for tenant_id in dict.fromkeys(period.tenant_id for period in found):
            wrong = await _settle_grants(tenant_id, repair=False)
            await counter_differences.keep(platform, wrong)
            await counter_differences.resolve_grants(platform, tenant_id, wrong)
        after = (found[-1].tenant_id, found[-1].starts_at)
        await advance_job(job, {"after": list(after)}, platform.clock.now())
    await advance_job(job, {}, platform.clock.now())
    raise jobs.NotYet("checked; the next look is tomorrow", CHECK_EVERY)
