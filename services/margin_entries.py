"""The amounts of a margin, gathered: what was rated, billed, collected and sold in each period, and what it cost.

Periods are read in slices, and everything of a slice in a number of queries that depends on no number of tenants or
periods. What stays is a sum for each place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from services import dues, margin_costs, period_facts
from services.billing import bill_period
from services.margin import Entry, Measure, Place, Sums
from services.margin_places import INVITES, PlacedPeriod, slice_placed
from services.platform import Platform
from storage.plans import Plan, Price
from storage.upstream_events import sum_billed, sum_sold

_DAY = timedelta(days=1)


async def collect(platform: Platform, first: date, end: date) -> list[Entry]:
    """Every amount of the months in [first, end), both the first day of a month; one entry for each place, measure and
    currency.
    """
    months = (first.strftime("%Y-%m"), end.strftime("%Y-%m"))
    start, stop = (datetime.combine(day, time(), UTC) for day in (first, end))
    sums, window, plans = Sums(), (start, stop), await _plans_of_prices()
    async for found in slice_placed(platform, starts_at__gte=start - _DAY, starts_at__lt=stop + _DAY):
        asked = [placed for placed in found if months[0] <= placed.place.month < months[1]]
        await _add_revenue(platform, sums, asked, plans)
        window = (
            min([window[0], *(placed.period.starts_at for placed in asked)]),
            max([window[1], *(placed.period.ends_at for placed in asked)]),
        )
    costs = (await margin_costs.sum_costs(platform, *window)).entries()
    return [*sums.entries(), *(entry for entry in costs if months[0] <= entry.place.month < months[1])]


async def _plans_of_prices() -> dict[UUID, str]:
    codes = {plan.id: plan.code for plan in await Plan.all()}
    return {price.id: codes[price.plan_id] for price in await Price.all()}


async def _add_revenue(
    platform: Platform, sums: Sums, asked: Sequence[PlacedPeriod], plans: Mapping[UUID, str]
) -> None:
    """Add what a slice of periods brought."""
    if not asked:
        return

    def of(placed: PlacedPeriod, price_id: UUID | None, model: str) -> Place:
        plan = plans.get(price_id, placed.place.plan) if price_id is not None else placed.place.plan
        return replace(placed.place, plan=plan, model=model or None)

    by_period = {placed.period.id: placed for placed in asked}
    periods = [placed.period for placed in asked]
    known = {placed.subscription.id: placed.phases for placed in asked}
    pairs = [(placed.subscription, placed.period) for placed in asked]
    facts = await period_facts.read_facts(platform, pairs, known)
    for placed in asked:
        for due in bill_period(facts[placed.period.id]):
            place = of(placed, due.price_id, due.model)
            sums.add(place, Measure.RATED, due.line.total.minor, due.line.total.currency)
    for billed in await sum_billed(periods, tuple(dues.RERATED)):
        place = of(by_period[billed.period_id], billed.price_id, billed.model)
        # What was bought, or added by a plugin, follows from no facts of a period: it is what was billed.
        measures = [Measure.BILLED] if billed.is_rerated else [Measure.RATED, Measure.BILLED]
        measures += [Measure.COLLECTED] if billed.is_collected else []
        for measure in measures:
            sums.add(place, measure, billed.amount_minor, billed.currency)
    for period_id, units in (await sum_sold(INVITES, periods)).items():
        placed = by_period[period_id]
        sums.add(placed.place, Measure.SOLD, units, placed.currency)
