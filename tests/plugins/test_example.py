"""The partner's package in examples/ works as pip would install it."""

import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from inkmeter import BillingPeriod, InvoiceDraft, Usage, price
from inkmeter.testing import check_billing_model
from plugins.manager import Plugins, load_plugins

EXAMPLE = Path(__file__).parents[2] / "examples" / "acme_envelopes"
JANUARY = BillingPeriod(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


@pytest.fixture
def plugins(install: Callable[[str, str, Path], None]) -> Plugins:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entry_points = (f"{name} = {module}" for name, module in project["entry-points"]["inkmeter"].items())
    install(project["name"], "\n".join(entry_points), EXAMPLE)
    return load_plugins()


def test_both_plugins_are_found(plugins: Plugins) -> None:
    assert {"acme-envelopes", "acme-levy"} <= set(plugins.names)


def test_the_model_keeps_the_contract(plugins: Plugins) -> None:
    model = plugins.billing_models.get("acme-envelopes")
    check_billing_model(model, {"pricePerPack": "4.00"}, {"pricePerPack": "0.75", "packSize": 3})
    bill = price(model.configure({"pricePerPack": "4.00"}), Usage(Decimal(101), JANUARY), "USD")
    assert str(bill.total) == "12.00 USD"


def test_the_levy_is_added_to_an_invoice(plugins: Plugins, draft: InvoiceDraft) -> None:
    (added,) = plugins.extra_lines(draft)
    assert (added.model, added.line.label) == ("acme-levy", "Trust service levy, 2% of 49.99 USD")
    assert str(added.line.total) == "1.00 USD"


def test_nothing_is_levied_on_nothing(plugins: Plugins) -> None:
    empty = InvoiceDraft("t-1", "Acme", "team", JANUARY, "USD", ())
    assert plugins.extra_lines(empty) == ()
