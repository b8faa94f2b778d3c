"""docs/plugins.md runs, and tells every hook."""

import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

import inkmeter
from inkmeter import BillingPeriod, Usage, price
from inkmeter.testing import check_billing_model
from plugins import hookspecs
from plugins.manager import load_plugins

DOCS = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
FIRST_PLUGIN = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
HOOKS = [hook for hook in vars(hookspecs).values() if hasattr(hook, "inkmeter_spec")]
JANUARY = BillingPeriod(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


def test_the_first_plugin_runs(tmp_path: Path, install: Callable[[str, str, Path], None]) -> None:
    (code,) = FIRST_PLUGIN
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    (tmp_path / "acme_envelopes.py").write_text(code)
    (entry_point,) = re.findall(r"```toml\n\[project\.entry-points\.inkmeter\]\n(.*?)```", DOCS, re.DOTALL)
    install("acme-envelopes", entry_point.replace('"', ""), tmp_path)

    model = load_plugins().billing_models.get("envelopes")
    check_billing_model(model, {"pricePerPack": "4.00"})
    bill = price(model.configure({"pricePerPack": "4.00"}), Usage(Decimal(101), JANUARY), "USD")
    assert str(bill.total) == "12.00 USD"


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_every_hook_has_a_heading_with_its_arguments(hook: object) -> None:
    assert inspect.isfunction(hook)
    arguments = ", ".join(inspect.signature(hook).parameters)
    assert f"\n### {hook.__name__}({arguments})\n" in DOCS
    assert "exception" in (hook.__doc__ or "").lower()


def test_the_hooks_are_the_three() -> None:
    assert {hook.__name__ for hook in HOOKS} == {"register_billing_models", "extra_lines", "on_event"}


def test_names_in_the_docs_are_public() -> None:
    imported = re.findall(r"from inkmeter import (.*)", DOCS)
    assert {name.strip() for names in imported for name in names.split(",")} <= set(inkmeter.__all__)
