"""Discounts on a subscription's invoices."""

from tortoise.fields import BigIntField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import DecimalTextField, InstantField
from storage.ids import new_id


class Discount(Model):
    """A percentage or an amount off, for so many `periods` from the one that starts at `starts_at` (null: for ever)."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    idempotency_key = TextField()
    subscription_id = UUIDField()
    label = TextField()
    percent = DecimalTextField(null=True)
    amount_minor = BigIntField(null=True)
    periods = BigIntField(null=True)
    starts_at = InstantField()
    ended_at = InstantField(null=True)
    created_at = InstantField()

    class Meta:
        table = "discount"
