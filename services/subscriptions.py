"""Subscriptions: a tenant on a plan, from its first day on; what may change later is in changes.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from inkmeter.errors import Conflict, NotFound, SubscriptionInactive
from inkmeter.events import InvoiceFinalized
from inkmeter.periods import Anchor, BillingPeriod, Proration, load_zone, local_midnight
from services import drafting, dues, jobs, metered_terms, mirroring, periods, phases, taxes
from services.periods import current_period as current_period
from services.periods import ensure_period as ensure_period
from services.platform import Platform
from services.problems import Problems
from services.rating import SEATS
from services.terms import PlanTerms
from storage.database import insert_new, transaction
from storage.invoices import Invoice, InvoiceKind
from storage.plans import FeesDue, LimitPolicy, Plan
from storage.subscriptions import Covered as Covered
from storage.subscriptions import Period as Period
from storage.subscriptions import PeriodState as PeriodState
from storage.subscriptions import Phase as Phase
from storage.subscriptions import PhaseReason, covered_spans, phases_of
from storage.subscriptions import Subscription as Subscription
from storage.subscriptions import SubscriptionState as SubscriptionState
from storage.tenants import Tenant, TenantState, lock_tenant

MAX_SEATS: Final = 1_000_000
MAX_TRIAL_DAYS: Final = 730


@dataclass(frozen=True, slots=True)
class SubscribeTenant:
    """Put a tenant on a plan from today, or from `anchor_on`, a day in `zone` that is not in the future.

    After a trial the anchor is the day on which it ends. `proration` is how the first cycle is charged if it is
    not begun on its first day.
    """

    tenant: Tenant
    plan_id: UUID
    seats: int = 1
    zone: str = "UTC"
    anchor_on: date | None = None
    trial_days: int = 0
    proration: Proration = Proration.SECOND


@dataclass(frozen=True, slots=True)
class _Start:
    """The first local day, the trial's end if there is a trial, and the anchor."""

    on: date
    anchor: Anchor
    trial_ends_at: datetime | None


async def subscribe_tenant(platform: Platform, command: SubscribeTenant) -> Subscription:
    """Subscribe; the first billing period contains the present. Repeating it answers the same subscription.

    Raises InvalidInput, NotFound for the plan, and Conflict if the tenant is not ready or runs on other terms.
    """
    terms = await phases.load_terms(platform, command.plan_id)
    now = platform.clock.now()
    start = _start(command, terms, now)
    _check_tenant(platform, command.tenant, terms.plan)
    subscription = Subscription(
        tenant_id=command.tenant.id,
        interval=terms.plan.interval,
        anchor_on=start.anchor.on.isoformat(),
        zone=command.zone,
        state=SubscriptionState.ACTIVE,
        started_at=now,
        trial_ends_at=start.trial_ends_at,
    )
    opening = None
    async with transaction():
        _check_tenant(platform, await lock_tenant(command.tenant.id), terms.plan)
        # One that has ended need not wait for its last close.
        await Subscription.filter(
            tenant_id=command.tenant.id, state=SubscriptionState.ACTIVE, ended_at__lte=now
        ).update(state=SubscriptionState.ENDED)
        if await insert_new(subscription):
            opening = await _begin(platform, command, subscription, terms, start)
    if opening is not None:
        total = drafting.total_of(opening)
        await platform.plugins.publish(InvoiceFinalized(str(command.tenant.public_id), now, str(opening.id), total))
    running = await running_subscription(command.tenant.id)
    if running is None or not await _is_same(running, command):
        raise Conflict(
            "the tenant has a running subscription with other terms; change it with changePlan or changeSeats",
            path=("tenantId",),
        )
    if running.stripe_subscription_id is None:
        await jobs.run_now(
            platform, command.tenant.id, mirroring.MIRROR, str(running.id), mirroring.mirror_subscription
        )
        running = await Subscription.get(tenant_id=command.tenant.id, id=running.id)
    return running


async def _begin(
    platform: Platform, command: SubscribeTenant, subscription: Subscription, terms: PlanTerms, start: _Start
) -> Invoice | None:
    """The first phase and period, the mirror, and the opening invoice where fees are due in advance."""
    now, tenant = subscription.started_at, command.tenant
    # A day counts from its start, but not before an earlier subscription's end.
    ends = [span.end for span in await covered_spans(tenant.id) if span.end is not None]
    begins = max([local_midnight(start.on, command.zone), *ends])
    phase = Phase(
        tenant_id=tenant.id,
        subscription_id=subscription.id,
        starts_at=begins,
        plan_id=terms.plan.id,
        seats=command.seats,
        reason=PhaseReason.START,
        proration=command.proration,
        created_at=now,
    )
    await insert_new(phase)
    if start.trial_ends_at is not None:
        span = BillingPeriod(begins, start.trial_ends_at)
    else:
        cycle = start.anchor.period_at(now)
        span = BillingPeriod(max([cycle.start, *ends]), cycle.end)
    is_trial = start.trial_ends_at is not None
    period = await periods.store_period(platform, subscription, span, is_trial=is_trial)
    await jobs.add_job(
        platform,
        tenant_id=tenant.id,
        topic=mirroring.MIRROR,
        dedup=str(subscription.id),
        run_in=jobs.FIRST_TRY_IS_OURS,
        # Decided once: a repeat must say the same to Stripe under the same idempotency key.
        payload={"cycle_anchor_at": start.anchor.period_at(now).end.isoformat()},
    )
    if is_trial or terms.plan.fees is not FeesDue.ADVANCE:
        return None
    lines = await dues.fees_ahead(platform, subscription, period)
    return await drafting.store_invoice(platform, tenant, period, InvoiceKind.OPENING, terms.plan, lines)


