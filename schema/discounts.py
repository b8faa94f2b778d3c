"""Discounts on a subscription."""

from datetime import datetime
from decimal import Decimal

import strawberry
from strawberry import relay

from schema.money import Money
from schema.nodes import Node
from schema.refusals import UserError


@strawberry.type(description="Something off the fees and the usage of a subscription's periods.")
class Discount(Node):
    label: str = strawberry.field(description="For people; it stands on the invoice.")
    percent: Decimal | None = strawberry.field(description="Of what fees and usage cost, up to 100.")
    amount: Money | None = strawberry.field(description="Off each period, but never more than it costs.")
    periods: int | None = strawberry.field(description="For how many billed periods; null for good.")
    starts_at: datetime = strawberry.field(description="The start of the first period that it is for.")
    ended_at: datetime | None = strawberry.field(description="When it was ended before its time.")


@strawberry.input(description="A discount, either `percent` or `amount`.")
class ApplyDiscountInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose running subscription.")
    idempotency_key: str = strawberry.field(description="Names this discount; the same again answers the first.")
    label: str = strawberry.field(description="For people; it stands on the invoice.")
    percent: Decimal | None = strawberry.field(
        default=None, description="More than 0, at most 100, with at most four digits after the point."
    )
    amount: Decimal | None = strawberry.field(default=None, description="In major units of the tenant's currency.")
    periods: int | None = strawberry.field(
        default=None, description="For how many billed periods, the running one first; for good if missing."
    )


@strawberry.type(description="What became of `applyDiscount`.")
class ApplyDiscountPayload:
    discount: Discount | None = strawberry.field(default=None, description="The discount as it stands.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="Which discount ends.")
class EndDiscountInput:
    tenant_id: relay.GlobalID = strawberry.field(description="Whose.")
    discount_id: relay.GlobalID = strawberry.field(description="Periods that are over keep it.")


@strawberry.type(description="What became of `endDiscount`.")
class EndDiscountPayload:
    discount: Discount | None = strawberry.field(default=None, description="The discount as it stands.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
