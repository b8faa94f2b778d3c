"""Charges: what was bought besides usage, to be billed on the next invoice."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField
from storage.ids import new_id


class ChargeKind(StrEnum):
    """TOP_UP was bought by somebody, AUTO_TOP_UP by the plan's own rule."""

    TOP_UP = "TOP_UP"
    AUTO_TOP_UP = "AUTO_TOP_UP"


class Charge(Model):
    """Bought in the period that starts at `period_starts_at`; on an invoice once `invoice_id` is set."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    idempotency_key = TextField()
    kind = CharEnumField(ChargeKind)
    meter = TextField()
    period_starts_at = InstantField()
    label = TextField()
    amount_minor = BigIntField()
    currency = TextField()
    invoice_id = UUIDField(null=True)
    created_at = InstantField()

    class Meta:
        table = "charge"
