from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkmeter import METERS, WIDE, BillingPeriod, Rounding, Usage
from inkmeter.usage import read_quantity

JANUARY = BillingPeriod(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
quantities = st.decimals(min_value=0, max_value=2**63, places=12, allow_nan=False)


@pytest.mark.parametrize(
    ("quantity", "size", "up", "down"),
    [
        ("0", 50, 0, 0),
        ("1", 50, 1, 0),
        ("50", 50, 1, 1),
        ("50.001", 50, 2, 1),
        ("101", 50, 3, 2),
        ("9223372036854775807.000000000001", 1, 2**63, 2**63 - 1),
    ],
)
def test_packs(quantity: str, size: int, up: int, down: int) -> None:
    usage = Usage(Decimal(quantity), JANUARY)
    assert (usage.packs_of(size), usage.packs_of(size, Rounding.DOWN)) == (up, down)


@pytest.mark.parametrize("size", [0, -1])
def test_a_pack_is_not_empty(size: int) -> None:
    with pytest.raises(ValueError, match="more than nothing"):
        Usage(Decimal(1), JANUARY).packs_of(size)


@given(quantities, st.integers(0, 2**63 - 1))
def test_within_and_beyond_are_the_whole(quantity: Decimal, included: int) -> None:
    usage = Usage(quantity, JANUARY)
    numerators = [int(part.scaleb(12, WIDE)) for part in (usage.within(included), usage.beyond(included), quantity)]
    assert numerators[0] + numerators[1] == numerators[2]
    assert usage.within(included) <= included


@pytest.mark.parametrize("quantity", [Decimal(-1), Decimal("NaN"), Decimal("Infinity")])
def test_a_quantity_is_finite_and_not_negative(quantity: Decimal) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        Usage(quantity, JANUARY)


@pytest.mark.parametrize("quantity", [1, 1.5, "1"])
def test_a_quantity_is_a_decimal(quantity: object) -> None:
    with pytest.raises(TypeError, match="a quantity is a Decimal"):
        Usage(quantity, JANUARY)  # type: ignore[arg-type]


def test_seats_are_not_negative() -> None:
    with pytest.raises(ValueError, match="seats are not negative"):
        Usage(Decimal(1), JANUARY, seats=-1)


def test_meters_are_found_by_their_code() -> None:
    assert all(code == meter.code for code, meter in METERS.items())
    assert {"documents_created", "invites_sent", "documents_completed", "signatures", "downloads"} <= set(METERS)


@pytest.mark.parametrize(("given", "read"), [(3, 3), (-3, -3), ("3", Decimal(3)), ("1.50", Decimal("1.5")), (0, 0)])
def test_a_quantity_is_read_exactly(given: object, read: object) -> None:
    assert read_quantity(given) == read


@pytest.mark.parametrize(
    "given", [1.5, True, None, "", "1e3", " 1", "1.", ".5", "+1", "NaN", "１", "1_000", 10**30, "9" * 31]
)
def test_what_is_no_exact_quantity(given: object) -> None:
    with pytest.raises(ValueError, match="whole number, or a string"):
        read_quantity(given)
