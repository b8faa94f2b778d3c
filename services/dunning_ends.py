"""The end that a plan has for those who do not pay, or whose subscription Stripe has ended: another plan, or none.

    T   the end is decided: the tenant's state, a notice, and a job
    --  the job ends the subscription now (its last period is closed and billed, Stripe's is cancelled, by jobs of their
        own) and, for a downgrade, begins another on the plan that was named

What is decided is carried out, however late the job runs: a payment that comes between lifts the restriction, and
what was left is named, but not put back by itself.
"""

from typing import Final
from uuid import UUID

from inkmeter.events import Event, TenantDeprovisioned, TenantDowngraded
from services import endings, jobs, leaving, notices, periods, phases, subscriptions
from services.changes import ChangeAt
from services.dunning import Policy
from services.notices import NoticeKind
from services.platform import Platform
from services.rating import SEATS
from services.subscriptions import SubscribeTenant
from storage.jobs import Job
from storage.plans import DunningEnd, LimitPolicy, Plan
from storage.subscriptions import Subscription, phases_of
from storage.tenants import Tenant, TenantState

END: Final = "dunning.end"


async def leave_plan(platform: Platform, tenant: Tenant, policy: Policy, subject: str) -> list[Event] | None:
    """Decide that the tenant leaves its plan as the policy says; in the caller's transaction, which holds the tenant.

    `subject` names the reason: the same one decides once. None if there is no plan to go on with: the subscription,
    if there is one, just ends.
    """
    if policy.end is DunningEnd.DEPROVISION:
        return await deprovision(platform, tenant, subject)
    now = platform.clock.now()
    running = await subscriptions.running_subscription(tenant.id)
    if running is None or not periods.goes_on(running, now):
        return None
    if policy.end is DunningEnd.RESTRICT or running.ended_at is not None:  # it was about to leave anyway
        await _plan_end(platform, running, None)
        return None
    assert policy.downgrade_plan_id is not None  # noqa: S101 - createPlan asks for it
    left = await plan_of(platform, running)
    if not await notices.note(
        tenant.id,
        NoticeKind.DOWNGRADED,
        subject,
        now,
        plan_id=policy.downgrade_plan_id,
        left_plan_id=left.id,
    ):
        return []
    await _plan_end(platform, running, policy.downgrade_plan_id)
    named = await Plan.get(id=policy.downgrade_plan_id)
    return [TenantDowngraded(str(tenant.public_id), now, left.code, named.code)]


async def deprovision(platform: Platform, tenant: Tenant, subject: str) -> list[Event]:
    """Decide that the tenant's subscription ends now and that operations are refused; in the caller's transaction,
    which holds the tenant.
    """
    now = platform.clock.now()
    running = await subscriptions.running_subscription(tenant.id)
    left = await plan_of(platform, running) if running is not None else None
    await Tenant.filter(id=tenant.id).update(state=TenantState.DEPROVISIONED, grace_until=None)
    if running is not None:
        await _plan_end(platform, running, None)
    await leaving.plan_leaving(platform, tenant, subject)
    is_new = await notices.note(
        tenant.id, NoticeKind.DEPROVISIONED, subject, now, left_plan_id=left.id if left is not None else None
    )
    left_code = left.code if left is not None else None
    return [TenantDeprovisioned(str(tenant.public_id), now, left_code)] if is_new else []


async def plan_of(platform: Platform, subscription: Subscription) -> Plan:
    """The plan of a subscription that is in force now."""
    return (await phases.in_force(platform, subscription, platform.clock.now()))[0].plan


async def _plan_end(platform: Platform, subscription: Subscription, plan_id: UUID | None) -> None:
    """Have the subscription ended as soon as may be; of several decisions the first stands."""
    await jobs.add_job(
        platform,
        tenant_id=subscription.tenant_id,
        topic=END,
        dedup=str(subscription.id),
        payload={"plan_id": str(plan_id) if plan_id else None},
    )


async def carry_out(platform: Platform, job: Job) -> None:
    """The job: each step looks whether it is done. Killed anywhere, it goes on where it was."""
    subscription = await Subscription.get(tenant_id=job.tenant_id, id=job.dedup)
    if periods.goes_on(subscription, platform.clock.now()):
        tenant = await Tenant.get(id=job.tenant_id)
        subscription = await endings.cancel_subscription(platform, tenant, ChangeAt.NOW)
        if periods.goes_on(subscription, platform.clock.now()):
            # Usage was counted a little ahead of the clock: the end lies behind it.
            raise jobs.NotYet("the subscription has not ended yet")
    if (plan_id := job.payload["plan_id"]) is not None:
        await _begin_again(platform, subscription, UUID(plan_id))
    async with jobs.completing(job):
        pass


async def _begin_again(platform: Platform, left: Subscription, plan_id: UUID) -> None:
    """Subscribe to the named plan with the seats that it allows, unless the tenant has another subscription by now."""
    tenant = await Tenant.get(id=left.tenant_id)
    latest = await subscriptions.latest_subscription(tenant.id)
    if latest.id != left.id or tenant.state is TenantState.DEPROVISIONED:
        return
    terms = await phases.load_terms(platform, plan_id)
    seats = phases.phase_at(await phases_of(tenant.id, left.id), platform.clock.now()).seats
    quota = terms.quotas.get(SEATS)
    if quota is not None and quota.policy is LimitPolicy.HARD:
        seats = min(seats, quota.units)
    await subscriptions.subscribe_tenant(platform, SubscribeTenant(tenant, plan_id, seats=seats, zone=left.zone))
