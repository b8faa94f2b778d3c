"""Pausing a subscription: plan and seats stand, but no fee is due and no operation begins.

What happens all the same, such as a signature on a document that is out, is counted and billed as ever.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from inkmeter.periods import Proration
from services import metered_terms, phases
from services.changes import Change, ChangeAt, Placed, changing, find_repeated, replan
from services.platform import Platform
from services.problems import Problems
from storage.subscriptions import Phase, PhaseReason, Subscription
from storage.tenants import Tenant


@dataclass(frozen=True, slots=True)
class PauseSubscription:
    """No fees and no new operations, until `resumes_at` or `resumeSubscription`."""

    tenant: Tenant
    at: ChangeAt
    idempotency_key: str
    resumes_at: datetime | None = None
    proration: Proration = Proration.SECOND


async def pause_subscription(platform: Platform, command: PauseSubscription) -> Subscription:
    """Pause. The same key again changes nothing more.

    Raises InvalidInput, SubscriptionInactive, and Conflict for a key that stands for another change.
    """
    problems = Problems()
    problems.check_key(command.idempotency_key, "idempotencyKey")
    problems.refuse()

    if (repeated := await find_repeated(command, await _is_same(command))) is not None:
        return repeated
    async with changing(platform, command.tenant) as change:
        if (repeated := await find_repeated(command, await _is_same(command))) is not None:
            return repeated
        placed = await _place(platform, change, command)
    await platform.plugins.publish(placed.event(command.tenant, change.now))
    return await Subscription.get(tenant_id=command.tenant.id, id=change.subscription.id)


async def _is_same(command: PauseSubscription) -> Callable[[Phase], bool]:
    tenant_id = command.tenant.id
    made = await Phase.get_or_none(tenant_id=tenant_id, idempotency_key=command.idempotency_key)
    resuming = await Phase.filter(
        tenant_id=tenant_id, reason=PhaseReason.RESUME, created_at=made.created_at if made else None
    )
    ends = [phase.starts_at for phase in resuming if phase.starts_at > phase.created_at]

    def is_same(phase: Phase) -> bool:
        is_pause = (phase.reason, phase.proration) == (PhaseReason.PAUSE, command.proration)
        return is_pause and ends == ([command.resumes_at] if command.resumes_at else [])

    return is_same


async def _place(platform: Platform, change: Change, command: PauseSubscription) -> Placed:
    moment, resumes_at = change.moment(command.at), command.resumes_at
    if resumes_at is not None:
        problems = Problems()
        problems.check(resumes_at > moment, f"is after {moment.isoformat()}, when the pause begins", "resumesAt")
        problems.refuse()
    before = phases.phase_at(change.phases, moment)
    await metered_terms.check_pause(platform, change.phases, moment)
    await replan(change, moment, is_paused=True)
    await change.add(moment, PhaseReason.PAUSE, command.proration, command.idempotency_key, is_paused=True)
    if resumes_at is not None:
        last = phases.phase_at(change.phases, resumes_at)
        await replan(change, resumes_at, is_paused=False)
        terms = {"plan_id": last.plan_id, "seats": last.seats, "is_paused": False}
        await change.add(resumes_at, PhaseReason.RESUME, command.proration, None, **terms)
    return Placed(await phases.load_terms(platform, before.plan_id), before.seats, moment)
