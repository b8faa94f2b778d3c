"""Subscriptions and their billing periods."""

from datetime import date, datetime

import strawberry
from strawberry import relay

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


@strawberry.type(description="A tenant on a version of a plan.")
class Subscription(Node):
    plan: Plan = strawberry.field(description="The version of the plan.")
    seats: int = strawberry.field(description="Users who may sign.")
    anchor_on: date = strawberry.field(description="The day from which billing periods are counted.")
    zone: str = strawberry.field(description="The IANA time zone in which a day begins.")
    started_at: datetime = strawberry.field(description="When it began.")
    budget: Budget | None = strawberry.field(description="Set with `setBudget`.")
    is_mirrored: bool = strawberry.field(description="Whether Stripe has it; if not, that goes on by itself.")


@strawberry.input(description="A tenant and its plan.")
class SubscribeTenantInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Who.")
    plan_id: relay.GlobalID = strawberry.field(description="On which version of a plan.")
    seats: int = strawberry.field(default=1, description="Users who may sign.")
    zone: str = strawberry.field(default="UTC", description="IANA time zone in which a day begins.")
    anchor_on: date | None = strawberry.field(
        default=None, description="The day from which periods are counted, not in the future; today if missing."
    )


@strawberry.type(description="What became of `subscribeTenant`.")
class SubscribeTenantPayload:
    subscription: Subscription | None = strawberry.field(default=None, description="The running subscription.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
