"""Orders of credits: paid first, granted then."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import relay

from schema.credits import CreditGrant
from schema.money import Money
from schema.nodes import Node
from schema.refusals import UserError
from schema.scalars import BigInt, Quantity


@strawberry.enum(description="How an order is paid.")
class OrderWay(Enum):
    CHECKOUT = strawberry.enum_value("CHECKOUT", description="By a person, on a page of Stripe's.")
    INVOICE = strawberry.enum_value("INVOICE", description="By the customer's card, as the plan's rule says.")


@strawberry.enum(description="How far an order has come.")
class OrderStatus(Enum):
    OPEN = strawberry.enum_value("OPEN", description="It waits for its payment.")
    PAID = strawberry.enum_value("PAID", description="It is paid; the credits are granted.")
    EXPIRED = strawberry.enum_value("EXPIRED", description="Nobody has paid in time.")
    FAILED = strawberry.enum_value("FAILED", description="Stripe or a bank has refused; `failure` says why.")


@strawberry.enum(description="How money went back.")
class ReversalKind(Enum):
    REFUND = strawberry.enum_value("REFUND", description="It was refunded.")
    DISPUTE = strawberry.enum_value("DISPUTE", description="The customer's bank has taken it.")


@strawberry.type(description="Money of an order that went back, and the credits that it had paid for.")
class Reversal:
    kind: ReversalKind = strawberry.field(description="How.")
    amount: Money = strawberry.field(description="How much.")
    units: Quantity = strawberry.field(description="The credits that it had paid for.")
    taken: Quantity = strawberry.field(description="How many of them were unused, and taken back.")
    is_standing: bool = strawberry.field(description="False once the refund has failed, or the dispute is won.")


@strawberry.type(description="Credits that are granted once they are paid.")
class TopUpOrder(Node):
    way: OrderWay = strawberry.field(description="How it is paid.")
    status: OrderStatus = strawberry.field(description="How far it has come.")
    meter: str = strawberry.field(description="Code of the meter.")
    units: Quantity = strawberry.field(description="How many.")
    price: Money = strawberry.field(description="What they cost.")
    url: str | None = strawberry.field(description="The page to pay on, while it is open.")
    expires_at: datetime | None = strawberry.field(description="Until when that page is open.")
    failure: str | None = strawberry.field(description="Why it has failed, for people.")
    grant: CreditGrant | None = strawberry.field(description="The credits, once they are granted.")
    reversals: list[Reversal] = strawberry.field(description="Money of it that went back.")
    created_at: datetime = strawberry.field(description="When it was placed.")
    paid_at: datetime | None = strawberry.field(description="When it was known to be paid.")


@strawberry.input(description="A pack of credits to pay on a page of Stripe's.")
class CreateTopUpCheckoutInput:
    meter: str = strawberry.field(description="What they pay for.")
    units: BigInt = strawberry.field(description="One of the packs that the plan offers for the meter, by its units.")
    success_url: str = strawberry.field(
        description="Where the page leads to after the payment: https, or http on localhost. It proves no payment."
    )
    cancel_url: str = strawberry.field(description="Where the page leads to instead.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again answers the same page.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `createTopUpCheckout`.")
class CreateTopUpCheckoutPayload:
    checkout: TopUpOrder | None = strawberry.field(default=None, description="The order, with the page's `url`.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
