"""Usage over time, for charts."""

from datetime import datetime
from enum import Enum

import strawberry

from schema.scalars import Quantity


@strawberry.enum(description="How long a point of a series lasts.")
class SeriesStep(Enum):
    HOUR = strawberry.enum_value("HOUR", description="An hour of the local clock.")
    DAY = strawberry.enum_value("DAY", description="A local day, which may have 23 or 25 hours.")
    TOTAL = strawberry.enum_value("TOTAL", description="All of it: one point, or one of each group.")


@strawberry.type(description="What a meter has come to in a part of the time.")
class UsagePoint:
    start: datetime = strawberry.field(description="The first instant.")
    end: datetime = strawberry.field(description="The first instant that is not in it.")
    group: str | None = strawberry.field(description="Value of the property; null for events without it.")
    used: Quantity = strawberry.field(description="Units.")


@strawberry.type(description="Usage over time.")
class UsageSeries:
    meter: str = strawberry.field(description="Code of the meter.")
    unit: str = strawberry.field(description="One of it, for people.")
    points: list[UsagePoint] = strawberry.field(
        description="In the order of time. Without groups every part has one; groups only where there was usage."
    )
