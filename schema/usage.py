"""Usage, quota, and recording facts that happened elsewhere."""

from datetime import datetime
from decimal import Decimal
from enum import Enum

import strawberry
from strawberry import relay

from schema.documents import QuotaDecision
from schema.money import Money
from schema.plans import LimitPolicy
from schema.refusals import NextPlan, TopUpPack, UserError
from schema.scalars import BigInt
from schema.subscriptions import BillingPeriod


@strawberry.type(description="What a meter has counted in a period.")
class MeterUsage:
    meter: str = strawberry.field(description="Code of the meter.")
    used: BigInt = strawberry.field(description="Units that count.")
    reserved: BigInt = strawberry.field(description="Units of operations that have no answer yet.")


@strawberry.type(description="The usage of a tenant in a billing period.")
class Usage:
    period: BillingPeriod = strawberry.field(description="The period.")
    meters: list[MeterUsage] = strawberry.field(description="Every meter.")


@strawberry.type(description="How a meter stands, and what more units would meet. Nothing is reserved by asking.")
class QuotaStatus:
    meter: str = strawberry.field(description="Code of the meter.")
    is_allowed: bool = strawberry.field(description="Whether the units asked for could be used now.")
    used: BigInt = strawberry.field(description="Units used in this period.")
    reserved: BigInt = strawberry.field(description="Units reserved in this period.")
    limit: BigInt | None = strawberry.field(description="The quota's limit; null without one.")
    remaining: BigInt | None = strawberry.field(description="Units left under the limit; null without one.")
    policy: LimitPolicy | None = strawberry.field(description="What happens at the limit; null without one.")
    credits: Decimal = strawberry.field(description="Credits that are free to pay for what is beyond the limit.")
    spend_cap: Money | None = strawberry.field(description="The most that the period's overage may cost.")
    packs: list[TopUpPack] = strawberry.field(description="Credits that the plan offers for the meter.")
    next_plan: NextPlan | None = strawberry.field(description="The plan's successor, if it has one.")
    resets_at: datetime = strawberry.field(description="When the next billing period begins.")
    decision: QuotaDecision | None = strawberry.field(description="Why they are allowed, at what price.")
    refusal: UserError | None = strawberry.field(description="Why they are not.")


@strawberry.input(description="A fact to be counted.")
class UsageEventInput:
    meter: str = strawberry.field(description="What is counted.")
    quantity: BigInt = strawberry.field(description="How many, one or more.")
    idempotency_key: str = strawberry.field(description="Yours; the same fact is counted once.")
    occurred_at: datetime | None = strawberry.field(
        default=None, description="When; decides the billing period. The present if missing."
    )


@strawberry.input(description="Up to 1,000 facts.")
class RecordUsageInput:
    events: list[UsageEventInput] = strawberry.field(description="Each is answered by itself.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


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
