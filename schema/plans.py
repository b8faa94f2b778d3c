"""Plans, their prices and quotas, the billing models, and what a price would cost."""

from datetime import datetime
from decimal import Decimal
from enum import Enum

import strawberry

from schema.money import Money
from schema.nodes import Node
from schema.refusals import UserError
from schema.scalars import BigInt, CurrencyCode, Json


@strawberry.enum(description="How long a billing period lasts.")
class Interval(Enum):
    MONTH = strawberry.enum_value("MONTH", description="From an anchor day to the same day of the next month.")
    YEAR = strawberry.enum_value("YEAR", description="From an anchor day to the same day of the next year.")


@strawberry.enum(description="What happens at a quota.")
class LimitPolicy(Enum):
    SOFT = strawberry.enum_value("SOFT", description="It goes on; what is beyond is billed as the price says.")
    HARD = strawberry.enum_value("HARD", description="Refused with `QuotaExceeded` until the period resets.")


@strawberry.type(description="A billing model with its configuration, for one meter.")
class Price:
    meter: str = strawberry.field(description="What is counted.")
    model: str = strawberry.field(description="Code of the billing model.")
    config: Json = strawberry.field(description="The billing model's configuration, in full.")


@strawberry.type(description="The limit of a meter in a billing period.")
class Quota:
    meter: str = strawberry.field(description="What is limited.")
    units: BigInt = strawberry.field(description="The limit.")
    policy: LimitPolicy = strawberry.field(description="What happens there.")


@strawberry.type(description="One version of a plan. It never changes.")
class Plan(Node):
    code: str = strawberry.field(description="The plan's name for programs.")
    version: int = strawberry.field(description="Counted from 1.")
    name: str = strawberry.field(description="The plan's name for people.")
    currency: CurrencyCode = strawberry.field(description="The currency of all its prices.")
    interval: Interval = strawberry.field(description="How long a billing period lasts.")
    prices: list[Price] = strawberry.field(description="Everything that is charged.")
    quotas: list[Quota] = strawberry.field(description="Everything that is limited.")
    created_at: datetime = strawberry.field(description="When this version was made.")


@strawberry.type(description="A kind of price, built in or of a plugin.")
class BillingModel:
    code: str = strawberry.field(description="Unique; stands in every price of this model.")
    description: str = strawberry.field(description="What it does, in Markdown.")
    config_schema: Json = strawberry.field(description="JSON Schema of its configuration.")


@strawberry.input(description="A price to be.")
class PriceInput:
    meter: str = strawberry.field(description="What is counted, e.g. `documents_created`.")
    model: str = strawberry.field(description="Code of a billing model; `billingModels` lists them.")
    config: Json = strawberry.field(description="The billing model's configuration; amounts as strings.")


@strawberry.input(description="A limit to be.")
class QuotaInput:
    meter: str = strawberry.field(description="What is limited.")
    policy: LimitPolicy = strawberry.field(description="What happens at the limit.")
    units: BigInt | None = strawberry.field(
        default=None, description="The limit; if missing, what the meter's price includes."
    )


@strawberry.input(description="A plan. The same code with other content makes its next version.")
class CreatePlanInput:
    code: str = strawberry.field(description="The plan's name for programs.")
    name: str = strawberry.field(description="The plan's name for people.")
    currency: CurrencyCode = strawberry.field(description="The currency of all its prices.")
    prices: list[PriceInput] = strawberry.field(description="Everything that is charged, in the order of the bill.")
    quotas: list[QuotaInput] = strawberry.field(default_factory=list, description="Everything that is limited.")
    interval: Interval = strawberry.field(default=Interval.MONTH, description="How long a billing period lasts.")


@strawberry.type(description="What became of `createPlan`.")
class CreatePlanPayload:
    plan: Plan | None = strawberry.field(default=None, description="The version that now stands.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.type(description="One line of a bill; the total is the sum of the lines.")
class RatedLine:
    label: str = strawberry.field(description="For people.")
    quantity: Decimal = strawberry.field(description="How many.")
    unit_price: Decimal = strawberry.field(description="Of one, in major units, not rounded.")
    amount: Money = strawberry.field(description="Quantity × unit price, rounded half away from zero.")


@strawberry.type(description="What usage would cost, line by line: the same code as the bill.")
class RatedPrice:
    lines: list[RatedLine] = strawberry.field(description="Every line of the bill.")
    total: Money = strawberry.field(description="The sum of the lines.")
    allowance: Decimal | None = strawberry.field(description="Units that are included; null if nothing is.")
