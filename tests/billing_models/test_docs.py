"""docs/billing-models.md says what the models do."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from inkmeter import RatedPrice
from plugins.registry import BillingModels

DOCS = Path(__file__).parents[2] / "docs" / "billing-models.md"
EXAMPLE = re.compile(r"^\| `([a-z-]+)` \| `(\{.*\})` \| (\d+)(?: with (\d+) seats)? \| (.+) \| (.+) \|$", re.MULTILINE)
EXAMPLES = EXAMPLE.findall(DOCS.read_text(encoding="utf-8"))


def test_every_model_has_an_example(models: BillingModels) -> None:
    assert {example[0] for example in EXAMPLES} == {model.code for model in models}


@pytest.mark.parametrize(("code", "config", "quantity", "seats", "lines", "total"), EXAMPLES)
def test_the_examples_are_right(
    bill: Callable[..., RatedPrice], code: str, config: str, quantity: str, seats: str, lines: str, total: str
) -> None:
    rated = bill(code, json.loads(config), quantity, seats=int(seats or 1))
    written = [tuple(Decimal(number) for number in line.split(" × ")) for line in lines.split(", ")]
    assert [(line.quantity, line.unit_price) for line in rated.lines] == written
    assert str(rated.total) == total


def test_every_setting_is_named(models: BillingModels) -> None:
    text = DOCS.read_text(encoding="utf-8")
    for model in models:
        for field in model.model_fields.values():
            assert field.alias is not None
            assert re.search(rf"`[^`]*\b{field.alias}\b[^`]*`", text), (
                f"{model.code}.{field.alias} is not in {DOCS.name}"
            )
