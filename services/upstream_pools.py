"""One pool of invites for all tenants: who used how much of it, their parts of the fixed cost, how long it lasts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from inkmeter.errors import Conflict
from inkmeter.money import Money
from services import upstream_costs
from services.margin import percent_of, share_out
from services.platform import Platform
from services.problems import Problems
from services.upstream_costs import CostTable, month_of, month_start, next_month
from storage.database import transaction
from storage.tenants import Tenant, find_tenants
from storage.upstream import InvitePool as InvitePool
from storage.upstream import put_pool
from storage.upstream_events import upstream_events

RECENT: Final = timedelta(days=30)
"""The days on which the forecast is made."""
MAX_DRIVERS: Final = 5
MAX_UNITS: Final = 10**12
"""The most invites of a pool."""


@dataclass(frozen=True, slots=True)
class PoolShare:
    """A tenant's part of a pool: `used` of it since it began, `recent` units in the last 30 days and `before` in the
    30 days before those.
    """

    tenant: Tenant
    used: int
    recent: int
    before: int
    percent: Decimal | None
    fixed_cost: Money

    @property
    def growth(self) -> int:
        return self.recent - self.before


@dataclass(frozen=True, slots=True)
class PoolDriver:
    """A tenant that uses up the pool: its part of the recent use, and of the growth of all that grew."""

    share: PoolShare
    percent_of_use: Decimal | None
    percent_of_growth: Decimal | None


@dataclass(frozen=True, slots=True)
class PoolReport:
    """A pool at a moment. `exhausts_at` is None if it lasts to its end at the pace of the last 30 days."""

    pool: InvitePool
    used: int
    fixed_cost: Money
    exhausts_at: datetime | None
    shares: Sequence[PoolShare]
    drivers: Sequence[PoolDriver]

    @property
    def remaining(self) -> int:
        """Units left; negative where more were used than the pool has."""
        return int(self.pool.units) - self.used


async def set_pool(platform: Platform, units: int, first: date, end: date) -> InvitePool:
    """Say how many invites SignNow's plan includes in [first, end), days in UTC.

    Said again for the same first day it takes the place of what was said. Raises InvalidInput, and Conflict where
    another pool has one of these days.
    """
    problems = Problems()
    problems.check(1 <= units <= MAX_UNITS, f"is a number from 1 to {MAX_UNITS}", "units")
    problems.check(first < end, "is after from", "to")
    problems.check(first.year >= 1970 and end.year < 9000, "is from 1970 to 8999", "from")
    problems.refuse()
    days = first.isoformat(), end.isoformat()
    pool = InvitePool(starts_on=days[0], ends_on=days[1], units=units, updated_at=platform.clock.now())
    async with transaction():
        await put_pool(pool)
        others = await InvitePool.filter(starts_on__lt=days[1], ends_on__gt=days[0]).exclude(starts_on=days[0])
        if others:
            raise Conflict(f"the pool from {others[0].starts_on} to {others[0].ends_on} has some of these days")
    return await InvitePool.get(starts_on=days[0])


async def read_pool(platform: Platform, at: date | None = None) -> PoolReport | None:
    """The pool of a day, of today if none is named, as it stands now; None if there is none."""
    now = platform.clock.now()
    day = (at or now.date()).isoformat()
    pool = await InvitePool.filter(starts_on__lte=day, ends_on__gt=day).order_by("-starts_on").first()
    if pool is None:
        return None
    start, end = (datetime.combine(date.fromisoformat(on), time(), UTC) for on in (pool.starts_on, pool.ends_on))
    seen = min(now, end)
    until = min(now + timedelta(microseconds=1), end)  # what is used at this very moment is used
    used, recent, before = dict[int, int](), dict[int, int](), dict[int, int]()
    async for event in upstream_events(min(start, seen - 2 * RECENT), until):
        recently = seen - RECENT
        for sums, since, to in ((used, start, until), (recent, recently, until), (before, recently - RECENT, recently)):
            if event.units and since <= event.occurred_at < to:
                sums[event.tenant_id] = sums.get(event.tenant_id, 0) + event.units
    table = await upstream_costs.load_table(platform)
    fixed = _fixed_cost(table, start, seen)
    shares = await _shares(used, recent, before, fixed)
    total = sum(used.values())
    exhausts_at = _exhausts_at(pool.units - total, sum(recent.values()), max(seen, start), end)
    return PoolReport(pool, total, fixed, exhausts_at, shares, _drivers(shares))


def _fixed_cost(table: CostTable, start: datetime, until: datetime) -> Money:
    """The monthly fees of the months that begin in the pool's days, until now; all that are in the default currency."""
    total, month = Money.zero(table.default.currency), month_of(start)
    while month_start(month) < until:
        fee = table.monthly_fee(month)
        if month_start(month) >= start and fee.currency == total.currency:
            total += fee
        month = next_month(month)
    return total


def _exhausts_at(left: int, recent: int, now: datetime, end: datetime) -> datetime | None:
    """When the last unit goes at the pace of the last 30 days; now if none is left. A pool that has not begun yet is
    used from its first day on: `now` is that day.
    """
    if left <= 0:
        return now
    if not recent:
        return None
    # In whole numbers: what a large pool would last is more than a timedelta can hold.
    wait = left * _micros(RECENT) // recent
    return now + timedelta(microseconds=wait) if wait < _micros(end - now) else None


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


async def _shares(
    used: Mapping[int, int], recent: Mapping[int, int], before: Mapping[int, int], fixed: Money
) -> list[PoolShare]:
    costs, total = share_out(fixed.minor, used), sum(used.values())
    tenants = await find_tenants({*used, *recent, *before}) if used or recent else []
    return [
        PoolShare(
            tenant,
            used.get(tenant.id, 0),
            recent.get(tenant.id, 0),
            before.get(tenant.id, 0),
            percent_of(used.get(tenant.id, 0), total),
            Money(costs.get(tenant.id, 0), fixed.currency),
        )
        for tenant in tenants
    ]


def _drivers(shares: Sequence[PoolShare]) -> list[PoolDriver]:
    used = sum(share.recent for share in shares)
    grown = sum(max(share.growth, 0) for share in shares)
    most = sorted((s for s in shares if s.recent), key=lambda s: (-s.recent, s.tenant.id))[:MAX_DRIVERS]
    return [PoolDriver(s, percent_of(s.recent, used), percent_of(max(s.growth, 0), grown)) for s in most]
