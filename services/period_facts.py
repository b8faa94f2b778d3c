"""Everything that the price of a billing period depends on, as known now: of one, and of many at once.

What is billed, previewed and reported is rated from these facts and no others, so that no report says anything else
than the invoice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from inkmeter.money import Money
from inkmeter.periods import Proration
from services import discounts, periods, phases, readings
from services.billing import PeriodFacts
from services.platform import Platform
from services.proration import stages_in_force
from storage.subscriptions import Period, Phase, Subscription, phases_of


async def facts_of(platform: Platform, subscription: Subscription, period: Period) -> PeriodFacts:
    """The facts of one period."""
    own = {subscription.id: await phases_of(subscription.tenant_id, subscription.id)}
    return (await read_facts(platform, [(subscription, period)], own))[period.id]


async def read_facts(
    platform: Platform, asked: Sequence[tuple[Subscription, Period]], known: Mapping[UUID, Sequence[Phase]]
) -> dict[UUID, PeriodFacts]:
    """The facts of many periods, by period, in a number of queries that does not depend on theirs: of a few hundred at
    a time. `known` are the phases of their subscriptions.
    """
    if not asked:
        return {}
    now = platform.clock.now()
    owners = {subscription.id: subscription for subscription, _ in asked}
    stages = {key: await phases.stages_from(platform, known[key]) for key in owners}
    units = await readings.billed_units_of(platform, [(period, min(now, period.ends_at)) for _, period in asked], known)
    currencies = {key: own[0].terms.plan.currency for key, own in stages.items()}
    held = await discounts.discounts_in(asked, currencies)
    return {
        period.id: _with_minimum(
            PeriodFacts(
                cycle=periods.cycle_of(subscription, period),
                zone=subscription.zone,
                stages=stages[subscription.id],
                ends_at=subscription.ended_at,
                end_proration=Proration(subscription.end_proration),
                units=units[period.id],
                discounts=held[period.id],
                is_trial=period.is_trial,
            )
        )
        for subscription, period in asked
    }


def _with_minimum(facts: PeriodFacts) -> PeriodFacts:
    """With what its last plan commits the tenant to."""
    in_force = stages_in_force(facts)
    plan = in_force[-1].terms.plan if in_force else None
    if plan is None or plan.minimum_minor is None:
        return facts
    return replace(facts, minimum=Money(plan.minimum_minor, plan.currency))
