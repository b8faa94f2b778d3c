"""Notices about payments."""

from datetime import datetime
from enum import Enum

import strawberry

from schema.nodes import Node
from schema.refusals import NextPlan, UnpaidInvoice


@strawberry.enum(description="What a notice tells.")
class NoticeKind(Enum):
    PAYMENT_FAILED = strawberry.enum_value("PAYMENT_FAILED", description="The first payment of an invoice failed.")
    PAYMENT_ACTION_REQUIRED = strawberry.enum_value(
        "PAYMENT_ACTION_REQUIRED", description="The bank asks the tenant to confirm a payment."
    )
    RESTRICTED = strawberry.enum_value("RESTRICTED", description="The grace is over: new signing is refused.")
    DOWNGRADED = strawberry.enum_value("DOWNGRADED", description="The tenant goes on, on another plan.")
    DEPROVISIONED = strawberry.enum_value("DEPROVISIONED", description="The subscription ends; operations are refused.")
    RESTORED = strawberry.enum_value("RESTORED", description="Nothing is owed any more.")
    SUBSCRIPTION_PAUSED = strawberry.enum_value(
        "SUBSCRIPTION_PAUSED", description="The subscription was paused at Stripe."
    )
    SUBSCRIPTION_ENDED = strawberry.enum_value(
        "SUBSCRIPTION_ENDED", description="The subscription was ended at Stripe, and so ends here."
    )
    TRIAL_ENDING = strawberry.enum_value("TRIAL_ENDING", description="A trial at Stripe ends soon.")


@strawberry.type(description="Something that operator and tenant should know about payments. It is told once.")
class Notice(Node):
    kind: NoticeKind = strawberry.field(description="What it tells.")
    invoice: UnpaidInvoice | None = strawberry.field(description="The invoice that it is about.")
    plan: NextPlan | None = strawberry.field(description="The plan on which the tenant goes on.")
    left_plan: NextPlan | None = strawberry.field(
        description="The plan that was left. A payment does not bring it back: `changePlan` or `subscribeTenant` does."
    )
    until: datetime | None = strawberry.field(description="For TRIAL_ENDING, when it ends.")
    created_at: datetime = strawberry.field(description="When it was told.")
