"""What is reported to Stripe's meters, and what Stripe's side of the plans looks like."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import relay

from schema.refusals import UserError
from schema.scalars import BigInt


@strawberry.enum(description="What is known of a report.")
class ReportState(Enum):
    PENDING = strawberry.enum_value("PENDING", description="It was not sent.")
    SENDING = strawberry.enum_value("SENDING", description="It was sent, and nobody knows with what outcome.")
    SENT = strawberry.enum_value("SENT", description="Stripe has taken it.")
    CONFIRMED = strawberry.enum_value("CONFIRMED", description="It is in Stripe's sums of its day.")
    CANCELLING = strawberry.enum_value("CANCELLING", description="It is being taken back.")
    CANCELLED = strawberry.enum_value("CANCELLED", description="It was taken back.")
    FAILED = strawberry.enum_value("FAILED", description="Stripe has not counted it.")


@strawberry.type(description="Units that were reported to one of Stripe's meters.")
class UsageReport:
    identifier: str = strawberry.field(description="Stripe's identifier of the meter event.")
    meter: str = strawberry.field(description="Code of the meter.")
    units: BigInt = strawberry.field(description="How many.")
    at: datetime = strawberry.field(description="The time that Stripe was told.")
    state: ReportState = strawberry.field(description="What is known of it.")
    reason: str | None = strawberry.field(description="Why it failed, or was not taken back.")


@strawberry.input(description="Whose usage.")
class ReportUsageToStripeInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose.")


@strawberry.type(description="What stands reported.")
class UsageReporting:
    reports: list[UsageReport] = strawberry.field(
        description="All reports of the METERED billing periods that are not closed."
    )


@strawberry.type(description="What became of `reportUsageToStripe`.")
class ReportUsageToStripePayload:
    reporting: UsageReporting | None = strawberry.field(default=None, description="What stands reported now.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.enum(description="What of an object at Stripe is not as it was made.")
class DriftKind(Enum):
    PRODUCT_NAME = strawberry.enum_value("PRODUCT_NAME", description="A product is not called like its plan.")
    PRODUCT_INACTIVE = strawberry.enum_value("PRODUCT_INACTIVE", description="A product was archived.")
    PRICE_INACTIVE = strawberry.enum_value("PRICE_INACTIVE", description="A price was archived.")
    PRICE_LOOKUP_KEY = strawberry.enum_value("PRICE_LOOKUP_KEY", description="A lookup key was moved or removed.")
    PRICE_TERMS = strawberry.enum_value("PRICE_TERMS", description="A price has other amounts.")
    METER_INACTIVE = strawberry.enum_value("METER_INACTIVE", description="A meter was deactivated.")
    METER_SETTINGS = strawberry.enum_value("METER_SETTINGS", description="A meter reads or sums in another way.")
    MISSING = strawberry.enum_value("MISSING", description="It is not there any more.")


@strawberry.type(description="Something at Stripe that is not as Inkmeter made it.")
class StripeDrift:
    kind: DriftKind = strawberry.field(description="What differs.")
    subject: str = strawberry.field(description="Code of the plan or the meter.")
    stripe_id: str = strawberry.field(description="The object at Stripe.")
    expected: str = strawberry.field(description="What it must be.")
    found: str = strawberry.field(description="What it is.")
    is_repairable: bool = strawberry.field(description="Whether `repairStripeMirror` puts it right.")


@strawberry.input(description="Which part of the mirror.")
class RepairStripeMirrorInput:
    plan_code: str | None = strawberry.field(default=None, description="Only this plan's product and prices.")


@strawberry.type(description="What was put right at Stripe.")
class MirrorRepair:
    repaired: list[StripeDrift] = strawberry.field(description="What was put right.")
    left: list[StripeDrift] = strawberry.field(description="What somebody has to decide.")


@strawberry.type(description="What became of `repairStripeMirror`.")
class RepairStripeMirrorPayload:
    repair: MirrorRepair | None = strawberry.field(default=None, description="What was put right, and what is left.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
