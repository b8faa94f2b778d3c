"""Changes of a running subscription: its seats and its plan.

Each holds the running period's gate, so that a batch of usage and a change never interleave, and then the subscription.
The latest instruction wins from its moment on: what was planned for later keeps only what the new one leaves alone.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from inkmeter.errors import Conflict
from inkmeter.events import Event, SubscriptionChanged
from inkmeter.periods import Proration
from services import metered_terms, periods, phases, stripe_items, subscriptions
from services.platform import Platform
from services.problems import Problems
from services.terms import PlanTerms
from storage.database import insert_new, transaction
from storage.ids import new_id
from storage.subscriptions import (
    Period,
    Phase,
    PhaseReason,
    Subscription,
    lock_periods_from,
    lock_subscription,
    phases_of,
)
from storage.tenants import Tenant

INSTANT = timedelta(microseconds=1)


class ChangeAt(StrEnum):
    """When a change takes effect: at once, or when the running billing period is over."""

    NOW = "NOW"
    PERIOD_END = "PERIOD_END"


@dataclass(frozen=True, slots=True)
class ChangeSeats:
    """Another number of seats. In the running period each billing model charges it in its own way."""

    tenant: Tenant
    seats: int
    at: ChangeAt
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """Another plan of the same currency and interval, with the seats as they are."""

    tenant: Tenant
    plan_id: UUID
    at: ChangeAt
    idempotency_key: str
    proration: Proration = Proration.SECOND


async def change_seats(platform: Platform, command: ChangeSeats) -> Subscription:
    """Change the seats. The same key again changes nothing more.

    Raises InvalidInput, also for more seats than the plan allows, SubscriptionInactive, and Conflict for a key that
    stands for another change.
    """
    problems = Problems()
    problems.check_key(command.idempotency_key, "idempotencyKey")
    problems.refuse()

    def is_same(phase: Phase) -> bool:
        return phase.reason is PhaseReason.SEATS and phase.seats == command.seats

    if (repeated := await find_repeated(command, is_same)) is not None:
        return repeated
    async with changing(platform, command.tenant) as change:
        if (repeated := await find_repeated(command, is_same)) is not None:
            return repeated
        placed = await place_seats(platform, change, command)
    await platform.plugins.publish(placed.event(command.tenant, change.now))
    return await Subscription.get(tenant_id=command.tenant.id, id=change.subscription.id)


async def change_plan(platform: Platform, command: ChangePlan) -> Subscription:
    """Change the plan. The same key again changes nothing more.

    Raises InvalidInput, NotFound, SubscriptionInactive, and Conflict for a plan of another currency or interval, or
    for a key that stands for another change.
    """
    problems = Problems()
    problems.check_key(command.idempotency_key, "idempotencyKey")
    problems.refuse()

    def is_same(phase: Phase) -> bool:
        said = (phase.reason, phase.plan_id, phase.proration)
        return said == (PhaseReason.PLAN, command.plan_id, command.proration)

    if (repeated := await find_repeated(command, is_same)) is not None:
        return repeated
    async with changing(platform, command.tenant) as change:
        if (repeated := await find_repeated(command, is_same)) is not None:
            return repeated
        placed = await place_plan(platform, change, command)
    await platform.plugins.publish(placed.event(command.tenant, change.now))
    return await Subscription.get(tenant_id=command.tenant.id, id=change.subscription.id)


@dataclass(frozen=True, slots=True)
class Change:
    """What is held: the running period and any after it, and the subscription with its phases."""

    now: datetime
    subscription: Subscription
    phases: list[Phase]
    open_periods: list[Period]

    @property
    def current(self) -> Period:
        return self.open_periods[0]

    @property
    def running(self) -> Phase:
        return phases.phase_at(self.phases, self.now)

    def moment(self, at: ChangeAt) -> datetime:
        """When a change takes effect: with NOW never before what holds already."""
        if at is ChangeAt.PERIOD_END:
            return self.current.ends_at
        begun = [phase.starts_at for phase in self.phases if phase.starts_at <= self.now]
        return max([self.now, *begun[-1:]])

    def later_than(self, moment: datetime) -> list[Phase]:
        """What is planned for after that moment."""
        return [phase for phase in self.phases if phase.starts_at > moment]

    async def add(
        self,
        moment: datetime,
        reason: PhaseReason,
        proration: Proration | None,
        key: str | None,
        **terms: Any,
    ) -> UUID:
        """Add a phase that holds over every other that begins at the same moment, and answer its id; `terms` are those
        that change.
        """
        before = phases.phase_at(self.phases, moment)
        phase_id = new_id()
        while any(phase_id <= phase.id for phase in self.phases if phase.starts_at == moment):
            phase_id = new_id()
        added = Phase(
            tenant_id=self.subscription.tenant_id,
            id=phase_id,
            subscription_id=self.subscription.id,
            starts_at=moment,
            reason=reason,
            proration=proration,
            idempotency_key=key,
            created_at=self.now,
            **{"plan_id": before.plan_id, "seats": before.seats, "is_paused": before.is_paused, **terms},
        )
        await insert_new(added)
        return phase_id


@contextlib.asynccontextmanager
async def changing(platform: Platform, tenant: Tenant) -> AsyncIterator[Change]:
    """A transaction that holds the tenant's running period and its subscription. Raises SubscriptionInactive."""
    running = await subscriptions.require_subscription(tenant.id)
    now = platform.clock.now()
    # In a transaction of its own, before anything is held.
    await periods.current_period(platform, running)
    async with transaction():
        held = await lock_periods_from(tenant.id, now)
        subscription = await lock_subscription(tenant.id, running.id)
        if not held or held[0].starts_at > now or not periods.goes_on(subscription, now):
            raise periods.ended(subscription)
        yield Change(now, subscription, await phases_of(tenant.id, running.id), held)


