"""Plans, their prices and quotas, the billing models, and what a price would cost."""

from datetime import datetime
from decimal import Decimal
from enum import Enum

import strawberry
from strawberry import relay

from schema.dunning import DunningPolicy, DunningPolicyInput
from schema.money import Money
from schema.nodes import Node
from schema.refusals import NextPlan, TopUpPack, UserError
from schema.scalars import BigInt, CurrencyCode, Json


@strawberry.enum(description="How long a billing period lasts.")
class Interval(Enum):
    MONTH = strawberry.enum_value("MONTH", description="From an anchor day to the same day of the next month.")
    YEAR = strawberry.enum_value("YEAR", description="From an anchor day to the same day of the next year.")


@strawberry.enum(description="What happens at a quota.")
class LimitPolicy(Enum):
    SOFT = strawberry.enum_value("SOFT", description="It goes on; what is beyond is billed as the price says.")
    HARD = strawberry.enum_value("HARD", description="Refused with `QuotaExceeded` until the period resets.")
    TOP_UP = strawberry.enum_value("TOP_UP", description="Refused with `TopUpRequired` until credits are bought.")
    AUTO_UPGRADE = strawberry.enum_value("AUTO_UPGRADE", description="It goes on, on the plan's successor.")


@strawberry.enum(description="When credits that are bought by a plan's rule are paid.")
class TopUpPayment(Enum):
    NEXT_INVOICE = strawberry.enum_value(
        "NEXT_INVOICE", description="They are there at once; the next invoice bills them."
    )
    FIRST = strawberry.enum_value("FIRST", description="They are ordered, and there once the customer's card has paid.")


@strawberry.enum(description="When a plan's fees are billed.")
class FeesDue(Enum):
    ARREARS = strawberry.enum_value("ARREARS", description="With the usage of their own period.")
    ADVANCE = strawberry.enum_value("ADVANCE", description="Before their period begins.")


@strawberry.enum(description="Who makes the amounts of a plan's fees and usage.")
class StripeMode(Enum):
    COMPUTED = strawberry.enum_value("COMPUTED", description="Inkmeter; Stripe gets finished lines.")
    METERED = strawberry.enum_value("METERED", description="Stripe, of the usage that is reported to its meters.")


@strawberry.type(description="A billing model with its configuration, for one meter.")
class Price:
    meter: str = strawberry.field(description="What is counted.")
    model: str = strawberry.field(description="Code of the billing model.")
    config: Json = strawberry.field(description="The billing model's configuration, in full.")


@strawberry.type(description="Buys credits by itself whenever fewer are left than this.")
class AutoTopUp:
    below: BigInt = strawberry.field(description="It buys when fewer credits of the meter are left.")
    pack_units: BigInt = strawberry.field(description="The pack that it buys, by its units.")
    monthly_cap: Money = strawberry.field(description="The most that it spends in a billing period.")
    payment: TopUpPayment = strawberry.field(description="When the credits are paid.")


@strawberry.type(description="The limit of a meter in a billing period.")
class Quota:
    meter: str = strawberry.field(description="What is limited.")
    units: BigInt = strawberry.field(description="The limit.")
    policy: LimitPolicy = strawberry.field(description="What happens there, once credits are used up.")
    spend_cap: Money | None = strawberry.field(description="The most that a billing period's overage may cost.")
    top_up_packs: list[TopUpPack] = strawberry.field(description="Credits on offer.")
    auto_top_up: AutoTopUp | None = strawberry.field(description="Whether credits are bought by themselves.")
    alerts_at: list[int] = strawberry.field(description="Percentages of the quota that make an alert.")


