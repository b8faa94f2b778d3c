"""Subscriptions and their billing periods."""

from datetime import date, datetime
from enum import Enum

import strawberry
from strawberry import relay

from schema.discounts import Discount
from schema.money import Money
from schema.nodes import Node
from schema.plans import Plan
from schema.refusals import UserError


@strawberry.type(description="A half-open span: what happens exactly at `end` belongs to the next one.")
class BillingPeriod:
    start: datetime = strawberry.field(description="The first instant.")
    end: datetime = strawberry.field(description="The first instant that is not in it.")


@strawberry.type(description="What usage may cost in a billing period before somebody is told. It stops nothing.")
class Budget:
    amount: Money = strawberry.field(description="The budget.")
    alerts_at: list[int] = strawberry.field(description="Percentages of it that make an alert.")


@strawberry.enum(description="How fees are charged for a part of a billing period.")
class Proration(Enum):
    SECOND = strawberry.enum_value("SECOND", description="In proportion, to the second.")
    DAY = strawberry.enum_value(
        "DAY", description="In proportion, by local days: the day of a change counts as new, that of an end is billed."
    )
    NONE = strawberry.enum_value(
        "NONE", description="Not at all: a start or an end is charged in full, a change from the next period on."
    )


@strawberry.enum(description="When a change takes effect.")
class ChangeAt(Enum):
    NOW = strawberry.enum_value("NOW", description="At this instant.")
    PERIOD_END = strawberry.enum_value("PERIOD_END", description="When the running billing period is over.")


@strawberry.enum(description="Why the terms of a subscription changed.")
class PhaseReason(Enum):
    START = strawberry.enum_value("START", description="It began.")
    SEATS = strawberry.enum_value("SEATS", description="`changeSeats`.")
    PLAN = strawberry.enum_value("PLAN", description="`changePlan`.")
    AUTO_UPGRADE = strawberry.enum_value("AUTO_UPGRADE", description="A quota with that policy was passed.")
    PAUSE = strawberry.enum_value("PAUSE", description="`pauseSubscription`.")
    RESUME = strawberry.enum_value("RESUME", description="A pause ended.")


@strawberry.type(description="The terms of a subscription from a moment on, until the next phase begins.")
class SubscriptionPhase:
    starts_at: datetime = strawberry.field(description="One in the future is planned.")
    plan: Plan = strawberry.field(description="The version of the plan.")
    seats: int = strawberry.field(description="Users who may sign.")
    reason: PhaseReason = strawberry.field(description="Why it began.")
    is_paused: bool = strawberry.field(description="Whether there are no fees in it, and no new operations.")
    proration: Proration | None = strawberry.field(
        description="How its fees are charged in the period in which it begins; null leaves that to each billing model."
    )


@strawberry.type(description="A tenant on a version of a plan.")
class Subscription(Node):
    plan: Plan = strawberry.field(description="The version of the plan that is in force.")
    seats: int = strawberry.field(description="Users who may sign now.")
    is_paused: bool = strawberry.field(description="Whether it is paused now: no fees, and no new operations.")
    phases: list[SubscriptionPhase] = strawberry.field(description="Its terms over time, and those that are planned.")
    anchor_on: date = strawberry.field(description="The day from which billing periods are counted.")
    zone: str = strawberry.field(description="The IANA time zone in which a day begins.")
    started_at: datetime = strawberry.field(description="When it began.")
    trial_ends_at: datetime | None = strawberry.field(description="Until then nothing is billed; null without a trial.")
    ends_at: datetime | None = strawberry.field(description="When it ends or has ended; null if it goes on.")
    discounts: list[Discount] = strawberry.field(description="In the order in which they are taken off.")
    budget: Budget | None = strawberry.field(description="Set with `setBudget`.")
    is_mirrored: bool = strawberry.field(description="Whether Stripe has it; if not, that goes on by itself.")


@strawberry.input(description="A tenant and its plan.")
class SubscribeTenantInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Who.")
    plan_id: relay.GlobalID = strawberry.field(description="On which version of a plan.")
    seats: int = strawberry.field(default=1, description="Users who may sign.")
    zone: str = strawberry.field(default="UTC", description="IANA time zone in which a day begins.")
    anchor_on: date | None = strawberry.field(
        default=None,
        description="The day from which periods are counted, not in the future; today if missing. Not with a trial.",
    )
    trial_days: int = strawberry.field(
        default=0, description="Free days, today first; periods are then counted from the day on which they end."
    )
    proration: Proration = strawberry.field(
        default=Proration.SECOND, description="How the first period is charged if it begins before today."
    )


@strawberry.type(description="What became of `subscribeTenant`.")
class SubscribeTenantPayload:
    subscription: Subscription | None = strawberry.field(default=None, description="The running subscription.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="Another number of seats.")
class ChangeSeatsInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose.")
    seats: int = strawberry.field(description="Users who may sign from then on.")
    at: ChangeAt = strawberry.field(description="Within a period each billing model charges seats in its own way.")
    idempotency_key: str = strawberry.field(description="Names this change; the same again changes nothing more.")


@strawberry.type(description="What became of `changeSeats`.")
class ChangeSeatsPayload:
    subscription: Subscription | None = strawberry.field(default=None, description="With the change.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="Another plan, of the same currency and interval.")
class ChangePlanInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose.")
    plan_id: relay.GlobalID = strawberry.field(description="To which version of a plan.")
    at: ChangeAt = strawberry.field(
        description="Usage of a whole period is rated by the plan in force at its end, whenever it was used."
    )
    idempotency_key: str = strawberry.field(description="Names this change; the same again changes nothing more.")
    proration: Proration = strawberry.field(
        default=Proration.SECOND, description="How the fees of both plans are charged in the running period."
    )


@strawberry.type(description="What became of `changePlan`.")
class ChangePlanPayload:
    subscription: Subscription | None = strawberry.field(default=None, description="With the change.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="The end of a subscription.")
class CancelSubscriptionInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose.")
    at: ChangeAt = strawberry.field(description="NOW cuts the running period at this instant.")
    proration: Proration = strawberry.field(
        default=Proration.SECOND, description="With NOW, how the running period's fees are charged."
    )


@strawberry.type(description="What became of `cancelSubscription`.")
class CancelSubscriptionPayload:
    subscription: Subscription | None = strawberry.field(default=None, description="`endsAt` says when it ends.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="A pause of a subscription.")
class PauseSubscriptionInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose.")
    at: ChangeAt = strawberry.field(description="When the pause begins.")
    resumes_at: datetime | None = strawberry.field(
        default=None, description="When it ends by itself; without, `resumeSubscription` ends it."
    )
    idempotency_key: str = strawberry.field(description="Names this pause; the same again changes nothing more.")
    proration: Proration = strawberry.field(
        default=Proration.SECOND,
        description="How fees are charged in the periods in which the pause begins and ends.",
    )


@strawberry.type(description="What became of `pauseSubscription`.")
class PauseSubscriptionPayload:
    subscription: Subscription | None = strawberry.field(default=None, description="With the pause.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="Whose subscription goes on as it is.")
class ResumeSubscriptionInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose.")


@strawberry.type(description="What became of `resumeSubscription`.")
class ResumeSubscriptionPayload:
    subscription: Subscription | None = strawberry.field(default=None, description="Nothing is planned any more.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
