"""The operator's margin."""

from datetime import date
from decimal import Decimal
from enum import Enum

import strawberry
from strawberry import relay

from schema.money import Money
from schema.scalars import BigInt, CurrencyCode


@strawberry.enum(description="What the rows of a margin's table are.")
class MarginGroup(Enum):
    TENANT = strawberry.enum_value("TENANT", description="A tenant each.")
    PLAN = strawberry.enum_value("PLAN", description="A plan each, all versions of a code together.")
    BILLING_MODEL = strawberry.enum_value(
        "BILLING_MODEL", description="A billing model each. A cost belongs to the model that prices invites."
    )
    MONTH = strawberry.enum_value("MONTH", description="A calendar month each, in which billing periods begin.")


@strawberry.input(description="A span of whole months.")
class MonthsInput:
    from_: date = strawberry.field(name="from", description="The first day of the first month.")
    to: date = strawberry.field(description="The first day of the month after the last one.")


@strawberry.type(description="What tenants owe.")
class Revenue:
    rated: Money = strawberry.field(description="As known now: what would be billed if everything were billed anew.")
    billed: Money = strawberry.field(description="The lines of all invoices for these periods.")
    collected: Money = strawberry.field(description="The lines of the invoices among them that are paid.")


@strawberry.type(description="What SignNow costs, and what that leaves of the rated revenue.")
class CostMargin:
    cost: Money = strawberry.field(description="The upstream cost.")
    margin: Money = strawberry.field(description="Rated revenue less the cost.")
    percent: Decimal | None = strawberry.field(
        description="The margin in percent of the rated revenue, to a hundredth; null without revenue."
    )


@strawberry.type(description="A group in one currency. Nothing is converted.")
class MarginRow:
    tenant_id: relay.GlobalID | None = strawberry.field(description="The tenant, for TENANT.")
    name: str | None = strawberry.field(
        description="The tenant's name, or the plan's, model's or month's code; null for what belongs to none."
    )
    currency: CurrencyCode = strawberry.field(description="The currency of the row.")
    also_in: list[CurrencyCode] = strawberry.field(description="Currencies in which the group has rows, too.")
    revenue: Revenue = strawberry.field(description="What tenants owe.")
    declared: CostMargin = strawberry.field(description="By our cost table and events.")
    actual: CostMargin | None = strawberry.field(
        description="By SignNow's bills, shared out by units; null where no bill covers any of the span."
    )
    units_sold: BigInt = strawberry.field(description="Invites that tenants used.")
    units_bought: BigInt = strawberry.field(description="Upstream units that SignNow charges.")


@strawberry.type(description="The margin of a span of months.")
class Margin:
    rows: list[MarginRow] = strawberry.field(description="A row for each group and currency, in order.")
    totals: list[MarginRow] = strawberry.field(description="What the rows come to, for each currency.")
