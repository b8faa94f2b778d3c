"""Usage, quota, and recording facts that happened elsewhere."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry
from strawberry import relay
from strawberry.types.arguments import InputContext
from strawberry.types.base import get_object_definition

from schema.documents import QuotaDecision
from schema.money import Money
from schema.plans import LimitPolicy
from schema.refusals import NextPlan, TopUpPack, UserError
from schema.scalars import Json, Quantity
from schema.subscriptions import BillingPeriod


@strawberry.type(description="What a meter has counted in a period.")
class MeterUsage:
    meter: str = strawberry.field(description="Code of the meter.")
    unit: str = strawberry.field(description="One of it, for people.")
    used: Quantity = strawberry.field(description="Units that count.")
    reserved: Quantity = strawberry.field(description="Units of operations that have no answer yet.")
    credited: Quantity = strawberry.field(description="Units, of those used, that were paid for with credits.")


@strawberry.type(description="The usage of a tenant in a billing period.")
class Usage:
    period: BillingPeriod = strawberry.field(description="The period.")
    meters: list[MeterUsage] = strawberry.field(description="Every meter.")


@strawberry.type(description="How a meter stands, and what more units would meet. Nothing is reserved by asking.")
class QuotaStatus:
    meter: str = strawberry.field(description="Code of the meter.")
    is_allowed: bool = strawberry.field(description="Whether the units asked for could be used now.")
    used: Quantity = strawberry.field(description="Units used in this period.")
    reserved: Quantity = strawberry.field(description="Units reserved in this period.")
    limit: Quantity | None = strawberry.field(description="The quota's limit; null without one.")
    remaining: Quantity | None = strawberry.field(description="Units left under the limit; null without one.")
    policy: LimitPolicy | None = strawberry.field(description="What happens at the limit; null without one.")
    credits: Quantity = strawberry.field(description="Credits that are free to pay for what is beyond the limit.")
    spend_cap: Money | None = strawberry.field(description="The most that the period's overage may cost.")
    packs: list[TopUpPack] = strawberry.field(description="Credits that the plan offers for the meter.")
    next_plan: NextPlan | None = strawberry.field(description="The plan's successor, if it has one.")
    resets_at: datetime = strawberry.field(description="When the next billing period begins.")
    decision: QuotaDecision | None = strawberry.field(description="Why they are allowed, at what price.")
    refusal: UserError | None = strawberry.field(description="Why they are not.")


@strawberry.input(description="A fact to be counted.")
class UsageEventInput:
    meter: str = strawberry.field(description="What is counted.")
    idempotency_key: str = strawberry.field(description="Yours; the same fact is counted once.")
    occurred_at: datetime | None = strawberry.field(
        default=None, description="When; decides the billing period. The present if missing."
    )
    quantity: Quantity = strawberry.field(
        default=Quantity(Decimal(1)), description="How many of the meter's units: more than zero, one if missing."
    )
    properties: Json | None = strawberry.field(
        default=None,
        description="What else is known of it, for meters that count or filter by it: up to 20 strings, whole numbers "
        "and booleans, kept as text.",
    )


@strawberry.type(description="A fact that was counted, as it is stored for good.")
class UsageEvent:
    idempotency_key: str = strawberry.field(description="Unique in the tenant.")
    meter: str = strawberry.field(description="What was counted; other meters may be fed by it.")
    quantity: Quantity = strawberry.field(description="How many; negative where it takes another event back.")
    properties: Json = strawberry.field(description="What else is known of it; every value is text.")
    occurred_at: datetime = strawberry.field(description="When it happened; decides the billing period.")
    recorded_at: datetime = strawberry.field(description="When Inkmeter came to know of it.")
    is_late: bool = strawberry.field(description="Whether its period was closed by then: it is billed with the next.")
    source: str = strawberry.field(description="Where it came from: `api`, `operation`, `signnow`, `correction`.")
    reverses: str | None = strawberry.field(description="Key of the event that it takes back.")
    reversed_by: str | None = strawberry.field(description="Key of the event that took it back: it does not count.")
    note: str | None = strawberry.field(description="Why it was corrected.")


@strawberry.input(description="Up to 1,000 facts.")
class RecordUsageInput:
    events: list[UsageEventInput] = strawberry.field(description="Each is answered by itself.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


def _read_usage(_: type, given: Mapping[str, Any], context: InputContext) -> RecordUsageInput:
    """The input of coerced values. Strawberry would look up names and types of each field of each event: of a thousand
    events that takes longer than all the rest of the request, and their fields are scalars, which need nothing more.
    """
    return RecordUsageInput(
        events=[
            UsageEventInput(
                meter=event["meter"],
                idempotency_key=event["idempotencyKey"],
                occurred_at=event.get("occurredAt"),
                quantity=event["quantity"],
                properties=event.get("properties"),
            )
            for event in given["events"]
        ],
        tenant_id=context.convert(given.get("tenantId"), relay.GlobalID, "tenantId"),  # type: ignore[arg-type]
    )


get_object_definition(RecordUsageInput, strict=True).from_input = _read_usage


@strawberry.enum(description="What became of an event.")
class RecordStatus(Enum):
    RECORDED = strawberry.enum_value("RECORDED", description="It counts.")
    DUPLICATE = strawberry.enum_value("DUPLICATE", description="It counted before.")
    REFUSED = strawberry.enum_value("REFUSED", description="It does not count; `userError` says why.")


@strawberry.type(description="What became of one event.")
class RecordResult:
    idempotency_key: str = strawberry.field(description="The event's.")
    status: RecordStatus = strawberry.field(description="What became of it.")
    user_error: UserError | None = strawberry.field(description="Why it was refused.")


@strawberry.type(description="What became of `recordUsage`.")
class RecordUsagePayload:
    results: list[RecordResult] = strawberry.field(default_factory=list, description="In the order of the events.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why the batch was refused.")
