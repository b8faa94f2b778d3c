"""Meters that the operator has defined; the built-in ones are in `inkmeter.usage`."""

from tortoise.fields import BigIntField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from inkmeter.usage import Aggregation, Meter, UnitRounding
from storage.database import rows
from storage.fields import InstantField
from storage.ids import new_id


class StoredMeter(Model):
    """A meter over the events of `source`, of which those whose properties match every filter count. Never changed.

    Quantities are stored as integers of 10^-`decimals` units.
    """

    id = UUIDField(primary_key=True, default=new_id)
    code = TextField()
    position = BigIntField()
    source = TextField(null=True)
    unit = TextField()
    description = TextField()
    aggregation = CharEnumField(Aggregation)
    property = TextField(null=True)
    decimals = BigIntField()
    rounding = CharEnumField(UnitRounding)
    filters: JSONField[dict[str, list[str]]] = JSONField()
    created_at = InstantField()

    class Meta:
        table = "meter"


async def read_meters() -> list[Meter]:
    """The operator's meters, in the order in which they were made."""
    return [
        Meter(
            code=row.code,
            unit=row.unit,
            description=row.description,
            aggregation=row.aggregation,
            source=row.source,
            property=row.property,
            decimals=row.decimals,
            rounding=row.rounding,
            filters={name: frozenset(values) for name, values in row.filters.items()},
        )
        for row in await StoredMeter.all().order_by("position")
    ]


async def meter_ages() -> dict[str, int]:
    """When each of the operator's meters was made, in µs."""
    return {entry["code"]: entry["created_at"] for entry in await rows("SELECT code, created_at FROM meter")}
