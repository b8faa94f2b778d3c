"""The terms of a subscription over time: which plan and how many seats were in force when."""

from collections.abc import Sequence
from datetime import datetime

from inkmeter.periods import BillingPeriod
from services import plans
from services.platform import Platform
from services.terms import PlanTerms
from storage.subscriptions import Phase, Subscription, phases_of


def phase_at(phases: Sequence[Phase], moment: datetime) -> Phase:
    """The phase in force at a moment: the last that began, or the first of all for an earlier moment."""
    begun = [phase for phase in phases if phase.starts_at <= moment]
    return begun[-1] if begun else phases[0]


def peak_seats(phases: Sequence[Phase], period: BillingPeriod, until: datetime) -> int:
    """The most seats at any time in the period, up to a moment: what was included once is not taken away."""
    last = min(until, period.end)
    seats: list[int] = [phase.seats for phase in phases if period.start <= phase.starts_at <= last]
    return max([int(phase_at(phases, period.start).seats), *seats])


async def in_force(platform: Platform, subscription: Subscription, moment: datetime) -> tuple[PlanTerms, int]:
    """The plan and the seats of a subscription at a moment."""
    phase = phase_at(await phases_of(subscription.tenant_id, subscription.id), moment)
    return await plans.load_terms(platform, phase.plan_id), phase.seats
