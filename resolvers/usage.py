"""Usage, quota, and recording facts that happened elsewhere."""

from typing import Annotated

from strawberry import argument

from inkmeter.errors import NextPlan
from inkmeter.money import Money as ExactMoney
from resolvers.context import Info
from resolvers.documents import credited_types
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant
from resolvers.subscriptions import period_type
from schema import usage as types
from schema.documents import QuotaDecision, QuotaReason
from schema.money import Money
from schema.nodes import TenantId
from schema.plans import LimitPolicy
from schema.refusals import next_plan_type, pack_type, user_error
from schema.scalars import BigInt
from services import meters, phases, quota, subscriptions, usage
from services.decisions import Decision
from services.measures import MeterBook, quantity_of
from services.quota import QuotaStatus
from services.usage import NewEvent


@query("What a tenant has used in its current billing period.", name="usage")
async def current_usage(info: Info, tenant_id: TenantId = None) -> types.Usage:
    tenant = await acting_tenant(info, tenant_id)
    platform = info.context.platform
    subscription, period = await subscriptions.require_current(platform, tenant.id)
    _, seats = await phases.in_force(platform, subscription, platform.clock.now())
    meters = await usage.aggregate_usage(tenant.id, period.span, seats)
    return types.Usage(
        period=period_type(period),
        meters=[types.MeterUsage(meter=m.meter, used=BigInt(m.used), reserved=BigInt(m.reserved)) for m in meters],
    )


@query("Whether more units could be used now, and at what price. Nothing is reserved.")
async def check_quota(
    info: Info,
    meter: Annotated[str, argument(description="What is counted, e.g. `invites_sent`.")],
    quantity: Annotated[int, argument(description="How many more units.")] = 1,
    tenant_id: TenantId = None,
) -> types.QuotaStatus:
    tenant = await acting_tenant(info, tenant_id)
    status = await quota.check_quota(info.context.platform, tenant, meter, quantity)
    covered = status.decision.credits if status.decision else {}
    return status_type(status, await meters.find_meters(info.context.platform, meter, *covered))


def status_type(status: QuotaStatus, book: MeterBook) -> types.QuotaStatus:
    """How a meter stands, as the API shows it."""
    limit, decision, meter = status.quota, status.decision, book[status.meter]

    def whole(units: int) -> BigInt:
        return BigInt(int(quantity_of(meter, units)))

    cap = limit.spend_cap_minor if limit else None
    return types.QuotaStatus(
        meter=status.meter,
        is_allowed=status.refusal is None,
        used=whole(status.standing.used),
        reserved=whole(status.standing.reserved),
        limit=whole(limit.units) if limit else None,
        remaining=whole(status.remaining) if status.remaining is not None else None,
        policy=LimitPolicy[limit.policy.name] if limit else None,
        credits=quantity_of(meter, status.standing.credits),
        spend_cap=Money.of(ExactMoney(cap, status.terms.plan.currency)) if cap is not None else None,
        packs=[pack_type(pack) for pack in status.packs],
        next_plan=next_plan_type(status.next_plan) if status.next_plan else None,
        resets_at=status.period.ends_at,
        decision=_decision_type(decision, book) if decision else None,
        refusal=user_error(status.refusal) if status.refusal else None,
    )


def _decision_type(decision: Decision, book: MeterBook) -> QuotaDecision:
    plan = decision.terms.plan
    return QuotaDecision(
        reason=QuotaReason[decision.reason.name],
        price=Money.of(decision.price),
        credits=credited_types(decision.credits, book),
        plan=next_plan_type(NextPlan(str(plan.id), plan.code, plan.name)) if decision.upgraded_for else None,
    )


@mutation("Count facts that happened elsewhere. Each is answered; a bad one never rejects the others.")
async def record_usage(info: Info, input: types.RecordUsageInput) -> types.RecordUsagePayload:
    tenant = await acting_tenant(info, input.tenant_id)
    events = [NewEvent(e.meter, e.quantity, e.idempotency_key, e.occurred_at) for e in input.events]
    results = await usage.record_usage(info.context.platform, tenant, events)
    return types.RecordUsagePayload(
        results=[
            types.RecordResult(
                idempotency_key=result.idempotency_key,
                status=types.RecordStatus[result.status.name],
                user_error=user_error(result.refusal) if result.refusal else None,
            )
            for result in results
        ]
    )
