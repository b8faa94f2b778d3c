"""The cost table: what SignNow charges for an upstream unit, and for a month of its plan, from which moment on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from inkmeter.money import Money, booked_money
from inkmeter.periods import BillingPeriod
from services.platform import Platform
from services.problems import Problems
from storage.database import transaction
from storage.upstream import CostKind as CostKind
from storage.upstream import UnitKind as UnitKind
from storage.upstream import UpstreamRate as UpstreamRate
from storage.upstream import put_rate
from storage.upstream_events import upstream_events

OF_UNITS: Final = (CostKind.FIELD_INVITE, CostKind.FREE_FORM_SIGNER)
"""What a row without a kind is for."""
MAX_COST: Final = 10**9
"""The largest price in minor units: what many units cost still fits 64 bits."""
_PRICED: Final = {
    UnitKind.FIELD_INVITE: CostKind.FIELD_INVITE,
    UnitKind.FREE_FORM_SIGNER: CostKind.FREE_FORM_SIGNER,
}


@dataclass(frozen=True, slots=True)
class CostTable:
    """The rows in order of time by kind, and what held before the first one."""

    default: Money
    rates: Mapping[CostKind, Sequence[UpstreamRate]]

    def unit_cost(self, kind: UnitKind, moment: datetime) -> Money:
        """What a unit that was used then cost; in development mode nothing."""
        priced = _PRICED.get(kind)
        return Money.zero(self.default.currency) if priced is None else self._at(priced, moment, self.default)

    def monthly_fee(self, month: str) -> Money:
        """The fee of SignNow's plan for a calendar month in UTC: the row in force when the month begins."""
        return self._at(CostKind.MONTHLY_FEE, month_start(month), Money.zero(self.default.currency))

    def _at(self, kind: CostKind, moment: datetime, default: Money) -> Money:
        begun = [rate for rate in self.rates.get(kind, ()) if rate.starts_at <= moment]
        return price_of(begun[-1]) if begun else default


def price_of(rate: UpstreamRate) -> Money:
    """The price that a row says."""
    return Money(rate.unit_cost_minor, rate.currency)


def month_of(moment: datetime) -> str:
    """The calendar month in UTC, as "2026-03"."""
    return moment.astimezone(UTC).strftime("%Y-%m")


def month_start(month: str) -> datetime:
    """The first instant of a month in UTC."""
    return datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)


def next_month(month: str) -> str:
    """The month after it."""
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]), 12)
    return f"{year:04}-{number + 1:02}"


async def load_table(platform: Platform) -> CostTable:
    """The cost table as it stands."""
    rates: dict[CostKind, list[UpstreamRate]] = {}
    for rate in await UpstreamRate.all().order_by("starts_at"):
        rates.setdefault(rate.kind, []).append(rate)
    return CostTable(platform.terms.invite_cost, rates)


async def list_costs() -> Sequence[UpstreamRate]:
    """All rows of the cost table, by kind and time."""
    return await UpstreamRate.all().order_by("kind", "starts_at")


async def set_cost(
    platform: Platform, unit_cost: Decimal, starts_at: datetime, kind: CostKind | None = None
) -> Sequence[UpstreamRate]:
    """Say what SignNow charges from a moment on, for all kinds of units or for one kind, in major units.

    The currency is that of INKMETER_INVITE_COST. Said again for the same moment it takes the place of what was said.
    Invoices keep the cost that was known at their close. Raises InvalidInput.
    """
    currency = platform.terms.invite_cost.currency
    problems = Problems()
    if problems.check_amount(unit_cost, currency, "unitCost", is_collected=False):
        problems.check(booked_money(unit_cost, currency).minor <= MAX_COST, "is more than any cost", "unitCost")
    problems.check(1970 <= starts_at.year < 9999, "is from the years 1970 to 9998", "from")
    problems.refuse()
    minor = booked_money(unit_cost, currency).minor
    kinds = OF_UNITS if kind is None else (kind,)
    async with transaction():
        for each in kinds:
            await put_rate(
                UpstreamRate(
                    kind=each,
                    starts_at=starts_at,
                    unit_cost_minor=minor,
                    currency=currency,
                    updated_at=platform.clock.now(),
                )
            )
    return await UpstreamRate.filter(kind__in=kinds, starts_at=starts_at).order_by("kind")


async def cost_of_period(platform: Platform, tenant_id: int, period: BillingPeriod) -> tuple[int, Money]:
    """The upstream units of a tenant's period, and what they cost by the table, without any part of a monthly fee.

    In the currency of INKMETER_INVITE_COST: what an older row has in another one is left to the margin's table.
    """
    table = await load_table(platform)
    units, cost = 0, Money.zero(table.default.currency)
    async for event in upstream_events(period.start, period.end, tenant_id=tenant_id):
        units += event.units
        each = table.unit_cost(event.kind, event.occurred_at)
        if each.currency == cost.currency:
            cost += Money(each.minor * event.units, each.currency)
    return units, cost
