"""Invoices and their lines."""

from datetime import datetime
from decimal import Decimal
from enum import Enum

import strawberry
from strawberry import relay

from schema.money import Money
from schema.nodes import Node
from schema.refusals import UserError
from schema.scalars import BigInt
from schema.subscriptions import BillingPeriod


@strawberry.enum(description="How far an invoice has come.")
class InvoiceState(Enum):
    FINALIZED = strawberry.enum_value("FINALIZED", description="It stands here; Stripe does not have it yet.")
    PUSHED = strawberry.enum_value("PUSHED", description="Stripe has it and collects.")
    PAST_DUE = strawberry.enum_value("PAST_DUE", description="A payment failed; Stripe tries again.")
    PAID = strawberry.enum_value("PAID", description="Paid.")
    UNCOLLECTIBLE = strawberry.enum_value("UNCOLLECTIBLE", description="Forgiven at Stripe; it may still be paid.")
    VOID = strawberry.enum_value("VOID", description="Voided at Stripe: nothing is owed.")


@strawberry.enum(description="What an invoice bills.")
class InvoiceKind(Enum):
    PERIOD = strawberry.enum_value("PERIOD", description="A billing period that is over.")
    OPENING = strawberry.enum_value("OPENING", description="The first fees of a plan whose fees are due in advance.")
    TOP_UP = strawberry.enum_value("TOP_UP", description="Credits that were paid before they were granted.")


@strawberry.enum(description="What a line bills.")
class LineKind(Enum):
    FEE = strawberry.enum_value("FEE", description="What a period, or a part of it, costs whether used or not.")
    USAGE = strawberry.enum_value("USAGE", description="What was used in a period.")
    DISCOUNT = strawberry.enum_value("DISCOUNT", description="Taken off fees and usage.")
    COMMITMENT = strawberry.enum_value("COMMITMENT", description="What is missing to the agreed minimum.")
    CHARGE = strawberry.enum_value("CHARGE", description="Something bought, such as a top-up.")
    ADJUSTMENT = strawberry.enum_value(
        "ADJUSTMENT", description="What was billed before and has changed; `adjustment` says why."
    )
    EXTRA = strawberry.enum_value("EXTRA", description="Added by a plugin, which `model` names.")


@strawberry.type(description="What some lines came to.")
class BilledAmount:
    quantity: Decimal = strawberry.field(description="Units that were billed, for usage without those of credits.")
    amount: Money = strawberry.field(description="The sum of the lines.")


@strawberry.type(description="What an adjustment corrects: one kind of lines, of one price, of one period.")
class Adjustment:
    period: BillingPeriod = strawberry.field(description="Whose lines are corrected.")
    adjusts: LineKind = strawberry.field(description="Which kind of lines.")
    billed: BilledAmount = strawberry.field(description="On all invoices before this one.")
    now: BilledAmount = strawberry.field(description="As known when this invoice was made.")
    late_events: int = strawberry.field(description="Events that came after the last time this was billed.")
    corrections: int = strawberry.field(description="Events that were taken back since.")
    reason: str = strawberry.field(description="Why, for people.")


@strawberry.type(description="One line of an invoice.")
class LineItem:
    kind: LineKind = strawberry.field(description="What it bills.")
    period: BillingPeriod = strawberry.field(description="The billing period that it is for.")
    label: str = strawberry.field(description="For people.")
    meter: str = strawberry.field(description="What was counted; empty if nothing was.")
    model: str = strawberry.field(description="Code of the billing model, or a plugin's name.")
    quantity: Decimal = strawberry.field(description="How many.")
    unit_price: Decimal = strawberry.field(description="Of one, in major units, not rounded.")
    amount: Money = strawberry.field(description="What it adds to the total.")
    adjustment: Adjustment | None = strawberry.field(description="What an ADJUSTMENT corrects; null for other kinds.")


@strawberry.type(description="What SignNow charges the operator for a period. Tenants never see it.")
class UpstreamCost:
    units: BigInt = strawberry.field(description="Signature invites that SignNow charges.")
    cost: Money = strawberry.field(description="At the configured price of one.")
    margin: Money | None = strawberry.field(
        description="The invoice's total less this; null if the two are in different currencies."
    )


@strawberry.type(description="What a tenant owes for a billing period. Its lines never change.")
class Invoice(Node):
    kind: InvoiceKind = strawberry.field(description="What it bills.")
    period: BillingPeriod = strawberry.field(description="What it is for.")
    state: InvoiceState = strawberry.field(description="How far it has come.")
    lines: list[LineItem] = strawberry.field(description="Everything that is charged.")
    total: Money = strawberry.field(description="The sum of the lines.")
    upstream: UpstreamCost | None = strawberry.field(description="The operator's side; null for a tenant's key.")
    number: str | None = strawberry.field(description="Stripe's number of it, as the tenant reads it.")
    hosted_url: str | None = strawberry.field(
        description="Stripe's page, where the tenant can pay. Asked for anew where one invoice is read and it is old."
    )
    pdf_url: str | None = strawberry.field(description="The invoice as a PDF, at Stripe.")
    finalized_at: datetime = strawberry.field(description="When the period was closed.")
    paid_at: datetime | None = strawberry.field(description="When Stripe told us that it is paid.")


@strawberry.type(description="What the running period would cost if nothing more were used. Nothing is stored.")
class UpcomingInvoice:
    period: BillingPeriod = strawberry.field(description="The running period.")
    lines: list[LineItem] = strawberry.field(description="Those that its close would make now.")
    total: Money = strawberry.field(description="The sum of the lines.")


@strawberry.type(description="What a change of plan or seats would cost. Nothing is changed.")
class ChangePreview:
    takes_effect_at: datetime = strawberry.field(description="When the change would begin.")
    unchanged: UpcomingInvoice = strawberry.field(description="The running period's invoice without it.")
    changed: UpcomingInvoice = strawberry.field(description="The same with it.")
    difference: Money = strawberry.field(description="What `changed` comes to beyond `unchanged`; may be negative.")
    next_fees: Money | None = strawberry.field(
        description="The following period's fees with the change, less discounts; null if the subscription ends before."
    )


@strawberry.input(description="Whose period.")
class ClosePeriodInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Its earliest open period that is over is closed.")


@strawberry.type(description="What became of `closePeriod`.")
class ClosePeriodPayload:
    invoice: Invoice | None = strawberry.field(
        default=None, description="The period's one invoice; the same again if it was closed before."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
