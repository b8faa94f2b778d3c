"""What SignNow costs in a span of time: units by the cost table, and the shares of monthly fees and of bills."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from services import upstream_costs
from services.margin import Measure, Place, Sums, share_out
from services.margin_places import Finder, slice_placed
from services.platform import Platform
from services.upstream_costs import CostTable, month_of, month_start, next_month
from storage.upstream import UpstreamBill, current_bills
from storage.upstream_events import upstream_events

_DAY = timedelta(days=1)


@dataclass(slots=True)
class _Pot:
    """An amount that is shared by the units that were bought in its days; `month` is where it stands without any."""

    measure: Measure
    amount: int
    currency: str
    month: str
    starts_at: datetime
    ends_at: datetime
    units: dict[Place, int] = field(default_factory=dict)

    def shares(self) -> Iterator[tuple[Place, int]]:
        """First to the tenants, by their units, then of each to its places."""
        by_tenant: dict[int, dict[tuple[str, str, str], int]] = {}
        places = {}
        for place, units in self.units.items():
            if place.tenant_id is not None:
                key = (place.month, place.plan or "", place.model or "")
                places[place.tenant_id, key] = place
                by_tenant.setdefault(place.tenant_id, {})[key] = units
        shares = share_out(self.amount, {tenant: sum(parts.values()) for tenant, parts in by_tenant.items()})
        if not shares:
            yield Place(None, self.month), self.amount
        for tenant, share in shares.items():
            for key, amount in share_out(share, by_tenant[tenant]).items():
                yield places[tenant, key], amount


async def sum_costs(platform: Platform, start: datetime, stop: datetime) -> Sums:
    """What the units in a span cost by the table, and the shares of every fee and bill that it touches."""
    table = await upstream_costs.load_table(platform)
    bills = await current_bills(*(at.date().isoformat() for at in (start, stop + _DAY)))
    pots = [*_fees(table, start, min(stop, platform.clock.now())), *map(_bill, bills)]
    first = min([start, *(pot.starts_at for pot in pots)])
    last = max([stop, *(pot.ends_at for pot in pots)])
    finder, sums = Finder(), Sums()
    async for found in slice_placed(platform, ends_at__gt=first, starts_at__lt=last):
        for placed in found:
            finder.add(placed)
    async for event in upstream_events(first, last):
        place = finder.place_of(event)
        cost = table.unit_cost(event.kind, event.occurred_at)
        if start <= event.occurred_at < stop:
            sums.add(place, Measure.DECLARED, cost.minor * event.units, cost.currency)
            sums.add(place, Measure.BOUGHT, event.units, cost.currency)
        for pot in pots:
            if event.units and pot.starts_at <= event.occurred_at < pot.ends_at:
                pot.units[place] = pot.units.get(place, 0) + event.units
    for pot in pots:
        for place, amount in pot.shares():
            sums.add(place, pot.measure, amount, pot.currency)
    return sums


def _fees(table: CostTable, start: datetime, stop: datetime) -> Iterator[_Pot]:
    month = month_of(start)
    while month_start(month) < stop:
        fee, following = table.monthly_fee(month), next_month(month)
        if fee.minor:
            yield _Pot(Measure.DECLARED, fee.minor, fee.currency, month, month_start(month), month_start(following))
        month = following


def _bill(bill: UpstreamBill) -> _Pot:
    starts_at, ends_at = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (bill.starts_on, bill.ends_on))
    return _Pot(Measure.ACTUAL, bill.amount_minor, bill.currency, month_of(starts_at), starts_at, ends_at)
