"""Alerts and budgets."""

from datetime import datetime
from decimal import Decimal
from enum import Enum

import strawberry
from strawberry import relay

from schema.money import Money
from schema.nodes import Node
from schema.refusals import UserError
from schema.scalars import Quantity
from schema.subscriptions import Subscription


@strawberry.enum(description="What a threshold is a part of.")
class AlertKind(Enum):
    QUOTA = strawberry.enum_value("QUOTA", description="Of the quota: so much of it is used in this period.")
    CREDITS = strawberry.enum_value("CREDITS", description="Of the credits that were there after the last grant.")
    SPEND = strawberry.enum_value("SPEND", description="Of the subscription's budget: usage costs so much of it.")
    MARGIN = strawberry.enum_value(
        "MARGIN", description="Of a month's revenue: SignNow costs more than the tenant brings. Operator only."
    )


@strawberry.type(description="A threshold was crossed. It is told once: per period, or since the last grant.")
class Alert(Node):
    kind: AlertKind = strawberry.field(description="What it is a part of.")
    meter: str | None = strawberry.field(description="Code of the meter; null for SPEND and MARGIN.")
    percent: int = strawberry.field(description="The threshold.")
    units: Quantity | None = strawberry.field(description="Units that were used then; null for SPEND and MARGIN.")
    bound: Quantity | None = strawberry.field(
        description="The units that the threshold is a part of; null for SPEND and MARGIN."
    )
    spent: Money | None = strawberry.field(
        description="What usage cost then, for SPEND; the upstream cost, for MARGIN."
    )
    budget: Money | None = strawberry.field(description="The budget, for SPEND; the month's revenue, for MARGIN.")
    since: datetime = strawberry.field(
        description="The start of the period; for CREDITS the last grant, for MARGIN the month."
    )
    created_at: datetime = strawberry.field(description="When it was crossed.")


@strawberry.input(description="A budget for what usage costs in a billing period. It stops nothing, it alerts.")
class SetBudgetInput:
    amount: Decimal | None = strawberry.field(
        default=None, description="In major units of the tenant's currency; null removes the budget."
    )
    alerts_at: list[int] = strawberry.field(
        default_factory=lambda: [50, 80, 100],
        description="Percentages of it that make an alert, from 1 to 1000, ascending.",
    )
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `setBudget`.")
class SetBudgetPayload:
    subscription: Subscription | None = strawberry.field(default=None, description="The running subscription.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
