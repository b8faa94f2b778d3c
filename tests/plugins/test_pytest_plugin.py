"""The fixtures that Inkmeter gives to the authors of plugins, used as they use them."""

from collections.abc import Callable

import pytest

from inkmeter import NotFound, RatedPrice
from plugins.manager import Plugins
from plugins.registry import BillingModels

Rate = Callable[..., RatedPrice]


def test_rate(rate: Rate) -> None:
    assert str(rate("per-document", {"unitPrice": "0.45"}, 120).total) == "54.00 USD"
    assert str(rate("per-seat", {"seatPrice": "12"}, "0.5", seats=3, currency="JPY").total) == "36 JPY"


def test_rate_knows_no_model_that_is_not_installed(rate: Rate) -> None:
    with pytest.raises(NotFound, match="there are: flat"):
        rate("envelopes", {}, 1)


def test_billing_models(billing_models: BillingModels, inkmeter_plugins: Plugins) -> None:
    assert billing_models is inkmeter_plugins.billing_models
    assert "flat" in billing_models
