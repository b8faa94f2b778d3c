"""Cases of dunning, stored: opened by the first failed payment, taken from step to step, closed when nothing is owed.

Everything here runs in the caller's transaction, which holds the tenant; `services/chasing.py` is the job that looks
at Stripe before a step is taken.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from inkmeter.events import Event, SigningRestricted, TenantRestored
from services import dunning, dunning_ends, jobs, notices, overdue, subscriptions
from services.dunning import Policy, Standing
from services.notices import NoticeKind
from services.plans import NewDunning
from services.platform import Platform
from storage.database import insert_new
from storage.dunning import DunningCase as DunningCase
from storage.dunning import DunningStep as DunningStep
from storage.plans import Plan
from storage.subscriptions import Subscription
from storage.tenants import Tenant, TenantState

LOOK: Final = "dunning.look"
RESTRICTED_DAYS: Final = 14
"""Days under restriction where a plan names none."""
PAUSED_FOR_PAYMENT: Final = ("first_payment_failure", "final_payment_failure")
GIVEN_UP: Final = ("unpaid", "paused")
"""Statuses of Stripe in which it collects no more."""
ENDED: Final = (DunningStep.DOWNGRADED, DunningStep.DEPROVISIONED)


def new_policy(platform: Platform, given: NewDunning) -> Policy:
    """A policy; where it is silent, the setting and the default hold."""
    return Policy(
        platform.terms.grace.days if given.grace_days is None else given.grace_days,
        RESTRICTED_DAYS if given.restricted_days is None else given.restricted_days,
        given.end,
        given.downgrade_plan_id,
    )


def policy_of_plan(platform: Platform, plan: Plan | None) -> Policy:
    """The policy of a plan, or of a tenant without one."""
    if plan is None:
        return new_policy(platform, NewDunning())
    given = NewDunning(plan.grace_days, plan.restricted_days, plan.dunning_end, plan.downgrade_plan_id)
    return new_policy(platform, given)


def policy_of(case: DunningCase) -> Policy:
    """The policy that held when the case began."""
    return Policy(case.grace_days, case.restricted_days, case.dunning_end, case.downgrade_plan_id)


async def open_case(tenant_id: int) -> DunningCase | None:
    """The tenant's open case."""
    return await DunningCase.get_or_none(tenant_id=tenant_id, closed_at=None)


async def open_cases(tenant_ids: Sequence[int]) -> Mapping[int, DunningCase]:
    """The open cases of those of a few hundred tenants that have one, by tenant."""
    return {case.tenant_id: case for case in await DunningCase.filter(tenant_id__in=tenant_ids, closed_at=None)}


async def follow_debts(platform: Platform, tenant: Tenant) -> list[Event]:
    """Open or close the tenant's case, as its debts say now."""
    events: list[Event] = []
    since = dunning.owed_since(await overdue.debts_of(tenant.id))
    case, closed = await open_case(tenant.id), None
    if case is not None and (since is None or since > case.since):
        events += await _close(platform, tenant, case)
        case, closed = None, case
    if case is None and since is not None:
        case = DunningCase(tenant_id=tenant.id, since=since, step=DunningStep.GRACE, step_at=since)
        await _begin(platform, tenant, case)
    await set_state(tenant, case, closed)
    return events


async def _begin(platform: Platform, tenant: Tenant, case: DunningCase) -> None:
    latest = await subscriptions.running_subscription(tenant.id) or (
        await Subscription.filter(tenant_id=tenant.id).order_by("-started_at", "-id").first()
    )
    policy = policy_of_plan(platform, await dunning_ends.plan_of(platform, latest) if latest is not None else None)
    case.grace_days, case.restricted_days = policy.grace_days, policy.restricted_days
    case.dunning_end, case.downgrade_plan_id = policy.end, policy.downgrade_plan_id
    await insert_new(case)
    wait = policy.grace_ends(case.since) - platform.clock.now()
    if await is_given_up(tenant.id):
        wait = timedelta()
    await jobs.add_job(platform, tenant_id=tenant.id, topic=LOOK, dedup=str(case.id), run_in=max(wait, timedelta()))


async def _close(platform: Platform, tenant: Tenant, case: DunningCase) -> list[Event]:
    now = platform.clock.now()
    await DunningCase.filter(tenant_id=tenant.id, id=case.id).update(closed_at=now)
    left = await Plan.get(id=case.left_plan_id) if case.left_plan_id is not None else None
    await notices.note(tenant.id, NoticeKind.RESTORED, case.id, now, left_plan_id=case.left_plan_id)
    return [TenantRestored(str(tenant.public_id), now, left.code if left is not None else None)]


