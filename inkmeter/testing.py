"""The conformance kit for billing models: run it in your plugin's tests on your model and typical prices."""

# ruff: noqa: S101 -- its answer is an AssertionError, as pytest likes it

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from inkmeter.billing_model import BillingModel, Line, RatedLine, RatedPrice, price
from inkmeter.errors import InvalidConfig
from inkmeter.money import Money
from inkmeter.periods import BillingPeriod, Proration
from inkmeter.usage import Usage

_PERIOD = BillingPeriod(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
_QUANTITIES = [Decimal(text) for text in ("0", "1", "2", "9.5", "10", "99", "100", "100.5", "1000", "12345678")]


def check_billing_model(model_class: type[BillingModel], *configs: Mapping[str, Any], monotone: bool = True) -> None:
    """Check that a billing model keeps its contract. Raises AssertionError: what is broken, with which input.

    For each configuration (at least one is needed): it survives storage, has no floats, unknown settings are
    refused, fees and rating are repeatable, every line has a label, the lines are the total, neither a fee nor a
    total is negative.
    `monotone` adds that more usage never costs less; switch it off for a price that is meant to fall as a
    whole, like one with volume tiers.
    """
    assert configs, "give check_billing_model at least one configuration"
    _check_schema(model_class)
    for config in configs:
        model = model_class.configure(config)
        _check_config(model, config)
        for seats in (0, 1, 7):
            _check_fees(model, seats)
            for currency in ("USD", "JPY", "KWD"):
                _check_rating(model, seats, currency, monotone=monotone)


def _check_schema(model_class: type[BillingModel]) -> None:
    json.dumps(model_class.model_json_schema())
    for name, field in model_class.model_fields.items():
        assert field.description, f"{model_class.__name__}.{name} needs a docstring: it explains the setting"
        assert field.annotation is not float, f"{model_class.__name__}.{name} is a float; use Rate or Decimal"


def _check_config(model: BillingModel, config: Mapping[str, Any]) -> None:
    dumped = model.model_dump(mode="json", by_alias=True)
    try:
        again = type(model).configure(json.loads(json.dumps(dumped)))
    except InvalidConfig as error:
        raise AssertionError(f"the configuration does not survive storage: {error.message}") from error
    assert again == model, f"the configuration does not survive storage: {config} came back as {again!r}"
    _refuses(model, {**dumped, "noSuchSetting": 1}, "an unknown setting was accepted")


def _refuses(model: BillingModel, config: Mapping[str, Any], otherwise: str) -> None:
    try:
        type(model).configure(config)
    except InvalidConfig:
        return
    raise AssertionError(otherwise)


def _check_fees(model: BillingModel, seats: int) -> None:
    where = f"{model!r} with {seats} seats"
    try:
        fees, again, proration = [*model.fees(seats)], [*model.fees(seats)], model.seat_changes()
    except Exception as error:
        raise AssertionError(f"{where}: fees raised {type(error).__name__}: {error}") from error
    assert fees == again, f"{where}: the same seats have different fees"
    assert isinstance(proration, Proration), f"{where}: seat_changes() is {proration!r}, no Proration"
    for line in fees:
        _check_line(line, where)
        assert line.amount >= 0, f"{where}: the fee {line.label!r} is negative, {line.amount}"


def _check_line(line: Line | RatedLine, where: str) -> None:
    numbers = line.quantity, line.unit_price
    assert line.label.strip(), f"{where}: a line has no label"
    assert all(isinstance(n, Decimal) for n in numbers), f"{where}: {line.label!r} is not in Decimals"


def _check_rating(model: BillingModel, seats: int, currency: str, *, monotone: bool) -> None:
    before = Money.zero(currency)
    for quantity in _QUANTITIES:
        where = f"{model!r} with {quantity} units, {seats} seats, {currency}"
        bill, again, included = _rate(model, Usage(quantity, _PERIOD, seats), currency, where)
        assert bill == again, f"{where}: the same usage was rated differently"
        for line in bill.lines:
            _check_line(line, where)
        assert Money.sum((line.total for line in bill.lines), currency) == bill.total, f"{where}: a wrong sum"
        assert bill.total.minor >= 0, f"{where}: the total is negative, {bill.total}"
        assert included is None or included >= 0, f"{where}: the allowance is negative, {included}"
        if included is not None and quantity <= included:
            free = price(model, Usage(Decimal(0), _PERIOD, seats), currency).total
            assert bill.total == free, f"{where}: costs {bill.total} within the allowance of {included}, unused {free}"
        if monotone:
            assert bill.total.minor >= before.minor, f"{where}: costs {bill.total}, less usage cost {before}"
        before = bill.total


def _rate(
    model: BillingModel, usage: Usage, currency: str, where: str
) -> tuple[RatedPrice, RatedPrice, Decimal | None]:
    try:
        return price(model, usage, currency), price(model, usage, currency), model.allowance(usage.seats)
    except Exception as error:
        raise AssertionError(f"{where}: raised {type(error).__name__}: {error}") from error
