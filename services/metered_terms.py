"""What a subscription to a METERED plan cannot have, because Stripe would bill something else."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from inkmeter.errors import Conflict, InvalidInput, Problem
from services import phases
from services.platform import Platform
from services.problems import Problems
from services.terms import PlanTerms
from storage.discounts import Discount
from storage.plans import StripeMode
from storage.subscriptions import Phase, Subscription

LAST_ANCHOR_DAY: Final = 28
"""Later days are not in every month: Stripe's cycles and ours would part."""


def is_metered(terms: PlanTerms) -> bool:
    """Whether Stripe bills the plan's usage."""
    return terms.plan.stripe_mode is StripeMode.METERED


def check_start(problems: Problems, terms: PlanTerms, zone: str, anchor_day: int, trial_days: int) -> None:
    """A subscription whose periods are Stripe's cycles, to the second."""
    if is_metered(terms):
        problems.check(zone == "UTC", "is UTC on a METERED plan: Stripe counts its cycles in UTC", "zone")
        rule = f"is a day up to the {LAST_ANCHOR_DAY}th on a METERED plan: every month has it"
        problems.check(anchor_day <= LAST_ANCHOR_DAY, rule, "anchorOn")
        problems.check(not trial_days, "is zero on a METERED plan: Stripe would bill the trial's usage", "trialDays")


async def check_change(
    platform: Platform,
    subscription: Subscription,
    stages: Sequence[Phase],
    terms: PlanTerms,
    moment: datetime,
    *,
    is_now: bool,
) -> None:
    """A change of plan. Raises InvalidInput inside a period from or to a METERED plan, Conflict for a subscription
    that such a plan cannot have.
    """
    old = await phases.load_terms(platform, phases.phase_at(stages, moment).plan_id)
    if is_now and old.plan.id != terms.plan.id and (is_metered(old) or is_metered(terms)):
        raise InvalidInput([Problem(("at",), "is PERIOD_END: a period is billed by Stripe or by us, never by both")])
    if is_metered(terms) and not is_metered(old):
        if subscription.zone != "UTC" or subscription.anchor_day.day > LAST_ANCHOR_DAY:
            message = f"a METERED plan needs periods in UTC, from a day up to the {LAST_ANCHOR_DAY}th"
            raise Conflict(f"{message}; cancelSubscription, then subscribeTenant", path=("planId",))
        if any(phase.is_paused for phase in _from(stages, moment)):
            raise Conflict("the subscription is paused then, and Stripe would bill its fees", path=("planId",))
        if await Discount.exists(tenant_id=subscription.tenant_id, subscription_id=subscription.id, ended_at=None):
            raise Conflict(
                "the subscription has a discount, which Stripe would not give; end it first", path=("planId",)
            )


async def check_discount(platform: Platform, subscription: Subscription) -> None:
    """Raises Conflict where Stripe bills now or later: it would not take the discount off."""
    stages = await phases.phases_of(subscription.tenant_id, subscription.id)
    if await _is_metered_from(platform, stages, platform.clock.now()):
        raise Conflict("the plan is METERED: Stripe would not take a discount off", path=("tenantId",))


async def check_pause(platform: Platform, stages: Sequence[Phase], moment: datetime) -> None:
    """Raises Conflict where Stripe bills from then on: it would bill the fees of a pause."""
    if await _is_metered_from(platform, stages, moment):
        raise Conflict("the plan is METERED: Stripe would bill the fees of a pause", path=("tenantId",))


async def _is_metered_from(platform: Platform, stages: Sequence[Phase], moment: datetime) -> bool:
    plans = {phase.plan_id for phase in _from(stages, moment)}
    return any([is_metered(await phases.load_terms(platform, plan_id)) for plan_id in plans])


def _from(stages: Sequence[Phase], moment: datetime) -> list[Phase]:
    """The phase in force at a moment, and all later ones."""
    return [phases.phase_at(stages, moment), *(later for later in stages if later.starts_at > moment)]
