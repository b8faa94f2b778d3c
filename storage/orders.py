"""Orders of credits that are paid before they are granted, and the money that went back of them."""

from enum import StrEnum

from tortoise.fields import BigIntField, BooleanField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField
from storage.ids import new_id


class OrderWay(StrEnum):
    """CHECKOUT is paid by a person on a page of Stripe's, INVOICE by the plan's own rule with the customer's card."""

    CHECKOUT = "CHECKOUT"
    INVOICE = "INVOICE"


class OrderState(StrEnum):
    """OPEN until it is PAID, or EXPIRED because nobody did, or FAILED because Stripe or a bank refused."""

    OPEN = "OPEN"
    PAID = "PAID"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"


class TopUpOrder(Model):
    """Credits to be granted once they are paid, in 10^-decimals units, ordered in a billing period.

    `stripe_id` is that of the Checkout session, or of the invoice.
    """

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    idempotency_key = TextField()
    way = CharEnumField(OrderWay)
    meter = TextField()
    period_id = UUIDField()
    period_starts_at = InstantField()
    units = BigIntField()
    amount_minor = BigIntField()
    currency = TextField()
    state = CharEnumField(OrderState)
    is_holding = BooleanField(default=False)
    """Of one by the plan's rule: no other one of the meter is placed while it is open, nor, once it has failed, in its
    period.
    """
    success_url = TextField(null=True)
    cancel_url = TextField(null=True)
    stripe_id = TextField(null=True)
    stripe_item_id = TextField(null=True)
    payment_intent_id = TextField(null=True)
    invoice_id = UUIDField(null=True)
    url = TextField(null=True)
    failure = TextField(null=True)
    created_at = InstantField()
    expires_at = InstantField(null=True)
    paid_at = InstantField(null=True)

    class Meta:
        table = "top_up_order"


class ReversalKind(StrEnum):
    """REFUND was made by the operator or in Stripe's dashboard, DISPUTE by the customer's bank."""

    REFUND = "REFUND"
    DISPUTE = "DISPUTE"


class Reversal(Model):
    """Money of an order that went back, and the `units` that it paid for; `is_standing` until it failed or was won.

    `taken` of the units were still there. `entry_id` is the credit entry of a refund that we have made.
    """

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    stripe_id = TextField()
    order_id = UUIDField()
    entry_id = UUIDField(null=True)
    kind = CharEnumField(ReversalKind)
    amount_minor = BigIntField()
    currency = TextField()
    units = BigIntField()
    taken = BigIntField(default=0)
    is_standing = BooleanField()
    created_at = InstantField()

    class Meta:
        table = "reversal"
