"""Scalars as a caller meets them: as variables and as literals of a query."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import strawberry
from hypothesis import given
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig

from schema.scalars import SCALARS, Base64, BigInt, CurrencyCode, Json, Quantity


@strawberry.type
class Query:
    @strawberry.field
    def moment(self, value: datetime) -> datetime:
        return value

    @strawberry.field
    def day(self, value: date) -> date:
        return value

    @strawberry.field
    def exact(self, value: Decimal) -> Decimal:
        return value

    @strawberry.field
    def quantity(self, value: BigInt) -> BigInt:
        assert type(value) is int
        return value

    @strawberry.field
    def units(self, value: Quantity) -> Quantity:
        assert type(value) in (int, Decimal)
        return value

    @strawberry.field
    def content(self, value: Base64) -> Base64:
        assert type(value) is bytes
        return value

    @strawberry.field
    def config(self, value: Json) -> Json:
        return value

    @strawberry.field
    def currency(self, value: CurrencyCode) -> CurrencyCode:
        return value

    @strawberry.field
    def naive(self) -> datetime:
        return datetime(2026, 1, 1)  # noqa: DTZ001

    @strawberry.field
    def nan(self) -> Decimal:
        return Decimal("NaN")


class Schema(strawberry.Schema):
    def process_errors(self, *_: object) -> None:
        """Strawberry would log them."""


SCHEMA = Schema(Query, config=StrawberryConfig(scalar_map=SCALARS))
TYPES = {
    "moment": "DateTime",
    "day": "Date",
    "exact": "Decimal",
    "quantity": "BigInt",
    "units": "Quantity",
    "content": "Base64",
    "config": "JSON",
    "currency": "CurrencyCode",
}


def answer(field: str, value: object) -> Any:
    """What a field gives back for a variable; as a literal, JSON text means the same."""
    query = f"query($v: {TYPES[field]}!) {{ {field}(value: $v) }}"
    result = SCHEMA.execute_sync(query, variable_values={"v": value})
    assert not result.errors, result.errors
    assert result.data is not None
    if not isinstance(value, dict):
        literal = SCHEMA.execute_sync(f"{{ {field}(value: {json.dumps(value)}) }}")
        assert literal.data == result.data
    return result.data[field]


def refusal(field: str, value: object) -> str:
    """The message with which a variable is refused; as a literal it is refused in the same words."""
    query = f"query($v: {TYPES[field]}!) {{ {field}(value: $v) }}"
    result = SCHEMA.execute_sync(query, variable_values={"v": value})
    assert result.data is None
    assert result.errors is not None
    (error,) = result.errors
    assert error.original_error is None or isinstance(error.original_error, type(error))
    if not isinstance(value, dict):
        literal = SCHEMA.execute_sync(f"{{ {field}(value: {json.dumps(value)}) }}")
        assert literal.errors is not None
        assert literal.errors[0].message.split(": ", 1)[-1] in error.message
    return error.message


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00Z"),
        ("2026-01-31t09:30:00z", "2026-01-31T09:30:00Z"),
        ("2026-01-31T09:30:00.250+05:30", "2026-01-31T04:00:00.250000Z"),
        ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"),
    ],
)
def test_moments_come_with_any_offset_and_leave_in_utc(given_: str, shown: str) -> None:
    assert answer("moment", given_) == shown


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T09:30:00",
        "2026-01-31",
        "2026-02-30T00:00:00Z",
        "2026-01-31T24:00:01Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2026-01-31T09:30:00+24:00",
        "2026-W05-6T09:30:00Z",
        "٢026-01-31T09:30:00Z",
        "",
        1769851800,
        None,
    ],
)
def test_what_is_no_moment_is_refused(value: object) -> None:
    refusal("moment", value)


def test_a_naive_datetime_never_leaves() -> None:
    assert SCHEMA.execute_sync("{ naive }").data is None


def test_days() -> None:
    assert answer("day", "2028-02-29") == "2028-02-29"
    for value in ("2026-02-29", "20260131", "2026-1-31", "2026-01-31T00:00:00Z", 20260131):
        assert "Date" in refusal("day", value)


@pytest.mark.parametrize("value", ["0", "-0.0125", "12.50", "007", "123456789012345678901234567890"])
def test_decimals_keep_their_digits(value: str) -> None:
    assert Decimal(answer("exact", value)) == Decimal(value)


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "1E+3", "1e3", "1.", ".5", "+1", "1 ", "1_000", "٣", "", "1" * 31, 1, 1.5, True],
)
def test_what_is_no_exact_decimal_is_refused(value: object) -> None:
    assert "Decimal" in refusal("exact", value)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=12))
def test_decimals_leave_in_plain_notation(value: Decimal) -> None:
    shown = SCALARS[Decimal].serialize(value)  # type: ignore[misc]
    assert "E" not in shown
    assert Decimal(shown) == value
    assert SCALARS[Decimal].serialize(Decimal("1E+3")) == "1000"  # type: ignore[misc]


def test_not_a_number_never_leaves() -> None:
    assert SCHEMA.execute_sync("{ nan }").data is None


@pytest.mark.parametrize("value", [0, 42, "42", -(2**63), 2**63 - 1, str(2**63 - 1)])
def test_whole_numbers_of_64_bits_come_either_way_and_leave_as_text(value: int | str) -> None:
    assert answer("quantity", value) == str(value)


@pytest.mark.parametrize(
    "value", [2**63, str(2**63), -(2**63) - 1, "1.0", 1.0, 1.5, "", "0x10", "1_0", True, "9" * 400]
)
def test_other_numbers_are_refused(value: object) -> None:
    assert "BigInt" in refusal("quantity", value)


@given(st.binary(max_size=64))
def test_bytes_come_and_go(content: bytes) -> None:
    serialize, parse = SCALARS[Base64].serialize, SCALARS[Base64].parse_value
    assert serialize is not None
    assert parse is not None
    assert parse(serialize(content)) == content


@pytest.mark.parametrize("value", ["abc", "a===", "YWJj\n", "YW_-", "ü", 5, ["YWJj"]])
def test_what_is_no_base64_is_refused_and_says_what_would_be(value: object) -> None:
    assert "RFC 4648" in refusal("content", value)


CONFIG = {"included": 100, "tiers": [{"upTo": 10, "unitPrice": "0.50"}, {"upTo": None, "unitPrice": "0"}], "on": True}


def test_a_configuration_comes_as_variable_and_as_literal() -> None:
    assert answer("config", CONFIG) == CONFIG
    literal = """{ config(value: {included: 100, tiers: [{upTo: 10, unitPrice: "0.50"}, {upTo: null, unitPrice: "0"}],
        on: true}) }"""
    result = SCHEMA.execute_sync(literal)
    assert result.data == {"config": CONFIG}
    mixed = "query($price: String!) { config(value: {unitPrice: $price}) }"
    assert SCHEMA.execute_sync(mixed, variable_values={"price": "1.5"}).data == {"config": {"unitPrice": "1.5"}}


def test_floats_in_a_configuration_are_left_to_the_billing_model() -> None:
    """It names them by their path in `userErrors`, beside everything else that is wrong."""
    value = {"unitPrice": 0.5, "tiers": [{"unitPrice": 0.1}]}
    assert answer("config", value) == value
    result = SCHEMA.execute_sync("{ config(value: {unitPrice: 0.5, tiers: [{unitPrice: 0.1}]}) }")
    assert result.data == {"config": value}


def test_the_schema_has_no_float() -> None:
    result = SCHEMA.execute_sync("query($price: Float!) { config(value: {unitPrice: $price}) }")
    assert result.errors is not None
    assert result.errors[0].message == "Unknown type 'Float'."


def test_a_configuration_is_an_object_of_bounded_size() -> None:
    others: list[object] = [[], "x", 1, None]
    for value in others:
        refusal("config", value)
    deep: dict[str, Any] = {}
    for _ in range(3000):
        deep = {"a": deep}
    assert "deep" in refusal("config", deep)
    assert "64 bits" in refusal("config", {"n": 2**63})


def test_currencies() -> None:
    assert answer("currency", "KWD") == "KWD"
    for value in ("usd", "XXX", "", 840):
        assert "ISO 4217" in refusal("currency", value)


def test_every_scalar_is_described() -> None:
    assert all(scalar.description for scalar in SCALARS.values())
    assert {scalar.name for scalar in SCALARS.values()} == set(TYPES.values())
    assert answer("moment", datetime(2026, 1, 1, tzinfo=UTC).isoformat()) == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("given_", "shown"),
    [(3, "3"), ("3", "3"), ("1.50", "1.5"), ("0.000", "0"), ("-0.0", "0"), ("100", "100"), (0, "0"), ("-2.5", "-2.5")],
)
def test_quantities_leave_without_zeros_at_their_end(given_: object, shown: str) -> None:
    assert answer("units", given_) == shown


@pytest.mark.parametrize("value", [1.5, True, "1e3", "", "1.", "one", 10**30, "1" * 31])
def test_quantities_are_exact(value: object) -> None:
    assert "a quantity is a whole number, or a string" in refusal("units", value)
