"""Credits: units that were bought or given, and every movement of them."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField
from storage.ids import new_id


class CreditSource(StrEnum):
    """Where a grant comes from."""

    TOP_UP = "TOP_UP"
    PROMOTION = "PROMOTION"
    COMPENSATION = "COMPENSATION"
    OTHER = "OTHER"


class CreditEntryKind(StrEnum):
    """What moved credits. GRANTED and RETURNED (of usage that was corrected) add, the others take."""

    GRANTED = "GRANTED"
    CONSUMED = "CONSUMED"
    RETURNED = "RETURNED"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    REFUNDED = "REFUNDED"


class CreditGrant(Model):
    """Units of a meter; `remaining` is the sum of the grant's entries. A lower `priority` is consumed first, then the
    one that expires first.
    """

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    idempotency_key = TextField()
    meter = TextField()
    source = CharEnumField(CreditSource)
    units = BigIntField()
    remaining = BigIntField()
    priority = BigIntField()
    expires_at = InstantField(null=True)
    note = TextField(null=True)
    created_at = InstantField()
    balance = BigIntField()
    """Credits of the meter right after this grant."""

    class Meta:
        table = "credit_grant"


class CreditEntry(Model):
    """One movement of a grant's units, never changed; `event_id` is the usage event that consumed or returned them."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    grant_id = UUIDField()
    meter = TextField()
    kind = CharEnumField(CreditEntryKind)
    units = BigIntField()
    period_starts_at = InstantField(null=True)
    event_id = UUIDField(null=True)
    note = TextField(null=True)
    created_at = InstantField()

    class Meta:
        table = "credit_entry"
