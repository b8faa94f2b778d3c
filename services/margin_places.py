"""Where the amounts of a margin belong: to the billing period that they are of, and so to a month, a plan and a model.

A billing period belongs to the calendar month in which it begins, in its subscription's zone, and everything of it
belongs there with it: what was sold in it and what its invites cost, whenever either became known.
"""

from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from inkmeter.periods import load_zone
from services import phases
from services.margin import Place
from services.platform import Platform
from services.upstream_costs import month_of
from storage.subscriptions import Period, Phase, Subscription, phases_of_many, slice_periods
from storage.upstream_events import UpstreamEvent

INVITES: Final = "invites_sent"
"""The meter whose units are bought from SignNow."""


@dataclass(frozen=True, slots=True)
class PlacedPeriod:
    """A period with its subscription and that one's phases, and the place of what its invites cost: the plan at its
    end, and the model that prices invites there.
    """

    period: Period
    subscription: Subscription
    phases: Sequence[Phase]
    place: Place
    currency: str


async def slice_placed(platform: Platform, **which: Any) -> AsyncIterator[list[PlacedPeriod]]:
    """The periods of all tenants that a filter lets through, each in its place: a slice at a time, in three queries,
    tenant by tenant in order of time.
    """
    async for found, subscriptions in slice_periods(**which):
        known = await phases_of_many(subscriptions.values())
        yield [
            await _place(platform, period, subscriptions[period.subscription_id], known[period.subscription_id])
            for period in found
        ]


async def _place(
    platform: Platform, period: Period, subscription: Subscription, known: Sequence[Phase]
) -> PlacedPeriod:
    last = phases.phase_at(known, period.ends_at - timedelta(microseconds=1))
    terms = await phases.load_terms(platform, last.plan_id)
    model = next((price.model for price, _ in terms.prices if price.meter == INVITES), None)
    place = Place(period.tenant_id, begins_in(period, subscription), terms.plan.code, model)
    return PlacedPeriod(period, subscription, known, place, terms.plan.currency)


def begins_in(period: Period, subscription: Subscription) -> str:
    """The calendar month in which a period begins, in its subscription's zone."""
    return period.starts_at.astimezone(load_zone(subscription.zone)).strftime("%Y-%m")


class Finder:
    """Finds the place of an upstream event: that of its billing period, else its own month in UTC.

    Of each period it keeps its span and its place, and no more.
    """

    def __init__(self) -> None:
        self._periods: dict[int, list[tuple[datetime, datetime, Place]]] = {}

    def add(self, placed: PlacedPeriod) -> None:
        """Take in a period; those of a tenant come in order of time."""
        period = placed.period
        self._periods.setdefault(period.tenant_id, []).append((period.starts_at, period.ends_at, placed.place))

    def place_of(self, event: UpstreamEvent) -> Place:
        own = self._periods.get(event.tenant_id, [])
        at = bisect_right(own, event.occurred_at, key=lambda span: span[0]) - 1
        if at >= 0 and event.occurred_at < own[at][1]:
            return own[at][2]
        return Place(event.tenant_id, month_of(event.occurred_at))
