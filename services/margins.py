"""The operator's margin: a report by tenant, plan, billing model or month, and the daily look for negative ones."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from inkmeter.events import MarginNegative
from services import jobs, margin_entries
from services.margin import KEYS, MarginRow, Measure, tabulate
from services.margin import MarginGroup as MarginGroup
from services.margin_places import begins_in
from services.platform import Platform
from services.problems import Problems
from services.upstream_costs import month_start, next_month
from storage.alerts import Alert, AlertKind
from storage.database import insert_new
from storage.jobs import SYSTEM, Job, advance_job
from storage.subscriptions import PeriodState, slice_periods
from storage.tenants import Tenant, find_tenants
from storage.upstream import current_bills

log = logging.getLogger("inkmeter.margins")

CHECK: Final = "margin.check"
CHECK_EVERY: Final = timedelta(days=1)
MAX_MONTHS: Final = 120
WATCHED_MONTHS: Final = 14
"""So far back a daily look goes: what began in a month may last for a year."""


@dataclass(frozen=True, slots=True)
class MarginReport:
    """The rows of a table, and what they come to: one total for each currency.

    `has_bills` says whether any bill of SignNow's covers a part of the span: without one no cost is actual.
    """

    rows: Sequence[MarginRow]
    totals: Sequence[MarginRow]
    tenants: Sequence[Tenant]
    has_bills: bool


async def read_margin(
    platform: Platform, first: date, end: date, group: MarginGroup, currency: str | None = None
) -> MarginReport:
    """The margin of the months in [first, end), in one currency or all; each row is of one currency.

    Raises InvalidInput, and what rating raises.
    """
    check_months(first, end)
    entries = [e for e in await margin_entries.collect(platform, first, end) if currency in (None, e.currency)]
    found = tabulate(entries, KEYS[group])
    keys = [row.key for row in found if row.key is not None]
    tenants = await find_tenants(keys) if group is MarginGroup.TENANT else []
    bills = await current_bills(first.isoformat(), end.isoformat())
    return MarginReport(found, tabulate(entries, lambda _: None), tenants, bool(bills))


def check_months(first: date, end: date) -> None:
    """Raises InvalidInput unless it is a span of whole months."""
    problems = Problems()
    for name, day in (("from", first), ("to", end)):
        problems.check(day.day == 1 and 1970 <= day.year < 9000, "is the first day of a month", "period", name)
    count = (end.year - first.year) * 12 + end.month - first.month
    problems.check(1 <= count <= MAX_MONTHS, f"is 1 to {MAX_MONTHS} months after its start", "period", "to")
    problems.refuse()


async def schedule_check(platform: Platform) -> None:
    """Add the daily look; once in a database."""
    await jobs.add_job(platform, tenant_id=SYSTEM, topic=CHECK, dedup="daily", run_in=CHECK_EVERY)


async def check_margins(platform: Platform, job: Job) -> None:
    """The job that looks once a day for tenants that cost more than they bring, month by month."""
    for month in watched_months(platform):
        await find_negative_margins(platform, month)
        await advance_job(job, {"after": month}, platform.clock.now())
    raise jobs.NotYet("looked at; the next look is tomorrow", CHECK_EVERY)


def watched_months(platform: Platform) -> list[str]:
    """The months before this one that a daily look goes through, the last one first."""
    this = platform.clock.now().date()
    count = this.year * 12 + this.month - 1
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in range(count - 1, count - 1 - WATCHED_MONTHS, -1)]


async def find_negative_margins(platform: Platform, month: str) -> list[Alert]:
    """Alert about every tenant that cost more than it brought in a month that is over, each once; the new alerts.

    A tenant's month is over when every period that began in it is closed: before, there is usage to come. One with
    amounts in several currencies cannot be judged.
    """
    now = platform.clock.now()
    first, end = (month_start(each).date() for each in (month, next_month(month)))
    entries = await margin_entries.collect(platform, first, end)
    running = await _running_tenants(month)
    alerts = []
    for row in tabulate(entries, KEYS[MarginGroup.TENANT]):
        if row.key is not None and row.key not in running and not row.also_in and row.margin().minor < 0:
            alert = _alert(platform, row.key, month, row)
            if await insert_new(alert, ["tenant_id", "kind", "meter", "since", "percent"]):
                alerts.append(alert)
                tenant = await Tenant.get(id=row.key)
                revenue, cost = row.money(Measure.RATED), row.money(Measure.DECLARED)
                log.warning("tenant %s brought %s in %s and cost %s", tenant.public_id, revenue, month, cost)
                await platform.plugins.publish(MarginNegative(str(tenant.public_id), now, month, revenue, cost))
    return alerts


async def _running_tenants(month: str) -> set[int]:
    """Those with an open period that began in the month."""
    start, end = month_start(month) - timedelta(days=1), month_start(next_month(month)) + timedelta(days=1)
    slices = slice_periods(state=PeriodState.OPEN, starts_at__gte=start, starts_at__lt=end)
    return {
        period.tenant_id
        async for found, subscriptions in slices
        for period in found
        if begins_in(period, subscriptions[period.subscription_id]) == month
    }


def _alert(platform: Platform, tenant_id: int, month: str, row: MarginRow) -> Alert:
    return Alert(
        tenant_id=tenant_id,
        kind=AlertKind.MARGIN,
        meter="",
        since=month_start(month),
        percent=100,
        value=row.money(Measure.DECLARED).minor,
        bound=row.money(Measure.RATED).minor,
        currency=row.currency,
        created_at=platform.clock.now(),
    )
