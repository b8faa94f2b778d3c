from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from inkmeter import BillingPeriod, RatedPrice, Usage, price
from plugins.manager import load_plugins
from plugins.registry import BillingModels

JANUARY = BillingPeriod(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
Bill = Callable[..., RatedPrice]


@pytest.fixture(scope="session")
def models() -> BillingModels:
    return load_plugins().billing_models


@pytest.fixture(scope="session")
def bill(models: BillingModels) -> Bill:
    """Rates a quantity written as text: `bill("flat", {"fee": "9"}, "1.5", seats=2, currency="JPY")`."""

    def bill(code: str, config: dict[str, Any], quantity: str, *, seats: int = 1, currency: str = "USD") -> RatedPrice:
        usage = Usage(Decimal(quantity), JANUARY, seats, "document")
        return price(models.get(code).configure(config), usage, currency)

    return bill
