"""Usage over time, for charts."""

from datetime import datetime
from typing import Annotated

from strawberry import argument

from resolvers.context import Info
from resolvers.fields import query
from resolvers.permissions import acting_tenant
from resolvers.usage import shown
from schema import series as types
from schema.nodes import TenantId
from services import series
from services.series import SeriesRequest, SeriesStep


@query("A meter over time, as it is known now: by local hours or days, and by the values of a property.")
async def usage_series(
    info: Info,
    meter: Annotated[str, argument(description="What is counted, e.g. `invites_sent`.")],
    start: Annotated[datetime, argument(name="from", description="The first instant.")],
    end: Annotated[datetime, argument(name="to", description="The first instant after it; 400 days later at most.")],
    by: Annotated[types.SeriesStep, argument(description="How long a point lasts.")] = types.SeriesStep.DAY,
    group_by_property: Annotated[str | None, argument(description="One point for each value of this property.")] = None,
    zone: Annotated[
        str | None, argument(description="IANA time zone in which hours and days begin; the subscription's if missing.")
    ] = None,
    tenant_id: TenantId = None,
) -> types.UsageSeries:
    tenant = await acting_tenant(info, tenant_id)
    request = SeriesRequest(meter, start, end, SeriesStep[by.name], group_by_property, zone)
    found = await series.read_series(info.context.platform, tenant, request)
    return types.UsageSeries(
        meter=found.meter.code,
        unit=found.meter.unit,
        points=[
            types.UsagePoint(start=point.start, end=point.end, group=point.group, used=shown(found.meter, point.used))
            for point in found.points
        ],
    )
