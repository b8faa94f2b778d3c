from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkmeter.money import (
    COLLECTED_STEP,
    CURRENCY_DIGITS,
    STRIPE_DIFFERS,
    Money,
    UnknownCurrency,
    booked_money,
    collected_digits,
    currency_digits,
    round_down,
    to_money,
)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.50", "USD", 1250),
        ("0.125", "USD", 13),
        ("-0.125", "USD", -13),
        ("0.124999999999999999999999999999999999", "USD", 12),
        ("0.005", "USD", 1),
        ("0.004999", "USD", 0),
        ("1234.5", "JPY", 1235),
        ("1234.4", "JPY", 1234),
        ("1.005", "KWD", 1010),
        ("-1.005", "KWD", -1010),
        ("1.004999", "KWD", 1000),
        ("92233720368547758.07", "USD", 2**63 - 1),
        ("0E+40", "USD", 0),
        ("1E-400", "USD", 0),
    ],
)
def test_an_amount_is_rounded_half_away_from_zero(amount: str, currency: str, minor: int) -> None:
    assert to_money(Decimal(amount), currency) == Money(minor, currency)


@given(
    amount=st.decimals(min_value=-(10**15), max_value=10**15, places=12, allow_nan=False),
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
)
def test_rounding_agrees_with_fractions(amount: Decimal, currency: str) -> None:
    exact = abs(Fraction(amount)) * 10 ** collected_digits(currency)
    expected = int(exact + Fraction(1, 2)) * COLLECTED_STEP.get(currency, 1)
    assert to_money(amount, currency).minor == (expected if amount >= 0 else -expected)


@pytest.mark.parametrize("amount", [0.1, 1, "1", None])
def test_only_a_decimal_becomes_money(amount: object) -> None:
    with pytest.raises(TypeError, match="made from a Decimal"):
        to_money(amount, "USD")  # type: ignore[arg-type]


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_money_is_finite(amount: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        to_money(Decimal(amount), "USD")


@pytest.mark.parametrize("amount", ["92233720368547758.08", "-1e19", "1e25", "1e120"])
def test_an_amount_past_64_bits_overflows(amount: str) -> None:
    with pytest.raises(OverflowError, match="64 bits"):
        to_money(Decimal(amount), "USD")


@given(st.decimals(-(10**6), 10**6, places=5, allow_nan=False), st.integers(1, 10**6), st.sampled_from(["USD", "KWD"]))
def test_a_fraction_is_rounded_like_a_decimal(amount: Decimal, parts: int, currency: str) -> None:
    assert to_money(Fraction(amount), currency) == to_money(amount, currency)
    part = Fraction(amount) / parts
    distance = abs(part * 10 ** currency_digits(currency) - to_money(part, currency).minor)
    assert distance <= Fraction(COLLECTED_STEP.get(currency, 1), 2)
    assert to_money(-part, currency) == -to_money(part, currency)


def test_a_fraction_is_as_bounded_as_a_decimal() -> None:
    assert str(to_money(Fraction(1, 3), "KWD")) == "0.330 KWD"
    assert str(to_money(Fraction(-1, 200), "USD")) == "-0.01 USD"
    with pytest.raises(OverflowError):
        to_money(Fraction(2**63), "JPY")
    with pytest.raises(UnknownCurrency):
        to_money(Fraction(1, 3), "XXX")


@pytest.mark.parametrize("currency", ["usd", "XXX", "", "ISK", "BTC"])
def test_an_unknown_currency_is_refused(currency: str) -> None:
    with pytest.raises(UnknownCurrency, match="ISO 4217"):
        Money(1, currency)


def test_currencies_that_stripe_counts_otherwise_are_not_offered() -> None:
    assert not STRIPE_DIFFERS & CURRENCY_DIGITS.keys()


@pytest.mark.parametrize("minor", [1.0, Decimal(1), True, "1"])
def test_minor_units_are_an_int(minor: object) -> None:
    with pytest.raises(TypeError, match="minor units are an int"):
        Money(minor, "USD")  # type: ignore[arg-type]


def test_money_adds_subtracts_and_negates() -> None:
    assert Money(150, "USD") + Money(50, "USD") - Money(300, "USD") == -Money(100, "USD")
    assert Money.sum([Money(1, "JPY"), Money(2, "JPY")], "JPY") == Money(3, "JPY")
    assert Money.sum([], "USD") == Money.zero("USD")


def test_two_currencies_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="USD and EUR do not add up"):
        Money(1, "USD") + Money(1, "EUR")
    with pytest.raises(TypeError, match="money and int do not add up"):
        Money(1, "USD") + 1  # type: ignore[operator]


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(5, "USD"), "0.05 USD"),
        (Money(-1250, "USD"), "-12.50 USD"),
        (Money(0, "USD"), "0.00 USD"),
        (Money(7, "JPY"), "7 JPY"),
        (Money(10**18, "JPY"), f"{10**18} JPY"),
        (Money(1, "KWD"), "0.001 KWD"),
    ],
)
def test_money_reads_in_major_units(money: Money, text: str) -> None:
    assert str(money) == text
    assert booked_money(money.amount, money.currency) == money


def test_what_stripe_collects_of_three_digits_ends_in_zero() -> None:
    """Stripe's docs on currencies; what somebody else charges is kept as it is."""
    assert {currency for currency, digits in CURRENCY_DIGITS.items() if digits == 3} == set(COLLECTED_STEP)
    assert (collected_digits("KWD"), collected_digits("USD"), collected_digits("JPY")) == (2, 2, 0)
    assert str(to_money(Decimal("5.124"), "KWD")) == "5.120 KWD"
    assert str(booked_money(Decimal("5.124"), "KWD")) == "5.124 KWD"
    assert [round_down(5129, currency) for currency in ("KWD", "USD")] == [5120, 5129]
    assert round_down(-5121, "KWD") == -5130
