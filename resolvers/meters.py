"""Meters."""

from inkmeter import usage as exact
from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import require_operator, require_viewer
from schema import meters as types
from services import meters
from services.meters import CreateMeter, NewFilter


def meter_type(meter: exact.Meter) -> types.Meter:
    """A meter as the API shows it."""
    return types.Meter(
        code=meter.code,
        unit=meter.unit,
        description=meter.description,
        aggregation=types.Aggregation[meter.aggregation.name],
        source=meter.source,
        property=meter.property,
        decimals=meter.decimals,
        rounding=types.UnitRounding[meter.rounding.name],
        filters=[types.MeterFilter(property=name, values=sorted(values)) for name, values in meter.filters.items()],
        is_built_in=meter.code in exact.METERS,
    )


@query("Every meter, built in or the operator's.", name="meters")
async def meters_list(info: Info) -> list[types.Meter]:
    require_viewer(info)
    return [meter_type(meter) for meter in (await meters.refresh(info.context.platform)).meters.values()]


@mutation("Make a meter; it never changes. What was recorded in open periods is counted. Operator only.")
async def create_meter(info: Info, input: types.CreateMeterInput) -> types.CreateMeterPayload:
    require_operator(info)
    command = CreateMeter(
        code=input.code,
        unit=input.unit,
        description=input.description,
        aggregation=exact.Aggregation[input.aggregation.name],
        source=input.source,
        property=input.property,
        decimals=input.decimals,
        rounding=exact.UnitRounding[input.rounding.name],
        filters=[NewFilter(entry.property, entry.values) for entry in input.filters],
    )
    return types.CreateMeterPayload(meter=meter_type(await meters.create_meter(info.context.platform, command)))
