"""Events as they come in, checked and made into facts: the same rules and the same words at every door."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from inkmeter.usage import Aggregation, Meter
from services.commands import NO_PROPERTIES, Fact
from services.measures import LEVELS, MAX_UNITS, SEATS, MeterBook, added, is_counted, quantity_of, scaled
from services.problems import MAX_KEY, Problems

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far in the future an event may lie: clocks differ a little, and more is a mistake."""
OWN_KEYS: Final = ("op:", "signnow:", "correction:", "replacement:")
"""Beginnings of the keys that Inkmeter makes itself."""
MAX_PROPERTIES: Final = 20
MAX_PROPERTY_NAME: Final = 64
MAX_PROPERTY_VALUE: Final = 256


class NewEvent(NamedTuple):
    """A fact to be counted; `occurred_at` decides its billing period, the present if it is missing.

    `quantity` is in the meter's units; `properties` are as they came, of JSON's types.
    """

    meter: str
    quantity: int | Decimal
    idempotency_key: str
    occurred_at: datetime | None = None
    properties: Mapping[str, object] | None = None


def read_fact(book: MeterBook, event: NewEvent, now: datetime, index: int) -> Fact:
    """The fact that the event at `index` tells. Raises InvalidInput with everything that is wrong with it."""
    moment, is_given = event.occurred_at or now, event.occurred_at is not None
    if _is_good(book, event, now):
        return Fact(event.meter, int(event.quantity), event.idempotency_key, moment, is_given, NO_PROPERTIES)
    problems, path = Problems(), ("events", str(index))
    check_new_key(problems, event.idempotency_key, *path, "idempotencyKey")
    if is_given:
        problems.check(moment <= now + CLOCK_SKEW, "lies in the future", *path, "occurredAt")
    properties = read_properties(problems, event.properties, *path, "properties")
    units = 0
    if check_counted_by_events(problems, book, event.meter, *path, "meter"):
        units = read_units(problems, book[event.meter], event.quantity, properties, *path)
    problems.refuse()
    return Fact(event.meter, units, event.idempotency_key, moment, is_given, properties)


def _is_good(book: MeterBook, event: NewEvent, now: datetime) -> bool:
    """The same rules without their words: nearly all events are good, and there are thousands a second."""
    key, quantity = event.idempotency_key, event.quantity
    return (
        event.meter in book.simple
        and type(quantity) is int
        and 1 <= quantity <= MAX_UNITS
        and not event.properties
        and 1 <= len(key) <= MAX_KEY
        and key.isascii()
        and key.isprintable()
        and " " not in key
        and not key.startswith(OWN_KEYS)
        and (event.occurred_at is None or event.occurred_at <= now or event.occurred_at <= now + CLOCK_SKEW)
    )


def check_new_key(problems: Problems, key: str, *path: str) -> bool:
    """An idempotency key of somebody else's making."""
    return problems.check_key(key, *path) and problems.check(
        not key.startswith(OWN_KEYS), f"must not begin with {', '.join(OWN_KEYS)}", *path
    )


def check_counted_by_events(problems: Problems, book: MeterBook, code: str, *path: str) -> bool:
    """A meter that events of its own code feed."""
    if not problems.check_meter(book, code, *path):
        return False
    if code == SEATS:
        problems.add("seats are counted by the subscription", *path)
        return False
    source = book[code].source
    return problems.check(source is None, f"is counted from the events of {source}: record those", *path)


def read_properties(problems: Problems, given: Mapping[str, object] | None, *path: str) -> Mapping[str, str]:
    """Properties as text."""
    if not given:
        return NO_PROPERTIES
    problems.check(len(given) <= MAX_PROPERTIES, f"are at most {MAX_PROPERTIES}", *path)
    properties = {}
    for name, value in given.items():
        if type(value) is int:
            text = str(value)
        elif isinstance(value, bool):
            text = "true" if value else "false"
        else:
            text = value if isinstance(value, str) else ""
        rule = f"names have 1 to {MAX_PROPERTY_NAME} printable ASCII characters"
        if problems.check(1 <= len(name) <= MAX_PROPERTY_NAME and name.isascii() and name.isprintable(), rule, *path):
            problems.check(not isinstance(value, float), "a float is not exact: write it as a string", *path, name)
            rule = "is a string, a whole number or a boolean"
            problems.check(isinstance(value, str | int | float), rule, *path, name)
            rule = f"has at most {MAX_PROPERTY_VALUE} printable characters"
            problems.check(len(text) <= MAX_PROPERTY_VALUE and text.isprintable(), rule, *path, name)
        properties[name] = text
    return properties


def read_units(
    problems: Problems,
    meter: Meter,
    quantity: int | Decimal,
    properties: Mapping[str, str],
    *path: str,
) -> int:
    """The quantity of an event in 10^-decimals units of its meter, which also needs the property that it counts."""
    units = scaled(quantity, meter.decimals)
    least = 0 if meter.aggregation in LEVELS else 1
    if not problems.check(
        units is not None and least <= units <= MAX_UNITS, _range_of(meter, least), *path, "quantity"
    ):
        return 0
    if meter.property is not None and is_counted(meter, properties):
        needed = (*path, "properties", meter.property)
        if meter.property not in properties:
            problems.add(f"is needed: {meter.code} counts it", *needed)
        elif meter.aggregation is not Aggregation.UNIQUE:
            problems.check(added(meter, 0, properties) is not None, _range_of(meter, 0), *needed)
    return units or 0


def _range_of(meter: Meter, least: int) -> str:
    low, high = quantity_of(meter, least), quantity_of(meter, MAX_UNITS)
    if not meter.decimals:
        return f"is a whole number from {low:f} to {high:f}"
    return f"is a number from {low:f} to {high:f} and at most {meter.decimals} digits after the point"
