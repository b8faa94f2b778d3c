"""Usage, quota, and recording facts that happened elsewhere."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

from strawberry import argument

from inkmeter.errors import NextPlan
from inkmeter.money import Money as ExactMoney
from inkmeter.usage import Meter
from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant
from resolvers.subscriptions import period_type
from schema import usage as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size
from schema.documents import CreditedUnits, QuotaDecision, QuotaReason
from schema.money import Money
from schema.nodes import TenantId
from schema.plans import LimitPolicy
from schema.refusals import next_plan_type, pack_type, user_error
from schema.scalars import Json, Quantity
from services import meters, quota, readings, usage
from services.decisions import Decision
from services.measures import MeterBook, quantity_of
from services.quota import QuotaStatus
from services.readings import ListedEvent
from services.usage import NewEvent


@query("What a tenant has used in a billing period.", name="usage")
async def current_usage(
    info: Info,
    tenant_id: TenantId = None,
    at: Annotated[datetime | None, argument(description="A moment in the period; the present if missing.")] = None,
    as_of: Annotated[
        datetime | None,
        argument(description="Answer what was known at this moment; all that is known now if missing."),
    ] = None,
) -> types.Usage:
    tenant = await acting_tenant(info, tenant_id)
    reading = await readings.read_usage(info.context.platform, tenant, at=at, as_of=as_of)
    return types.Usage(
        period=period_type(reading.period),
        meters=[
            types.MeterUsage(
                meter=entry.meter.code,
                unit=entry.meter.unit,
                used=shown(entry.meter, entry.used),
                reserved=shown(entry.meter, entry.reserved),
                credited=shown(entry.meter, entry.credited),
            )
            for entry in reading.meters
        ],
    )


def shown(meter: Meter, units: int) -> Quantity:
    """Stored units as the API shows them."""
    return Quantity(quantity_of(meter, units))


@query("The events that feed a meter, as they are stored for good, in the order in which they happened.")
async def usage_events(
    info: Info,
    meter: Annotated[str, argument(description="What is counted, e.g. `invites_sent`.")],
    tenant_id: TenantId = None,
    first: First = DEFAULT_PAGE,
    after: After = None,
) -> Connection[types.UsageEvent]:
    tenant, size = await acting_tenant(info, tenant_id), page_size(first)
    platform = info.context.platform
    source, rows = await readings.list_usage_events(platform, tenant, meter, decode_cursor(after, _place), size + 1)
    return page_of(rows, size, key=lambda row: row.place, node=lambda row: _event_type(source, row), after=after)


def _place(key: str) -> tuple[int, UUID]:
    moment, _, event_id = key.partition(" ")
    if len(moment) > len(str(2**60)):
        raise ValueError(key)
    return int(moment), UUID(event_id)


def _event_type(source: Meter, event: ListedEvent) -> types.UsageEvent:
    return types.UsageEvent(
        idempotency_key=event.idempotency_key,
        meter=event.meter,
        quantity=shown(source, event.quantity),
        properties=Json(dict(event.properties)),
        occurred_at=event.occurred_at,
        recorded_at=event.recorded_at,
        is_late=event.is_late,
        source=event.source,
        reverses=event.reverses,
        reversed_by=event.reversed_by,
        note=event.note,
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
    cap = limit.spend_cap_minor if limit else None
    return types.QuotaStatus(
        meter=status.meter,
        is_allowed=status.refusal is None,
        used=shown(meter, status.standing.used),
        reserved=shown(meter, status.standing.reserved),
        limit=shown(meter, limit.units) if limit else None,
        remaining=shown(meter, status.remaining) if status.remaining is not None else None,
        policy=LimitPolicy[limit.policy.name] if limit else None,
        credits=shown(meter, status.standing.credits),
        spend_cap=Money.of(ExactMoney(cap, status.terms.plan.currency)) if cap is not None else None,
        packs=[pack_type(pack) for pack in status.packs],
        next_plan=next_plan_type(status.next_plan) if status.next_plan else None,
        resets_at=status.period.ends_at,
        decision=_decision_type(decision, book) if decision else None,
        refusal=user_error(status.refusal) if status.refusal else None,
    )


def credited_types(covered: Mapping[str, int], book: MeterBook) -> list[CreditedUnits]:
    """What credits cover, by meter."""
    return [CreditedUnits(meter=code, units=shown(book[code], units)) for code, units in sorted(covered.items())]


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
    events = [NewEvent(e.meter, e.quantity, e.idempotency_key, e.occurred_at, e.properties) for e in input.events]
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
