from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import model_validator

from inkmeter import (
    BillingModel,
    BillingPeriod,
    InvalidConfig,
    Line,
    Problem,
    Proration,
    Rate,
    Units,
    Usage,
    invalid,
    price,
)

JANUARY = BillingPeriod(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


class PerUnit(BillingModel):
    """A price per unit, with bounds."""

    code = "test-per-unit"
    unit_price: Rate
    """Price of one unit."""
    free: Units = 0
    """Free units."""
    least: Rate | None = None
    """The least."""
    most: Rate | None = None
    """The most."""

    @model_validator(mode="after")
    def _two_rules(self) -> Self:
        if self.free == 13:
            raise invalid(Problem(("free",), "is unlucky"), Problem(("unitPrice",), "is unlucky too"))
        return self

    def rate(self, usage: Usage) -> Iterable[Line]:
        yield Line("One third", usage.quantity, self.unit_price)
        yield Line("Another third", usage.quantity, self.unit_price)
        yield Line("The last third", usage.quantity, self.unit_price)

    def spend_bounds(self) -> tuple[Decimal | None, Decimal | None]:
        return self.least, self.most


def problems(config: object) -> dict[str, str]:
    with pytest.raises(InvalidConfig) as refused:
        PerUnit.configure(config)
    return {".".join(problem.path): problem.message for problem in refused.value.problems}


@pytest.mark.parametrize("value", [0.1, float("nan"), True, None, [], {}, "abc", "", "NaN", "Infinity", "-0.01"])
def test_a_rate_is_an_exact_amount(value: object) -> None:
    assert list(problems({"unitPrice": value})) == ["unitPrice"]


def test_a_rate_has_at_most_12_places_and_15_digits() -> None:
    assert "12 digits after the point" in problems({"unitPrice": "0.0000000000001"})["unitPrice"]
    assert "15 digits before the point" in problems({"unitPrice": "1000000000000000"})["unitPrice"]
    most = "999999999999999.999999999999"
    assert PerUnit.configure({"unitPrice": most}).unit_price == Decimal(most)


@pytest.mark.parametrize("value", ["1", 1.0, 1.5, True, -1, 2**63, None])
def test_units_are_a_whole_number(value: object) -> None:
    assert list(problems({"unitPrice": "1", "free": value})) == ["free"]


class Loose(PerUnit):
    """A partner's model whose own fields would take floats."""

    code = "test-loose"
    factor: Decimal = Decimal(1)
    """A factor."""
    table: tuple[dict[str, Decimal], ...] = ()
    """More factors."""


@pytest.mark.parametrize(
    ("config", "paths"),
    [
        ({"unitPrice": "1", "factor": 1.5}, ["factor"]),
        ({"unitPrice": "1", "factor": float("nan")}, ["factor"]),
        ({"unitPrice": "1", "table": [{"a": "1"}, {"b": 2.0, "c": 3}]}, ["table.1.b"]),
        ({"unitPrice": 0.5, "factor": 1.0, "free": -1, "other": {"x": [0.1]}}, None),
    ],
)
def test_floats_are_refused_in_fields_that_would_take_them(config: dict[str, Any], paths: list[str] | None) -> None:
    with pytest.raises(InvalidConfig) as refused:
        Loose.configure(config)
    found = [".".join(problem.path) for problem in refused.value.problems]
    assert found == (paths or ["unitPrice", "factor", "other.x.0", "free", "other"])
    assert Loose.configure({"unitPrice": "1", "factor": "1.5"}).factor == Decimal("1.5")


def test_every_wrong_path_is_named() -> None:
    found = problems({"unitPrice": 0.1, "free": -1, "leest": "1"})
    assert found.keys() == {"unitPrice", "free", "leest"}
    assert found["leest"] == "no such setting"
    assert problems({}) == {"unitPrice": "is needed"}


def test_a_validator_names_several_paths() -> None:
    assert problems({"unitPrice": "1", "free": 13}) == {"free": "is unlucky", "unitPrice": "is unlucky too"}


@pytest.mark.parametrize("config", [None, [], "unitPrice", 1])
def test_a_config_is_a_mapping(config: object) -> None:
    assert list(problems(config)) == [""]


def test_a_price_is_frozen_and_survives_json() -> None:
    model = PerUnit.configure({"unitPrice": "0.000000000001", "least": "1e1"})
    with pytest.raises(ValueError, match="frozen"):
        model.unit_price = Decimal(2)  # type: ignore[misc]
    dumped = model.model_dump(mode="json", by_alias=True)
    assert dumped == {"unitPrice": "0.000000000001", "free": 0, "least": "10", "most": None}
    assert PerUnit.configure(dumped) == model


def test_the_schema_describes_the_settings() -> None:
    schema = PerUnit.model_json_schema()
    assert schema["description"] == "A price per unit, with bounds."
    assert schema["additionalProperties"] is False
    unit_price = schema["properties"]["unitPrice"]
    assert (unit_price["type"], unit_price["title"]) == ("string", "Unit price")
    assert unit_price["description"] == "Price of one unit."


@pytest.mark.parametrize(
    ("least", "most", "total", "label"),
    [
        (None, None, "0.99", None),  # three lines of 0.334, each 0.33
        ("1.00", None, "1.00", "Minimum spend"),  # though the exact sum, 1.002, is more
        ("0.99", "0.99", "0.99", None),
        ("0.50", "0.98", "0.98", "Maximum spend"),
        ("5.00", None, "5.00", "Minimum spend"),
        (None, "0", "0.00", "Maximum spend"),
    ],
)
def test_bounds_are_met_to_the_cent(least: str | None, most: str | None, total: str, label: str | None) -> None:
    model = PerUnit.configure({"unitPrice": "0.334", "least": least, "most": most})
    bill = price(model, Usage(Decimal(1), JANUARY), "USD")
    assert str(bill.total) == f"{total} USD"
    assert [line.label for line in bill.lines[3:]] == ([label] if label else [])
    assert sum(line.total.minor for line in bill.lines) == bill.total.minor


@given(
    quantity=st.decimals(min_value=0, max_value=2**63, places=12, allow_nan=False),
    unit_price=st.decimals(min_value=0, max_value=10**15 - 1, places=12, allow_nan=False),
)
def test_an_amount_is_exact_whatever_its_size(quantity: Decimal, unit_price: Decimal) -> None:
    amount = Line("", quantity, unit_price).amount
    assert Fraction(amount) == Fraction(quantity) * Fraction(unit_price)


def test_a_total_past_64_bits_is_an_error() -> None:
    with pytest.raises(OverflowError):
        price(PerUnit.configure({"unitPrice": "1"}), Usage(Decimal(2**63), JANUARY), "USD")


@pytest.mark.parametrize("code", ["", "Per-Unit", "per_unit", "per unit", "-per", "per-", "1st", "per--unit", None, 5])
def test_a_class_without_a_good_code_does_not_load(code: Any) -> None:
    with pytest.raises(TypeError, match="kebab-case"):
        type("Bad", (BillingModel,), {"code": code, "__doc__": "x", "__module__": __name__, "rate": PerUnit.rate})


def test_a_class_without_docstring_or_rate_does_not_load() -> None:
    with pytest.raises(TypeError, match="docstring"):
        type("Bad", (BillingModel,), {"code": "bad", "__module__": __name__, "rate": PerUnit.rate})
    with pytest.raises(TypeError, match=r"needs a method `rate.* or `fees"):
        type("Bad", (BillingModel,), {"code": "bad", "__doc__": "x", "__module__": __name__})


def test_an_abstract_class_is_let_off() -> None:
    class Base(BillingModel, abstract=True):
        pass

    assert price(Base(), Usage(Decimal(1), JANUARY), "USD").lines == ()


class Membership(BillingModel):
    """A fee alone."""

    code = "test-membership"

    def fees(self, seats: int) -> Iterable[Line]:
        return [Line("Member", Decimal(seats), Decimal(5))]


class Bar(Membership):
    """A fee, and what is drunk."""

    code = "test-bar"

    def rate(self, usage: Usage) -> Iterable[Line]:
        return [Line("Drinks", usage.quantity, Decimal(3))]


def test_a_price_is_its_fees_and_what_was_used() -> None:
    usage = Usage(Decimal(2), JANUARY, 4)
    assert [line.label for line in price(Membership(), usage, "USD").lines] == ["Member"]
    bill = price(Bar(), usage, "USD")
    assert [(line.label, str(line.total)) for line in bill.lines] == [("Member", "20.00 USD"), ("Drinks", "6.00 USD")]
    assert Membership().seat_changes() is Proration.SECOND
