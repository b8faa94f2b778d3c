"""Meters that the operator has defined; the built-in ones are in `inkmeter.usage`."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField
from storage.ids import new_id


class UnitRounding(StrEnum):
    """What becomes of a fraction of a unit when a period is billed."""

    NONE = "NONE"
    UP = "UP"
    DOWN = "DOWN"
    HALF_UP = "HALF_UP"


class StoredMeter(Model):
    """A meter over the events of `source`, of which those whose properties match every filter count. Never changed.

    Quantities are stored as integers of 10^-`decimals` units.
    """

    id = UUIDField(primary_key=True, default=new_id)
    code = TextField()
    position = BigIntField()
    source = TextField()
    unit = TextField()
    description = TextField()
    aggregation = TextField()
    property = TextField(null=True)
    decimals = BigIntField()
    rounding = CharEnumField(UnitRounding)
    filters: JSONField[dict[str, list[str]]] = JSONField()
    created_at = InstantField()

    class Meta:
        table = "meter"
