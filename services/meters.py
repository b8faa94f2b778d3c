"""Meters, built in and the operator's: what events come to. A meter never changes once it is made."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inkmeter.errors import Conflict
from inkmeter.usage import METERS, Aggregation, Meter, UnitRounding
from services import jobs
from services.intake import MAX_PROPERTY_NAME, MAX_PROPERTY_VALUE
from services.measures import LEVELS, SEATS, MeterBook
from services.platform import Platform
from services.problems import Problems
from storage.database import insert_new, transaction
from storage.jobs import SYSTEM
from storage.meters import StoredMeter, read_meters

BACKFILL: Final = "meter.backfill"
MAX_METERS: Final = 200
MAX_FILTERS: Final = 20
MAX_FILTER_VALUES: Final = 100
MAX_DECIMALS: Final = 9
MAX_METER_CODE: Final = 64
_CODE: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


async def refresh(platform: Platform) -> MeterBook:
    """Read the operator's meters again: another process may have made one."""
    platform.metering.meters = MeterBook(await read_meters())
    return platform.metering.meters


async def find_meters(platform: Platform, *codes: str) -> MeterBook:
    """A book in which these codes stand, if there are such meters at all. Meters never change, so it is read again
    only for a code that is new.
    """
    book = platform.metering.meters
    return book if all(code in book for code in codes) else await refresh(platform)


@dataclass(frozen=True, slots=True)
class NewFilter:
    """Only events whose property has one of these values count."""

    property: str
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class CreateMeter:
    """A meter to be. With a `source` it counts that meter's events in another way; without `decimals` it has those of
    its source, or none.
    """

    code: str
    unit: str
    description: str
    aggregation: Aggregation = Aggregation.SUM
    source: str | None = None
    property: str | None = None
    decimals: int | None = None
    rounding: UnitRounding = UnitRounding.NONE
    filters: Sequence[NewFilter] = ()


async def create_meter(platform: Platform, command: CreateMeter) -> Meter:
    """Make a meter, and count what was recorded for it in the periods that are open, in the background.

    The same content again answers the meter that stands. Raises InvalidInput, and Conflict for a code that is taken.
    """
    book = await refresh(platform)
    wanted = _checked(book, command)
    while True:
        if wanted.code in METERS:
            raise Conflict(f"{wanted.code} is built in; take another code", path=("code",))
        if wanted.code in book:
            if book[wanted.code] != wanted:
                raise Conflict("a meter of this code has other content, and meters do not change", path=("code",))
            return wanted
        if book.own_count >= MAX_METERS:
            raise Conflict(f"there are {MAX_METERS} meters of yours, and no room for more")
        if await _insert(platform, wanted, position=book.own_count + 1):
            await refresh(platform)
            return wanted
        # Someone made a meter at the same moment, maybe this one: look again.
        book = await refresh(platform)


async def _insert(platform: Platform, meter: Meter, position: int) -> bool:
    stored = StoredMeter(
        code=meter.code,
        position=position,
        source=meter.source,
        unit=meter.unit,
        description=meter.description,
        aggregation=meter.aggregation,
        property=meter.property,
        decimals=meter.decimals,
        rounding=meter.rounding,
        filters={name: sorted(values) for name, values in meter.filters.items()},
        created_at=platform.clock.now(),
    )
    async with transaction():
        if not await insert_new(stored):
            return False
        if meter.source not in (None, SEATS) and meter.aggregation not in LEVELS:
            await jobs.add_job(platform, tenant_id=SYSTEM, topic=BACKFILL, dedup=meter.code)
    return True


