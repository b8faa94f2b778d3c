"""The API's scalars: exact numbers as text and moments in UTC.

`SCALARS` is the schema's `scalar_map`. Fields and arguments are annotated with `datetime`, `date`, `Decimal`
or the types named here: `BigInt`, `Quantity`, `Base64`, `Json` and `CurrencyCode`.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from inkmeter.money import CURRENCY_DIGITS
from inkmeter.usage import read_quantity

BigInt = NewType("BigInt", int)
"""A whole number of up to 64 bits, such as a quantity."""

Quantity = NewType("Quantity", Decimal)
"""An exact number of a meter's units; an int where it came as one."""

Base64 = NewType("Base64", bytes)
"""Bytes, such as a PDF."""

Json = NewType("Json", dict[str, Any])
"""A JSON object, such as a price's configuration."""

CurrencyCode = NewType("CurrencyCode", str)
"""An ISO 4217 code that Inkmeter knows."""

_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DECIMAL = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)

MAX_DECIMAL_DIGITS: Final = 30
MAX_JSON_DEPTH: Final = 32


def bad_input(message: str) -> GraphQLError:
    """An error that tells the caller what is wrong with an argument; its code is BAD_USER_INPUT."""
    return GraphQLError(message, extensions={"code": "BAD_USER_INPUT"})


def _parse_datetime(value: object) -> datetime:
    try:
        return read_moment(value)
    except ValueError as error:
        raise bad_input(f"DateTime {error}") from None


def read_moment(value: object) -> datetime:
    """The moment that a text names, in UTC: one rule for GraphQL and for plain HTTP. Raises ValueError, whose words go
    on after the name of what was read.
    """
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("is an RFC 3339 string with an offset, e.g. 2026-01-31T09:30:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{value} does not exist or is out of range") from None


def _print_datetime(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a naive datetime has no place in time")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_date(value: object) -> date:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise bad_input("Date is a string like 2026-01-31")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise bad_input(f"Date {value} does not exist") from None


def _parse_decimal(value: object) -> Decimal:
    if not isinstance(value, str):
        raise bad_input('Decimal is a string like "12.50"; a JSON number is not exact')
    if not _DECIMAL.fullmatch(value):
        raise bad_input('Decimal is a plain number like "12.50", without exponent')
    if sum(map(str.isdigit, value)) > MAX_DECIMAL_DIGITS:
        raise bad_input(f"Decimal has at most {MAX_DECIMAL_DIGITS} digits")
    return Decimal(value)


def _print_decimal(value: object) -> str:
    if not isinstance(value, Decimal) or not value.is_finite():
        raise ValueError(f"{value!r} is not an exact, finite number")
    return format(value, "f")


def _is_64_bit(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _parse_big_int(value: object) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not _is_64_bit(value):
        raise bad_input('BigInt is a whole number of at most 64 bits: 42 or "42"')
    return value


def _print_big_int(value: object) -> str:
    if type(value) is not int:
        raise TypeError(f"{value!r} is not an int")
    return str(value)


def _parse_quantity(value: object) -> int | Decimal:
    try:
        return read_quantity(value)
    except ValueError as error:
        raise bad_input(str(error)) from None


def _print_quantity(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError(f"{value!r} is not an exact number")
    shown = format(Decimal(value), "f")
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


def _parse_base64(value: object) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        pass
    raise bad_input("Base64 is a string in the standard alphabet, padded, without line breaks (RFC 4648, section 4)")


def _print_base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _leaves(value: object) -> Iterator[tuple[tuple[str, ...], object]]:
    """Everything inside a JSON value that is neither list nor object, with its path, in order."""
    stack: list[tuple[tuple[str, ...], object]] = [((), value)]
    while stack:
        path, inner = stack.pop()
        if not isinstance(inner, (dict, list)):
            yield path, inner
        elif len(path) >= MAX_JSON_DEPTH:
            raise bad_input(f"JSON is nested more than {MAX_JSON_DEPTH} levels deep")
        else:
            children = inner.items() if isinstance(inner, dict) else enumerate(inner)
            stack.extend(reversed([((*path, str(key)), child) for key, child in children]))


def _parse_json(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise bad_input("JSON is an object here, e.g. {included: 100}")
    for path, leaf in _leaves(value):
        if isinstance(leaf, int) and not _is_64_bit(leaf):
            raise bad_input(f"{'.'.join(path)}: whole numbers have at most 64 bits")
    return value


def _parse_currency(value: object) -> str:
    if not isinstance(value, str) or value not in CURRENCY_DIGITS:
        raise bad_input("CurrencyCode is an ISO 4217 code in capital letters, e.g. USD")
    return value


def _scalar(
    name: str, description: str, parse: Callable[[Any], object], serialize: Callable[[Any], object]
) -> ScalarDefinition:
    return strawberry.scalar(name=name, description=description, parse_value=parse, serialize=serialize)


SCALARS: Final[Mapping[object, ScalarDefinition]] = {
    datetime: _scalar(
        "DateTime",
        "A moment: RFC 3339 text with any offset as input, always UTC with `Z` as output.",
        _parse_datetime,
        _print_datetime,
    ),
    date: _scalar("Date", "A calendar day, e.g. `2026-01-31`.", _parse_date, date.isoformat),
    Decimal: _scalar(
        "Decimal",
        f'An exact number as a string, without exponent, e.g. `"0.5"`; at most {MAX_DECIMAL_DIGITS} digits.',
        _parse_decimal,
        _print_decimal,
    ),
    BigInt: _scalar(
        "BigInt",
        "A whole number of up to 64 bits. As output always a string, because a JavaScript number is exact "
        'only up to 2^53; as input `42` and `"42"` are the same.',
        _parse_big_int,
        _print_big_int,
    ),
    Quantity: _scalar(
        "Quantity",
        'An exact number of a meter\'s units. As input a whole number or a string, `3` or `"1.5"`: a float is refused. '
        'As output always a string without zeros at its end, `"1.5"`.',
        _parse_quantity,
        _print_quantity,
    ),
    Base64: _scalar("Base64", "Bytes as standard, padded base64 (RFC 4648, section 4).", _parse_base64, _print_base64),
    Json: _scalar(
        "JSON",
        'A JSON object. Amounts in it are strings, `"0.50"` and not `0.50`: whoever reads it refuses floats.',
        _parse_json,
        dict,
    ),
    CurrencyCode: _scalar(
        "CurrencyCode", "An ISO 4217 currency code in capital letters, e.g. `USD`.", _parse_currency, str
    ),
}
"""Scalar definitions by Python type, for `StrawberryConfig(scalar_map=...)`."""
