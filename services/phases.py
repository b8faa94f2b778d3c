"""The terms of a subscription over time: which plan and how many seats were in force when."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from inkmeter.periods import BillingPeriod, Proration
from services import plans
from services.decisions import check_not_paused
from services.platform import Platform
from services.proration import Stage
from services.terms import PlanTerms
from storage.subscriptions import Phase, Subscription
from storage.subscriptions import phases_of as phases_of
from storage.subscriptions import phases_of_many as phases_of_many


def phase_at(phases: Sequence[Phase], moment: datetime) -> Phase:
    """The phase in force at a moment: the last that began, or the first of all for an earlier moment."""
    begun = [phase for phase in phases if phase.starts_at <= moment]
    return begun[-1] if begun else phases[0]


def peak_seats(phases: Sequence[Phase], period: BillingPeriod, until: datetime) -> int:
    """The most seats at any time in the period, up to a moment: what was included once is not taken away."""
    last = min(until, period.end)
    seats: list[int] = [phase.seats for phase in phases if period.start <= phase.starts_at <= last]
    return max([int(phase_at(phases, period.start).seats), *seats])


def effective(phases: Sequence[Phase]) -> list[Phase]:
    """The phases that change something; a change that was replaced or withdrawn stands there without effect."""
    shown = [phase for before, phase in pairwise(phases) if _terms_of(phase) != _terms_of(before)]
    return [phases[0], *shown]


def _terms_of(phase: Phase) -> tuple[UUID, int, bool]:
    return phase.plan_id, phase.seats, phase.is_paused


async def require_running(subscription: Subscription, moment: datetime) -> None:
    """Raises SubscriptionInactive while the subscription is paused."""
    check_not_paused(phase_at(await phases_of(subscription.tenant_id, subscription.id), moment).is_paused)


async def in_force(platform: Platform, subscription: Subscription, moment: datetime) -> tuple[PlanTerms, int]:
    """The plan and the seats of a subscription at a moment."""
    phase = phase_at(await phases_of(subscription.tenant_id, subscription.id), moment)
    return await load_terms(platform, phase.plan_id), phase.seats


async def stages_of(platform: Platform, subscription: Subscription) -> tuple[Stage, ...]:
    """The phases of a subscription as billing takes them."""
    return await stages_from(platform, await phases_of(subscription.tenant_id, subscription.id))


async def stages_from(platform: Platform, phases: Sequence[Phase]) -> tuple[Stage, ...]:
    """The same of phases that were read."""
    return tuple(
        [
            Stage(
                phase.starts_at,
                await load_terms(platform, phase.plan_id),
                phase.seats,
                Proration(phase.proration) if phase.proration else None,
                phase.is_paused,
            )
            for phase in phases
        ]
    )


async def load_terms(platform: Platform, plan_id: UUID) -> PlanTerms:
    """A plan's terms; they never change, so they are read once."""
    known = platform.metering.terms
    if plan_id not in known:
        known[plan_id] = await plans.load_terms(platform, plan_id)
    return known[plan_id]