@strawberry.type(description="One version of a plan. It never changes.")
class Plan(Node):
    code: str = strawberry.field(description="The plan's name for programs.")
    version: int = strawberry.field(description="Counted from 1.")
    name: str = strawberry.field(description="The plan's name for people.")
    currency: CurrencyCode = strawberry.field(description="The currency of all its prices.")
    interval: Interval = strawberry.field(description="How long a billing period lasts.")
    prices: list[Price] = strawberry.field(description="Everything that is charged.")
    quotas: list[Quota] = strawberry.field(description="Everything that is limited.")
    fees: FeesDue = strawberry.field(description="When its fees are billed.")
    minimum_commitment: Money | None = strawberry.field(description="The least that a whole billing period costs.")
    dunning: DunningPolicy = strawberry.field(description="What becomes of tenants that do not pay.")
    successor: NextPlan | None = strawberry.field(description="The plan that AUTO_UPGRADE goes on with.")
    stripe_mode: StripeMode = strawberry.field(description="Who makes the amounts of its fees and usage.")
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


@strawberry.input(description="A top-up on offer.")
class TopUpPackInput:
    units: BigInt = strawberry.field(description="How many.")
    price: Decimal = strawberry.field(description="What all of them cost, in major units of the plan's currency.")


@strawberry.input(description="Buy credits whenever few are left.")
class AutoTopUpInput:
    below: BigInt = strawberry.field(description="Buy when fewer credits of the meter are left.")
    pack_units: BigInt = strawberry.field(description="Which of the quota's packs, by its units.")
    monthly_cap: Decimal = strawberry.field(description="The most that may be spent so in a billing period.")
    payment: TopUpPayment = strawberry.field(
        default=TopUpPayment.NEXT_INVOICE, description="When the credits are paid; FIRST with TOP_UP or SOFT."
    )


@strawberry.input(description="A limit to be.")
class QuotaInput:
    meter: str = strawberry.field(description="What is limited.")
    policy: LimitPolicy = strawberry.field(description="What happens at the limit.")
    units: BigInt | None = strawberry.field(
        default=None, description="The limit; if missing, what the meter's price includes."
    )
    spend_cap: Decimal | None = strawberry.field(
        default=None, description="The most that a billing period's overage may cost; with SOFT alone."
    )
    top_up_packs: list[TopUpPackInput] = strawberry.field(
        default_factory=list, description="Credits on offer, at most 20 packs; TOP_UP needs at least one."
    )
    auto_top_up: AutoTopUpInput | None = strawberry.field(
        default=None, description="Buy one of the packs whenever few credits are left."
    )
    alerts_at: list[int] = strawberry.field(
        default_factory=lambda: [50, 80, 100],
        description="Percentages of the quota that make an alert, from 1 to 1000, ascending.",
    )


@strawberry.input(description="A plan. The same code with other content makes its next version.")
class CreatePlanInput:
    code: str = strawberry.field(description="The plan's name for programs.")
    name: str = strawberry.field(description="The plan's name for people.")
    currency: CurrencyCode = strawberry.field(description="The currency of all its prices.")
    prices: list[PriceInput] = strawberry.field(description="Everything that is charged, in the order of the bill.")
    quotas: list[QuotaInput] = strawberry.field(default_factory=list, description="Everything that is limited.")
    interval: Interval = strawberry.field(default=Interval.MONTH, description="How long a billing period lasts.")
    fees: FeesDue = strawberry.field(default=FeesDue.ARREARS, description="When its fees are billed.")
    minimum_commitment: Decimal | None = strawberry.field(
        default=None, description="The least that a whole billing period costs, in major units."
    )
    successor_id: relay.GlobalID | None = strawberry.field(
        default=None, description="An existing plan of the same currency and interval, for AUTO_UPGRADE to go on with."
    )
    stripe_mode: StripeMode = strawberry.field(
        default=StripeMode.COMPUTED,
        description="METERED lets Stripe price the usage; refused where it would bill something else.",
    )
    dunning: DunningPolicyInput | None = strawberry.field(
        default=None, description="What becomes of tenants that do not pay; if missing, they stay restricted."
    )


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