def _checked(book: MeterBook, command: CreateMeter) -> Meter:
    """The meter that is wanted. Raises InvalidInput."""
    problems = Problems()
    is_code = len(command.code) <= MAX_METER_CODE and _CODE.fullmatch(command.code) is not None
    rule = f"needs 1 to {MAX_METER_CODE} small letters, digits and underscores, a letter first"
    problems.check(is_code, rule, "code")
    problems.check_text(command.unit, "unit", longest=50)
    problems.check_text(command.description, "description", longest=500)
    if command.property is not None:
        _check_name(problems, command.property, "property")
    _check_filters(problems, command.filters)
    source = _source(problems, book, command)
    _check_aggregation(problems, command)
    decimals = _decimals(problems, command, source)
    problems.refuse()
    return Meter(
        code=command.code,
        unit=command.unit,
        description=command.description,
        aggregation=command.aggregation,
        source=command.source,
        property=command.property,
        decimals=decimals,
        rounding=command.rounding,
        filters={entry.property: frozenset(entry.values) for entry in command.filters},
    )


def _source(problems: Problems, book: MeterBook, command: CreateMeter) -> Meter | None:
    if command.source is None or not problems.check_meter(book, command.source, "source"):
        return None
    source = book[command.source]
    if source.source is not None:
        problems.add(f"is counted from the events of {source.source}: name that one", "source")
    if source.code == SEATS:
        is_level = command.aggregation in (Aggregation.MAX, *LEVELS)
        problems.check(is_level, "of seats is MAX, LATEST or TIME_WEIGHTED", "aggregation")
        problems.check(not command.filters and command.property is None, "have no properties", "source")
    return source


def _check_aggregation(problems: Problems, command: CreateMeter) -> None:
    if command.aggregation is Aggregation.UNIQUE:
        problems.check(command.property is not None, "is needed: UNIQUE tells its values apart", "property")
    if command.aggregation is Aggregation.COUNT:
        problems.check(command.property is None, "COUNT counts events, whatever their properties say", "property")


def _decimals(problems: Problems, command: CreateMeter, source: Meter | None) -> int:
    """How fine the meter counts: what it counts decides, where it is not a property."""
    given = command.decimals
    if command.aggregation in (Aggregation.COUNT, Aggregation.UNIQUE):
        problems.check(given in (None, 0), f"{command.aggregation} counts whole things: 0", "decimals")
        return 0
    least = source.decimals if source is not None and command.property is None else 0
    wanted = least if given is None else given
    problems.check(0 <= wanted <= MAX_DECIMALS, f"0 to {MAX_DECIMALS}", "decimals")
    if source is not None and command.property is None:
        # An average is worked out when it is asked for, and may be finer than the levels.
        is_fine = wanted > least and command.aggregation is Aggregation.TIME_WEIGHTED
        problems.check(
            wanted == least or is_fine, f"{source.code} has {least}, and so has what it adds up to", "decimals"
        )
    return wanted


def _check_filters(problems: Problems, filters: Sequence[NewFilter]) -> None:
    problems.check(len(filters) <= MAX_FILTERS, f"are at most {MAX_FILTERS}", "filters")
    names = [entry.property for entry in filters]
    problems.check(len(set(names)) == len(names), "name each property once, with all its values", "filters")
    for index, entry in enumerate(filters[:MAX_FILTERS]):
        path = ("filters", str(index))
        _check_name(problems, entry.property, *path, "property")
        rule = f"are 1 to {MAX_FILTER_VALUES}, each of at most {MAX_PROPERTY_VALUE} printable characters"
        is_good = 1 <= len(entry.values) <= MAX_FILTER_VALUES
        is_good = is_good and all(len(v) <= MAX_PROPERTY_VALUE and v.isprintable() for v in entry.values)
        problems.check(is_good, rule, *path, "values")


def _check_name(problems: Problems, name: str, *path: str) -> None:
    is_good = 1 <= len(name) <= MAX_PROPERTY_NAME and name.isascii() and name.isprintable()
    problems.check(is_good, f"needs 1 to {MAX_PROPERTY_NAME} printable ASCII characters", *path)


async def carried_codes(platform: Platform) -> list[str]:
    """The codes of events that report levels: what they say goes on into later periods."""
    book = await refresh(platform)
    return [meter.source or meter.code for meter in book.meters.values() if meter.aggregation in LEVELS]
