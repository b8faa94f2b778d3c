"""Subscriptions: a tenant on a plan, its billing periods, and their mirror in Stripe."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from inkmeter.errors import Conflict, SubscriptionInactive
from inkmeter.periods import Anchor, load_zone
from services import jobs, plans
from services.platform import Platform
from services.problems import Problems
from services.rating import SEATS
from services.terms import PlanTerms
from storage.database import insert_new, transaction
from storage.jobs import Job
from storage.plans import LimitPolicy, Plan
from storage.subscriptions import Period as Period
from storage.subscriptions import PeriodState as PeriodState
from storage.subscriptions import Phase, PhaseReason, phases_of
from storage.subscriptions import Subscription as Subscription
from storage.subscriptions import SubscriptionState as SubscriptionState
from storage.subscriptions import enter_period as enter_stored_period
from storage.tenants import Tenant, TenantState

MIRROR: Final = "subscription.mirror"
CLOSE: Final = "period.close"
MAX_SEATS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class SubscribeTenant:
    """Put a tenant on a plan from today, or from `anchor_on`, a day in `zone` that is not in the future."""

    tenant: Tenant
    plan_id: UUID
    seats: int = 1
    zone: str = "UTC"
    anchor_on: date | None = None


async def subscribe_tenant(platform: Platform, command: SubscribeTenant) -> Subscription:
    """Subscribe; the first billing period contains the present. Repeating it answers the same subscription.

    Raises InvalidInput, NotFound for the plan, and Conflict if the tenant is not ready or runs on another plan.
    """
    terms = await plans.load_terms(platform, command.plan_id)
    now = platform.clock.now()
    anchor = _anchor(command, terms, now)
    _check_tenant(command.tenant, terms.plan)
    subscription = Subscription(
        tenant_id=command.tenant.id,
        interval=terms.plan.interval,
        anchor_on=anchor.on.isoformat(),
        zone=command.zone,
        state=SubscriptionState.ACTIVE,
        started_at=now,
    )
    async with transaction():
        if await insert_new(subscription):
            await insert_new(
                Phase(
                    tenant_id=command.tenant.id,
                    subscription_id=subscription.id,
                    starts_at=now,
                    plan_id=terms.plan.id,
                    seats=command.seats,
                    reason=PhaseReason.START,
                    created_at=now,
                )
            )
            await _open_period(platform, subscription, now)
            await jobs.add_job(
                platform,
                tenant_id=command.tenant.id,
                topic=MIRROR,
                dedup=str(subscription.id),
                run_in=jobs.FIRST_TRY_IS_OURS,
                # Decided once: a repeat must say the same to Stripe under the same idempotency key.
                payload={"cycle_anchor_at": anchor.period_at(now).end.isoformat()},
            )
    running = await running_subscription(command.tenant.id)
    if running is None or not await _is_same(running, command):
        raise Conflict("the tenant has a running subscription with other terms", path=("tenantId",))
    if running.stripe_subscription_id is None:
        await jobs.run_now(platform, command.tenant.id, MIRROR, str(running.id), mirror_subscription)
        running = await Subscription.get(tenant_id=command.tenant.id, id=running.id)
    return running


async def _is_same(running: Subscription, command: SubscribeTenant) -> bool:
    """Whether the subscription has these terms; without an anchor any will do, as "today" was another day then."""
    anchor_on = command.anchor_on or running.anchor_day
    first = (await phases_of(running.tenant_id, running.id))[0]
    return (first.plan_id, first.seats, running.zone, running.anchor_day) == (
        command.plan_id,
        command.seats,
        command.zone,
        anchor_on,
    )


def _anchor(command: SubscribeTenant, terms: PlanTerms, now: datetime) -> Anchor:
    problems = Problems()
    quota = terms.quotas.get(SEATS)
    if quota is not None and quota.policy is LimitPolicy.HARD:
        problems.check(command.seats <= quota.units, f"the plan allows {quota.units}", "seats")
    problems.check(0 <= command.seats <= MAX_SEATS, f"0 to {MAX_SEATS} seats", "seats")
    try:
        today = now.astimezone(load_zone(command.zone)).date()
    except ValueError as error:
        problems.add(str(error), "zone")
        today = now.date()
    anchor_on = command.anchor_on or today
    problems.check(anchor_on <= today and anchor_on.year >= 2000, "is a day from 2000 to today", "anchorOn")
    problems.refuse()
    return Anchor(anchor_on, command.zone, terms.plan.interval)


def _check_tenant(tenant: Tenant, plan: Plan) -> None:
    if tenant.state is TenantState.PROVISIONING:
        raise Conflict("the tenant is still being provisioned; repeat provisionTenant first", path=("tenantId",))
    if tenant.currency != plan.currency:
        raise Conflict(f"the tenant pays in {tenant.currency}, the plan is in {plan.currency}", path=("planId",))


async def mirror_subscription(platform: Platform, job: Job) -> None:
    """The job: make the plan's product and price and the subscription at Stripe, each once."""
    subscription = await Subscription.get(tenant_id=job.tenant_id, id=job.dedup)
    tenant = await Tenant.get(id=job.tenant_id)
    plan = await Plan.get(id=(await phases_of(subscription.tenant_id, subscription.id))[0].plan_id)
    is_retry = job.attempts > 1
    if plan.stripe_price_id is None:
        product_id = await platform.stripe.ensure_product(
            key=f"plan:{plan.code}:product", is_retry=True, name=plan.name, metadata={"plan_code": plan.code}
        )
        price_id = await platform.stripe.ensure_base_price(
            key=f"plan:{plan.id}:base",
            product_id=product_id,
            currency=plan.currency,
            interval=plan.interval.lower(),
            lookup_key=f"inkmeter:{plan.id}:base",
        )
        await Plan.filter(id=plan.id).update(stripe_product_id=product_id, stripe_price_id=price_id)
        plan.stripe_price_id = price_id
    assert tenant.stripe_customer_id is not None  # noqa: S101 - only provisioned tenants are subscribed
    mirrored = await platform.stripe.ensure_subscription(
        key=f"subscription:{subscription.id}",
        is_retry=is_retry,
        customer_id=tenant.stripe_customer_id,
        price_id=plan.stripe_price_id,
        cycle_anchor_at=_cycle_anchor(platform, job, subscription.anchor),
        metadata={"tenant_id": str(tenant.public_id), "subscription_id": str(subscription.id)},
    )
    async with jobs.completing(job):
        await Subscription.filter(tenant_id=job.tenant_id, id=subscription.id).update(
            stripe_subscription_id=mirrored.id
        )


