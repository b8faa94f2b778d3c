"""Counters held against what they stand for."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import relay

from schema.refusals import UserError
from schema.scalars import Quantity


@strawberry.enum(description="What of a counter differs.")
class CounterSum(Enum):
    USED = strawberry.enum_value("USED", description="The units used, from the events.")
    RESERVED = strawberry.enum_value("RESERVED", description="The units reserved, from the open operations.")
    CREDITED = strawberry.enum_value("CREDITED", description="The units paid with credits, from the credits' entries.")
    VALUE = strawberry.enum_value("VALUE", description="How many events show a value that is told apart.")
    REMAINING = strawberry.enum_value("REMAINING", description="What is left of a grant, from its entries.")


@strawberry.type(description="Where a counter is not what it must be.")
class CounterDifference:
    period_start: datetime | None = strawberry.field(description="The billing period; null for a grant of credits.")
    meter: str = strawberry.field(description="Code of the meter.")
    sum: CounterSum = strawberry.field(description="What of it differs.")
    of: str | None = strawberry.field(description="The value that is told apart, or the grant.")
    stored: Quantity = strawberry.field(description="What stood there.")
    expected: Quantity = strawberry.field(description="What it must be.")


@strawberry.type(description="What was found, and put right unless it was only a check.")
class CounterReport:
    periods: int = strawberry.field(description="How many billing periods were looked at.")
    differences: list[CounterDifference] = strawberry.field(description="Everything that differed; usually nothing.")


@strawberry.input(description="Whose counters.")
class RebuildCountersInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose.")
    check: bool = strawberry.field(default=False, description="Only look; change nothing.")


@strawberry.type(description="What became of `rebuildCounters`.")
class RebuildCountersPayload:
    report: CounterReport | None = strawberry.field(default=None, description="What was found.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
