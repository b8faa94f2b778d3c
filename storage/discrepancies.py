"""Where two books differ."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField
from storage.ids import new_id


class DiscrepancyState(StrEnum):
    """OPEN until someone explains or resolves it, or it is gone by itself."""

    OPEN = "OPEN"
    RESOLVED = "RESOLVED"


class Discrepancy(Model):
    """What differs (`kind`, `subject`), both amounts in minor units, and the evidence."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    kind = TextField()
    subject = TextField()
    ours_minor = BigIntField()
    theirs_minor = BigIntField()
    currency = TextField()
    evidence: JSONField[dict[str, object]] = JSONField()
    state = CharEnumField(DiscrepancyState)
    created_at = InstantField()

    class Meta:
        table = "discrepancy"