def _cycle_anchor(platform: Platform, job: Job, anchor: Anchor) -> datetime:
    """When Stripe's first full cycle starts: as decided at first, unless that has passed meanwhile."""
    decided = datetime.fromisoformat(job.payload["cycle_anchor_at"])
    now = platform.clock.now()
    return decided if decided > now else anchor.period_at(now).end


async def running_subscription(tenant_id: int) -> Subscription | None:
    """The tenant's subscription that is ACTIVE, if there is one."""
    return await Subscription.get_or_none(tenant_id=tenant_id, state=SubscriptionState.ACTIVE)


async def require_subscription(tenant_id: int) -> Subscription:
    """The running subscription. Raises SubscriptionInactive."""
    found = await running_subscription(tenant_id)
    if found is None:
        raise SubscriptionInactive("the tenant has no running subscription; call subscribeTenant first")
    return found


async def enter_period(platform: Platform, subscription: Subscription, moment: datetime) -> Period:
    """The tenant's billing period at that moment, made if it is missing, and kept from closing until the
    transaction ends. Raises SubscriptionInactive for a moment before the first period.
    """
    found = await enter_stored_period(subscription.tenant_id, moment)
    if found is None:
        if moment < subscription.anchor.period_at(subscription.started_at).start:
            raise SubscriptionInactive(f"there was no subscription at {moment.isoformat()}")
        await _open_period(platform, subscription, moment)
        found = await enter_stored_period(subscription.tenant_id, moment)
    assert found is not None  # noqa: S101 - made above
    return found


async def _open_period(platform: Platform, subscription: Subscription, moment: datetime) -> None:
    span = subscription.anchor.period_at(moment)
    period = Period(
        tenant_id=subscription.tenant_id,
        subscription_id=subscription.id,
        starts_at=span.start,
        ends_at=span.end,
        state=PeriodState.OPEN,
    )
    if await insert_new(period, ["tenant_id", "starts_at"]):
        delay = span.end - platform.clock.now() + platform.terms.close_delay
        await jobs.add_job(platform, tenant_id=subscription.tenant_id, topic=CLOSE, dedup=str(period.id), run_in=delay)


async def current_period(platform: Platform, subscription: Subscription) -> Period:
    """The period that contains the present."""
    async with transaction():
        return await enter_period(platform, subscription, platform.clock.now())


async def ensure_period(platform: Platform, tenant_id: int, moment: datetime) -> Period:
    """The period that bills that moment, of a running or an ended subscription; made if it is missing.

    Raises SubscriptionInactive for a moment that no subscription covers. In the caller's transaction, if there is one.
    """
    subscription = await Subscription.filter(tenant_id=tenant_id).order_by("-started_at").first()
    if subscription is None:
        raise SubscriptionInactive("the tenant has no subscription; call subscribeTenant first")
    async with transaction():
        return await enter_period(platform, subscription, moment)


async def first_instant(tenant_id: int) -> datetime:
    """The first instant that a subscription of the tenant bills. Raises SubscriptionInactive without one."""
    first = await Subscription.filter(tenant_id=tenant_id).order_by("started_at").first()
    if first is None:
        raise SubscriptionInactive("the tenant has no subscription; call subscribeTenant first")
    return first.anchor.period_at(first.started_at).start


async def require_current(platform: Platform, tenant_id: int) -> tuple[Subscription, Period]:
    """The running subscription and the billing period that contains the present. Raises SubscriptionInactive."""
    subscription = await require_subscription(tenant_id)
    return subscription, await current_period(platform, subscription)