async def _is_same(running: Subscription, command: SubscribeTenant) -> bool:
    """Whether the subscription began with these terms; without an anchor any will do, as "today" was another day."""
    first = (await phases_of(running.tenant_id, running.id))[0]
    begun_on = first.starts_at.astimezone(load_zone(running.zone)).date()
    trial_days = (running.anchor_day - begun_on).days if running.trial_ends_at is not None else 0
    return (first.plan_id, first.seats, first.proration, running.zone, running.anchor_day, trial_days) == (
        command.plan_id,
        command.seats,
        command.proration,
        command.zone,
        command.anchor_on or running.anchor_day,
        command.trial_days,
    )


def _start(command: SubscribeTenant, terms: PlanTerms, now: datetime) -> _Start:
    problems = Problems()
    check_seats(problems, terms, command.seats)
    try:
        today = now.astimezone(load_zone(command.zone)).date()
    except ValueError as error:
        problems.add(str(error), "zone")
        today = now.date()
    anchor_on = command.anchor_on or today
    problems.check(anchor_on <= today and anchor_on.year >= 2000, "is a day from 2000 to today", "anchorOn")
    problems.check(0 <= command.trial_days <= MAX_TRIAL_DAYS, f"0 to {MAX_TRIAL_DAYS} days", "trialDays")
    if command.trial_days and command.anchor_on is not None:
        problems.add("goes without a trial: after one, periods are counted from the day on which it ends", "anchorOn")
    metered_terms.check_start(problems, terms, command.zone, anchor_on.day, command.trial_days)
    problems.refuse()
    if not command.trial_days:
        return _Start(today, Anchor(anchor_on, command.zone, terms.plan.interval), None)
    trial_end = today + timedelta(days=command.trial_days)
    return _Start(today, Anchor(trial_end, command.zone, terms.plan.interval), local_midnight(trial_end, command.zone))


def check_seats(problems: Problems, terms: PlanTerms, seats: int) -> None:
    """A number that there is, and that the plan allows."""
    quota = terms.quotas.get(SEATS)
    if quota is not None and quota.policy is LimitPolicy.HARD:
        problems.check(seats <= quota.units, f"the plan allows {quota.units}", "seats")
    problems.check(0 <= seats <= MAX_SEATS, f"0 to {MAX_SEATS} seats", "seats")


def _check_tenant(platform: Platform, tenant: Tenant, plan: Plan) -> None:
    if tenant.state is TenantState.PROVISIONING:
        raise Conflict("the tenant is still being provisioned; repeat provisionTenant first", path=("tenantId",))
    if tenant.state is TenantState.DEPROVISIONED:
        raise Conflict("the tenant is deprovisioned; call reactivateTenant first", path=("tenantId",))
    if tenant.currency != plan.currency:
        raise Conflict(f"the tenant pays in {tenant.currency}, the plan is in {plan.currency}", path=("planId",))
    taxes.require_address(platform, tenant)


async def running_subscription(tenant_id: int) -> Subscription | None:
    """The tenant's subscription that is ACTIVE, if there is one; it may have ended and wait for its last close."""
    return await Subscription.get_or_none(tenant_id=tenant_id, state=SubscriptionState.ACTIVE)


async def running_of(tenant_ids: Sequence[int]) -> Mapping[int, Subscription]:
    """The running subscriptions of those of a few hundred tenants that have one, by tenant."""
    found = await Subscription.filter(tenant_id__in=tenant_ids, state=SubscriptionState.ACTIVE)
    return {subscription.tenant_id: subscription for subscription in found}


async def require_subscription(tenant_id: int) -> Subscription:
    """The running subscription. Raises SubscriptionInactive."""
    found = await running_subscription(tenant_id)
    if found is None:
        raise SubscriptionInactive("the tenant has no running subscription; call subscribeTenant first")
    return found


async def latest_subscription(tenant_id: int) -> Subscription:
    """The running subscription, or the one that ended last. Raises SubscriptionInactive if there never was one."""
    running = await running_subscription(tenant_id)
    found = running or await Subscription.filter(tenant_id=tenant_id).order_by("-started_at", "-id").first()
    if found is None:
        raise SubscriptionInactive("the tenant has no subscription; call subscribeTenant first")
    return found


async def find_subscription(tenant_id: int | None, subscription_id: UUID) -> Subscription:
    """The subscription, of that tenant unless None. Raises NotFound, also for another tenant's."""
    found = await Subscription.get_or_none(id=subscription_id)
    if found is None or tenant_id not in (None, found.tenant_id):
        raise NotFound("no such subscription")
    return found


async def require_current(platform: Platform, tenant_id: int) -> tuple[Subscription, Period]:
    """The running subscription and the billing period that contains the present. Raises SubscriptionInactive."""
    subscription = await require_subscription(tenant_id)
    return subscription, await current_period(platform, subscription)