async def set_state(tenant: Tenant, case: DunningCase | None, closed: DunningCase | None = None) -> None:
    """Store what the tenant may do. One that was deprovisioned, but not by the case that was closed just now, stays so.

    `tenant` is changed with its row.
    """
    was_ended = closed is not None and closed.step is DunningStep.DEPROVISIONED
    if tenant.state is TenantState.PROVISIONING or (tenant.state is TenantState.DEPROVISIONED and not was_ended):
        return
    tenant.state, tenant.grace_until = TenantState.ACTIVE, None
    if case is not None and case.step is DunningStep.GRACE:
        tenant.state, tenant.grace_until = TenantState.GRACE, policy_of(case).grace_ends(case.since)
    if (case is not None and case.step is DunningStep.RESTRICTED) or await _is_paused(tenant.id):
        tenant.state, tenant.grace_until = TenantState.RESTRICTED, None
    await Tenant.filter(id=tenant.id).update(state=tenant.state, grace_until=tenant.grace_until)


async def _is_paused(tenant_id: int) -> bool:
    """Whether Stripe has paused the subscription for another reason than a payment: no payment lifts that."""
    running = await subscriptions.running_subscription(tenant_id)
    return running is not None and running.stripe_status == "paused" and running.stripe_pause not in PAUSED_FOR_PAYMENT


async def is_given_up(tenant_id: int) -> bool:
    """Whether Stripe tries no more to collect for the running subscription."""
    running = await subscriptions.running_subscription(tenant_id)
    return running is not None and running.stripe_status in GIVEN_UP


async def wake(platform: Platform, tenant_id: int) -> None:
    """Have the tenant's open case looked at now."""
    if (case := await open_case(tenant_id)) is not None:
        await jobs.wake(platform, tenant_id, LOOK, str(case.id))


async def standing_of(platform: Platform, case: DunningCase) -> Standing:
    """How far a case has come by now, by the clock."""
    is_over = await is_given_up(case.tenant_id)
    return dunning.standing(case.since, policy_of(case), platform.clock.now(), is_given_up=is_over)


def next_step(tenant: Tenant, case: DunningCase) -> tuple[DunningStep, datetime] | None:
    """What comes if nobody pays, and when; None at the last step."""
    policy = policy_of(case)
    if case.step in ENDED or tenant.state is TenantState.DEPROVISIONED:
        return None
    if case.step is DunningStep.GRACE:
        return DunningStep.RESTRICTED, policy.grace_ends(case.since)
    return (policy.last_step, policy.ends(case.since)) if policy.last_step in ENDED else None


async def take_steps(platform: Platform, tenant: Tenant, case: DunningCase) -> list[Event]:
    """Take every step that is due, each once."""
    if tenant.state is TenantState.DEPROVISIONED:
        return []
    reached = (await standing_of(platform, case)).step
    events: list[Event] = []
    for step in dunning.steps_to_take(case.step, reached, policy_of(case)):
        now = platform.clock.now()
        if step is DunningStep.RESTRICTED:
            await notices.note(tenant.id, NoticeKind.RESTRICTED, case.id, now)
            owed = tuple(str(invoice.id) for invoice in await overdue.owed_invoices(tenant.id))
            events.append(SigningRestricted(str(tenant.public_id), now, owed))
            await _set_step(platform, tenant, case, step)
        else:
            events += await _end(platform, tenant, case)
    return events


async def _set_step(platform: Platform, tenant: Tenant, case: DunningCase, step: DunningStep) -> None:
    case.step, case.step_at = step, platform.clock.now()
    await DunningCase.filter(tenant_id=tenant.id, id=case.id).update(
        step=case.step, step_at=case.step_at, left_plan_id=case.left_plan_id
    )
    await set_state(tenant, case)


async def _end(platform: Platform, tenant: Tenant, case: DunningCase) -> list[Event]:
    running = await subscriptions.running_subscription(tenant.id)
    case.left_plan_id = (await dunning_ends.plan_of(platform, running)).id if running is not None else None
    events = await dunning_ends.leave_plan(platform, tenant, policy_of(case), str(case.id))
    if events is None:  # it has no plan any more: it stays restricted
        return []
    await _set_step(platform, await Tenant.get(id=tenant.id), case, policy_of(case).last_step)
    return events


async def end_at_stripe(platform: Platform, tenant: Tenant, subscription: Subscription) -> list[Event]:
    """Stripe has ended the subscription: it ends here, too, as the policy says."""
    now = platform.clock.now()
    plan = await dunning_ends.plan_of(platform, subscription)
    is_new = await notices.note(tenant.id, NoticeKind.SUBSCRIPTION_ENDED, subscription.id, now, left_plan_id=plan.id)
    if not is_new:
        return []
    case = await open_case(tenant.id)
    if case is not None and case.step not in ENDED and policy_of(case).last_step in ENDED:
        return await _end(platform, tenant, case)
    policy = policy_of_plan(platform, plan)
    return await dunning_ends.leave_plan(platform, tenant, policy, str(subscription.id)) or []