@dataclass(frozen=True, slots=True)
class Placed:
    """A change that stands in the phases: these terms and seats, from that moment on."""

    terms: PlanTerms
    seats: int
    moment: datetime

    def event(self, tenant: Tenant, now: datetime) -> Event:
        return changed_event(tenant, now, self.terms, self.seats, self.moment)


async def place_seats(platform: Platform, change: Change, command: ChangeSeats) -> Placed:
    """Write the change down, in the transaction of `changing`. Raises InvalidInput."""
    problems, moment = Problems(), change.moment(command.at)
    before = phases.phase_at(change.phases, moment)
    for plan_id in {before.plan_id, *(later.plan_id for later in change.later_than(moment))}:
        subscriptions.check_seats(problems, await phases.load_terms(platform, plan_id), command.seats)
    problems.refuse()
    await replan(change, moment, seats=command.seats)
    added = await change.add(moment, PhaseReason.SEATS, None, command.idempotency_key, seats=command.seats)
    terms = await phases.load_terms(platform, before.plan_id)
    if metered_terms.is_metered(terms):
        await stripe_items.plan_settling(platform, change.subscription, reason=str(added))
    return Placed(terms, command.seats, moment)


async def place_plan(platform: Platform, change: Change, command: ChangePlan) -> Placed:
    """Write the change down, in the transaction of `changing`. Raises InvalidInput, NotFound and Conflict."""
    problems, moment = Problems(), change.moment(command.at)
    terms = await phases.load_terms(platform, command.plan_id)
    _check_plan(command.tenant, change.subscription, terms)
    before = phases.phase_at(change.phases, moment)
    is_now = command.at is ChangeAt.NOW
    await metered_terms.check_change(platform, change.subscription, change.phases, terms, moment, is_now=is_now)
    for seats in {before.seats, *(later.seats for later in change.later_than(moment))}:
        subscriptions.check_seats(problems, terms, seats)
    problems.refuse()
    await replan(change, moment, plan_id=command.plan_id)
    key = command.idempotency_key
    added = await change.add(moment, PhaseReason.PLAN, command.proration, key, plan_id=command.plan_id)
    await stripe_items.plan_settling(platform, change.subscription, reason=str(added))
    return Placed(terms, before.seats, moment)


async def replan(change: Change, moment: datetime, **terms: object) -> None:
    """What was planned for later takes over the new terms, and keeps the others."""
    planned = [phase.id for phase in change.later_than(moment)]
    await Phase.filter(tenant_id=change.subscription.tenant_id, id__in=planned).update(**terms)


def _check_plan(tenant: Tenant, subscription: Subscription, terms: PlanTerms) -> None:
    plan = terms.plan
    if plan.currency != tenant.currency:
        raise Conflict(
            f"the tenant pays in {tenant.currency}, the plan is in {plan.currency}; choose one in {tenant.currency}",
            path=("planId",),
        )
    if plan.interval != subscription.interval:
        raise Conflict(
            f"the subscription runs by the {subscription.interval.lower()}, the plan by the {plan.interval.lower()}; "
            "cancelSubscription at PERIOD_END, then subscribeTenant to the plan",
            path=("planId",),
        )


class Repeatable(Protocol):
    """A change that is made once per key."""

    @property
    def tenant(self) -> Tenant: ...
    @property
    def at(self) -> ChangeAt: ...
    @property
    def idempotency_key(self) -> str: ...


async def find_repeated(command: Repeatable, is_same: Callable[[Phase], bool]) -> Subscription | None:
    """The subscription, if the change was made before under this key. Raises Conflict if another one was."""
    tenant_id = command.tenant.id
    phase = await Phase.get_or_none(tenant_id=tenant_id, idempotency_key=command.idempotency_key)
    if phase is None:
        return None
    is_planned = phase.starts_at > phase.created_at
    if not is_same(phase) or is_planned is not (command.at is ChangeAt.PERIOD_END):
        raise Conflict(
            "this idempotency key was used for another change, or for one that was replaced or withdrawn since; "
            "use a new one",
            path=("idempotencyKey",),
        )
    return await Subscription.get(tenant_id=tenant_id, id=phase.subscription_id)


def changed_event(tenant: Tenant, now: datetime, terms: PlanTerms, seats: int, moment: datetime) -> Event:
    """What plugins are told of a change."""
    plan = terms.plan
    return SubscriptionChanged(str(tenant.public_id), now, plan.code, plan.version, seats, moment)
