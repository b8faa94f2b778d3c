"""Where the amounts of a margin come from: every period, line, upstream event, monthly fee and bill, each in its place.

A billing period belongs to the calendar month in which it begins, in its subscription's zone, and everything of it
belongs there with it: what was sold in it and what its invites cost, whenever either became known.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from inkmeter.periods import load_zone
from services import dues, phases, upstream_costs
from services.billing import bill_period
from services.margin import Entry, Measure, Place, share_out
from services.platform import Platform
from services.upstream_costs import CostTable, month_of, month_start, next_month
from storage.plans import Plan, Price
from storage.subscriptions import Period, Subscription
from storage.upstream import UpstreamBill, current_bills
from storage.upstream_events import UpstreamEvent, billed_lines, sum_sold, upstream_events

INVITES = "invites_sent"
"""The meter whose units are bought from SignNow."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PlacedPeriod:
    """A period with its subscription, and the place of what its invites cost: the plan at its end, and the model that
    prices invites there.
    """

    period: Period
    subscription: Subscription
    place: Place
    currency: str


async def collect(platform: Platform, first: date, end: date) -> list[Entry]:
    """Every amount of the months in [first, end), both the first day of a month."""
    months = (first.strftime("%Y-%m"), end.strftime("%Y-%m"))
    start, stop = (datetime.combine(day, time(), UTC) for day in (first, end))
    found = await _place(platform, await Period.filter(starts_at__gte=start - _DAY, starts_at__lt=stop + _DAY))
    asked = [placed for placed in found if months[0] <= placed.place.month < months[1]]
    entries = await _revenue(platform, asked, start - _DAY, stop + _DAY)
    window = (
        min([start, *(placed.period.starts_at for placed in asked)]),
        max([stop, *(placed.period.ends_at for placed in asked)]),
    )
    entries += [e for e in await _costs(platform, *window) if months[0] <= e.place.month < months[1]]
    return entries


def begins_in(period: Period, subscription: Subscription) -> str:
    """The calendar month in which a period begins, in its subscription's zone."""
    return period.starts_at.astimezone(load_zone(subscription.zone)).strftime("%Y-%m")


async def _place(platform: Platform, found: Sequence[Period]) -> list[PlacedPeriod]:
    subscriptions = {s.id: s for s in await Subscription.all()} if found else {}
    placed = []
    for period in found:
        subscription = subscriptions[period.subscription_id]
        last = period.ends_at - timedelta(microseconds=1)
        terms, _ = await phases.in_force(platform, subscription, last)
        month = begins_in(period, subscription)
        model = next((price.model for price, _ in terms.prices if price.meter == INVITES), None)
        place = Place(period.tenant_id, month, terms.plan.code, model)
        placed.append(PlacedPeriod(period, subscription, place, terms.plan.currency))
    return placed


async def _revenue(platform: Platform, asked: Sequence[PlacedPeriod], start: datetime, stop: datetime) -> list[Entry]:
    codes = {plan.id: plan.code for plan in await Plan.all()}
    plans = {price.id: codes[price.plan_id] for price in await Price.all()}

    def of(placed: PlacedPeriod, price_id: UUID | None, model: str) -> Place:
        plan = plans.get(price_id, placed.place.plan) if price_id is not None else placed.place.plan
        return replace(placed.place, plan=plan, model=model or None)

    by_period = {placed.period.id: placed for placed in asked}
    entries = []
    for placed in asked:
        facts = await dues.facts_of(platform, placed.subscription, placed.period)
        for due in bill_period(facts):
            place = of(placed, due.price_id, due.model)
            entries.append(Entry(place, Measure.RATED, due.line.total.minor, due.line.total.currency))
    for line in await billed_lines(start, stop, tuple(dues.RERATED)):
        if (known := by_period.get(line.period_id)) is not None:
            place = of(known, line.price_id, line.model)
            # What was bought, or added by a plugin, follows from no facts of a period: it is what was billed.
            measures = [Measure.BILLED] if line.is_rerated else [Measure.RATED, Measure.BILLED]
            measures += [Measure.COLLECTED] if line.is_collected else []
            entries += [Entry(place, measure, line.amount_minor, line.currency) for measure in measures]
    for period_id, units in (await sum_sold(INVITES, start, stop)).items():
        if (known := by_period.get(period_id)) is not None:
            entries.append(Entry(known.place, Measure.SOLD, units, known.currency))
    return entries


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

    def entries(self) -> Iterator[Entry]:
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
            yield Entry(Place(None, self.month), self.measure, self.amount, self.currency)
        for tenant, share in shares.items():
            for key, amount in share_out(share, by_tenant[tenant]).items():
                yield Entry(places[tenant, key], self.measure, amount, self.currency)


async def _costs(platform: Platform, start: datetime, stop: datetime) -> list[Entry]:
    """What the units in a span cost by the table, and the shares of every fee and bill that it touches."""
    table = await upstream_costs.load_table(platform)
    bills = await current_bills(*(at.date().isoformat() for at in (start, stop + _DAY)))
    pots = [*_fees(table, start, min(stop, platform.clock.now())), *map(_bill, bills)]
    first = min([start, *(pot.starts_at for pot in pots)])
    last = max([stop, *(pot.ends_at for pot in pots)])
    finder = _Finder(await _place(platform, await Period.filter(ends_at__gt=first, starts_at__lt=last)))
    entries = []
    async for event in upstream_events(first, last):
        place = finder.place_of(event)
        cost = table.unit_cost(event.kind, event.occurred_at)
        if start <= event.occurred_at < stop:
            entries.append(Entry(place, Measure.DECLARED, cost.minor * event.units, cost.currency))
            entries.append(Entry(place, Measure.BOUGHT, event.units, cost.currency))
        for pot in pots:
            if event.units and pot.starts_at <= event.occurred_at < pot.ends_at:
                pot.units[place] = pot.units.get(place, 0) + event.units
    return [*entries, *(entry for pot in pots for entry in pot.entries())]


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


class _Finder:
    """Finds the place of an upstream event: that of its billing period, else its own month in UTC."""

    def __init__(self, placed: Iterable[PlacedPeriod]) -> None:
        self._periods: dict[int, list[PlacedPeriod]] = {}
        for entry in placed:
            self._periods.setdefault(entry.period.tenant_id, []).append(entry)

    def place_of(self, event: UpstreamEvent) -> Place:
        for entry in self._periods.get(event.tenant_id, ()):
            if entry.period.starts_at <= event.occurred_at < entry.period.ends_at:
                return entry.place
        return Place(event.tenant_id, month_of(event.occurred_at))
