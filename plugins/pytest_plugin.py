"""Fixtures for the authors of plugins; pytest finds them as soon as Inkmeter is installed."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from inkmeter import BillingPeriod, RatedPrice, Usage, price
from plugins.manager import Plugins, load_plugins
from plugins.registry import BillingModels


@pytest.fixture(scope="session")
def inkmeter_plugins() -> Plugins:
    """Every installed plugin, loaded as the server does it: proves that yours loads beside the others."""
    return load_plugins()


@pytest.fixture(scope="session")
def billing_models(inkmeter_plugins: Plugins) -> BillingModels:
    """The billing models of every installed plugin."""
    return inkmeter_plugins.billing_models


@pytest.fixture
def rate(billing_models: BillingModels) -> Callable[..., RatedPrice]:
    """Rate usage as the server does: `rate("per-document", {"unitPrice": "0.45"}, 120)`."""
    january = BillingPeriod(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))

    def rate(
        code: str, config: dict[str, Any], quantity: str | int, *, seats: int = 1, currency: str = "USD"
    ) -> RatedPrice:
        model = billing_models.get(code).configure(config)
        return price(model, Usage(Decimal(quantity), january, seats), currency)

    return rate
