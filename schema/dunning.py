"""Dunning: what becomes of a tenant that does not pay, as a plan says, and how far it has come."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import relay

from schema.refusals import NextPlan, UnpaidInvoice


@strawberry.enum(description="How far a case of dunning has come.")
class DunningStep(Enum):
    GRACE = strawberry.enum_value("GRACE", description="A payment failed; everything goes on.")
    RESTRICTED = strawberry.enum_value("RESTRICTED", description="New signing is refused, reads go on.")
    DOWNGRADED = strawberry.enum_value("DOWNGRADED", description="The tenant goes on, on the plan that its plan names.")
    DEPROVISIONED = strawberry.enum_value(
        "DEPROVISIONED", description="The subscription has ended; operations are refused, reads go on."
    )


@strawberry.enum(description="What becomes of a tenant when its days under restriction are over.")
class DunningEnd(Enum):
    RESTRICT = strawberry.enum_value("RESTRICT", description="It stays restricted until it pays.")
    DOWNGRADE = strawberry.enum_value("DOWNGRADE", description="It goes on, on another plan.")
    DEPROVISION = strawberry.enum_value("DEPROVISION", description="Its subscription ends.")


@strawberry.type(description="What becomes of tenants on a plan that do not pay.")
class DunningPolicy:
    grace_days: int | None = strawberry.field(
        description="Days from the first failed payment until new signing is refused; null leaves it to the setting."
    )
    restricted_days: int = strawberry.field(description="Days from then until the end.")
    then: DunningEnd = strawberry.field(description="The end.")
    downgrade_plan: NextPlan | None = strawberry.field(description="Where a downgrade leads.")


@strawberry.input(description="What becomes of tenants that do not pay.")
class DunningPolicyInput:
    grace_days: int | None = strawberry.field(
        default=None, description="Days from the first failed payment until new signing is refused; else the setting's."
    )
    restricted_days: int | None = strawberry.field(default=None, description="Days from then until the end; else 14.")
    then: DunningEnd = strawberry.field(default=DunningEnd.RESTRICT, description="The end.")
    downgrade_plan_id: relay.GlobalID | None = strawberry.field(
        default=None, description="With DOWNGRADE, an existing plan of the same currency."
    )


@strawberry.type(description="A tenant owes: from its first failed payment on, until nothing is owed.")
class Dunning:
    step: DunningStep = strawberry.field(description="The last step that was taken.")
    since: datetime = strawberry.field(description="When the first payment failed, as far as we know.")
    next_step: DunningStep | None = strawberry.field(description="What comes if nobody pays; null at the last step.")
    next_at: datetime | None = strawberry.field(description="When that comes.")
    invoices: list[UnpaidInvoice] = strawberry.field(description="What is owed, with the pages where it is paid.")
