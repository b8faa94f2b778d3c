"""Meters: what is counted, and how events become one number for a period."""

from enum import Enum

import strawberry

from schema.refusals import UserError


@strawberry.enum(description="How the events of a meter become one number for a period.")
class Aggregation(Enum):
    SUM = strawberry.enum_value("SUM", description="All quantities added up.")
    COUNT = strawberry.enum_value("COUNT", description="How many events there were.")
    UNIQUE = strawberry.enum_value("UNIQUE", description="How many different values the property had.")
    MAX = strawberry.enum_value("MAX", description="The largest.")
    LATEST = strawberry.enum_value("LATEST", description="The last level that was reported, also before the period.")
    TIME_WEIGHTED = strawberry.enum_value("TIME_WEIGHTED", description="The level, averaged over the period's time.")


@strawberry.enum(description="What becomes of a fraction of a unit when a period is billed.")
class UnitRounding(Enum):
    NONE = strawberry.enum_value("NONE", description="It is billed as it is.")
    UP = strawberry.enum_value("UP", description="It becomes a whole unit.")
    DOWN = strawberry.enum_value("DOWN", description="It is dropped.")
    HALF_UP = strawberry.enum_value("HALF_UP", description="A half and more becomes a whole unit.")


@strawberry.type(description="Only events whose property has one of these values count.")
class MeterFilter:
    property: str = strawberry.field(description="Name of the property.")
    values: list[str] = strawberry.field(description="Its values, as text.")


@strawberry.type(description="What is counted. A meter never changes.")
class Meter:
    code: str = strawberry.field(description="Its name for programs.")
    unit: str = strawberry.field(description="One of it, for people.")
    description: str = strawberry.field(description="What it counts.")
    aggregation: Aggregation = strawberry.field(description="How events become one number.")
    source: str | None = strawberry.field(description="The meter whose events it counts; null for events of its own.")
    property: str | None = strawberry.field(description="The property that is counted; null for the quantity.")
    decimals: int = strawberry.field(description="Digits after the point of its quantities.")
    rounding: UnitRounding = strawberry.field(description="What becomes of a fraction when a period is billed.")
    filters: list[MeterFilter] = strawberry.field(description="All of them must fit.")
    is_built_in: bool = strawberry.field(description="Whether it comes with Inkmeter.")


@strawberry.input(description="Only events whose property has one of these values count.")
class MeterFilterInput:
    property: str = strawberry.field(description="Name of the property.")
    values: list[str] = strawberry.field(description="Its values, as text: `true` for a boolean.")


@strawberry.input(description="A meter to be.")
class CreateMeterInput:
    code: str = strawberry.field(description="Small letters, digits and underscores; the same content may be repeated.")
    unit: str = strawberry.field(description="One of it, for people: `gigabyte`.")
    description: str = strawberry.field(description="What it counts.")
    aggregation: Aggregation = strawberry.field(
        default=Aggregation.SUM, description="How events become one number for a period."
    )
    source: str | None = strawberry.field(
        default=None, description="Count the events of this meter in another way; null for events of its own."
    )
    property: str | None = strawberry.field(
        default=None, description="Count this property's number and not the quantity; for UNIQUE, its values."
    )
    decimals: int | None = strawberry.field(
        default=None, description="Digits after the point, 0 to 9; those of the source, or none, if missing."
    )
    rounding: UnitRounding = strawberry.field(
        default=UnitRounding.NONE, description="What becomes of a fraction when a period is billed."
    )
    filters: list[MeterFilterInput] = strawberry.field(default_factory=list, description="All of them must fit.")


@strawberry.type(description="What became of `createMeter`.")
class CreateMeterPayload:
    meter: Meter | None = strawberry.field(default=None, description="The meter.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
