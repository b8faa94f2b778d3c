from collections.abc import Iterable
from decimal import Decimal
from itertools import count

import pytest

from inkmeter import BillingModel, Line, Proration, Rate, Usage
from inkmeter.testing import check_billing_model


class Good(BillingModel, abstract=True):
    unit_price: Rate
    """Price of one unit."""

    def rate(self, usage: Usage) -> Iterable[Line]:
        return [Line("Units", usage.quantity, self.unit_price)]


CONFIG = {"unitPrice": "0.45"}


def test_a_good_model_passes() -> None:
    check_billing_model(Good, CONFIG, {"unitPrice": "0"})


def test_a_configuration_is_needed() -> None:
    with pytest.raises(AssertionError, match="at least one configuration"):
        check_billing_model(Good)


def test_a_float_setting_is_found() -> None:
    class Bad(Good, abstract=True):
        factor: float = 1.5
        """A factor."""

    with pytest.raises(AssertionError, match="factor is a float"):
        check_billing_model(Bad, CONFIG)


def test_a_float_inside_a_setting_is_found() -> None:
    class Bad(Good, abstract=True):
        factors: tuple[dict[str, float], ...] = ()
        """Factors."""

    with pytest.raises(AssertionError, match=r"survive storage: factors\.0\.x: a float"):
        check_billing_model(Bad, {**CONFIG, "factors": [{"x": "1.5"}]})


def test_a_setting_without_docstring_is_found() -> None:
    class Bad(Good, abstract=True):
        secret: int = 1

    with pytest.raises(AssertionError, match=r"secret needs a docstring"):
        check_billing_model(Bad, CONFIG)


def test_a_model_that_rates_differently_each_time_is_found() -> None:
    calls = count()

    class Bad(Good, abstract=True):
        def rate(self, usage: Usage) -> Iterable[Line]:
            return [Line("Units", Decimal(next(calls)), self.unit_price)]

    with pytest.raises(AssertionError, match="rated differently"):
        check_billing_model(Bad, CONFIG)


def test_a_negative_total_is_found() -> None:
    class Bad(Good, abstract=True):
        def rate(self, usage: Usage) -> Iterable[Line]:
            return [Line("Discount", Decimal(1), Decimal(-1))]

    with pytest.raises(AssertionError, match="the total is negative"):
        check_billing_model(Bad, CONFIG)


def test_a_falling_price_is_found_unless_it_is_meant() -> None:
    class Falls(Good, abstract=True):
        def rate(self, usage: Usage) -> Iterable[Line]:
            return [Line("Units", usage.quantity, Decimal(0) if usage.quantity > 100 else self.unit_price)]

    with pytest.raises(AssertionError, match="less usage cost"):
        check_billing_model(Falls, CONFIG)
    check_billing_model(Falls, CONFIG, monotone=False)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (Line("", Decimal(1), Decimal(1)), "has no label"),
        (Line("Units", 1, Decimal(1)), "is not in Decimals"),  # type: ignore[arg-type]
        (Line("Units", Decimal(1), 0.5), "raised TypeError"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_line_is_found(line: Line, message: str) -> None:
    class Bad(Good, abstract=True):
        def rate(self, usage: Usage) -> Iterable[Line]:
            return [line]

    with pytest.raises(AssertionError, match=message):
        check_billing_model(Bad, CONFIG)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (Line("", Decimal(1), Decimal(1)), "has no label"),
        (Line("Fee", 1, Decimal(1)), "is not in Decimals"),  # type: ignore[arg-type]
        (Line("Fee", Decimal(1), 0.5), "is not in Decimals"),  # type: ignore[arg-type]
        (Line("Fee", Decimal(1), Decimal(-1)), "the fee 'Fee' is negative, -1"),
        (None, "fees raised TypeError"),
    ],
)
def test_a_bad_fee_is_found(line: Line | None, message: str) -> None:
    class Bad(Good, abstract=True):
        def fees(self, seats: int) -> Iterable[Line]:
            return [line] if line else None  # type: ignore[return-value]

    with pytest.raises(AssertionError, match=message):
        check_billing_model(Bad, CONFIG)


def test_fees_that_differ_each_time_are_found() -> None:
    calls = count()

    class Bad(Good, abstract=True):
        def fees(self, seats: int) -> Iterable[Line]:
            return [Line("Fee", Decimal(next(calls)), self.unit_price)]

    with pytest.raises(AssertionError, match="different fees"):
        check_billing_model(Bad, CONFIG)


def test_a_change_of_seats_is_charged_in_a_way_that_there_is() -> None:
    class Bad(Good, abstract=True):
        def seat_changes(self) -> Proration:
            return "WEEK"  # type: ignore[return-value]

    with pytest.raises(AssertionError, match="no Proration"):
        check_billing_model(Bad, CONFIG)
