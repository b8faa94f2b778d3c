"""docs/billing-models.md says what the models do."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from inkmeter import BillingPeriod, Money, Proration, RatedPrice
from plugins.registry import BillingModels
from services.billing import Discount, PeriodFacts, Stage, bill_period
from services.terms import PlanTerms
from storage.plans import Plan, Price

DOCS = Path(__file__).parents[2] / "docs" / "billing-models.md"
EXAMPLE = re.compile(
    r"^\| `([a-z-]+)` \| `(\{.*\})` \| ([\d.]+)(?: with (\d+) seats)? \| (.+) \| (.+) \|$", re.MULTILINE
)
EXAMPLES = EXAMPLE.findall(DOCS.read_text(encoding="utf-8"))
PERIOD = re.compile(r"^\| ([^`|]+) \| `(\{\"stages\".*\})` \| (.+) \| (.+) \|$", re.MULTILINE)
PERIODS = PERIOD.findall(DOCS.read_text(encoding="utf-8"))
JUNE = BillingPeriod(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
METER = "documents_created"


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


def in_june(text: str) -> datetime:
    day, _, hour = text.partition("T")
    return datetime(2026, 6, int(day), int(hour), tzinfo=UTC)


def plan(models: BillingModels, prices: dict[str, Any]) -> PlanTerms:
    row = Plan(code="p", version=1, name="P", currency="USD")
    made = [models.get(code).configure(config) for code, config in prices.items()]
    return PlanTerms(row, tuple((Price(plan_id=row.id, meter=METER, model=model.code), model) for model in made), {})


def usd(text: str) -> Money:
    return Money(int(Decimal(text) * 100), "USD")


def facts(models: BillingModels, written: dict[str, Any]) -> PeriodFacts:
    stages: list[Stage] = []
    for stage in written.pop("stages"):
        terms = plan(models, stage["plan"]) if "plan" in stage else stages[-1].terms
        how = Proration(stage["by"]) if "by" in stage else None
        stages.append(Stage(in_june(stage["from"]), terms, stage.get("seats", 1), how))
    discounts = [
        Discount(d["label"], Decimal(d["percent"])) if "percent" in d else Discount(d["label"], amount=usd(d["amount"]))
        for d in written.pop("discounts", [])
    ]
    ends, minimum = written.pop("ends", None), written.pop("minimum", None)
    made = PeriodFacts(
        JUNE,
        "UTC",
        tuple(stages),
        ends_at=in_june(ends) if ends else None,
        end_proration=Proration(written.pop("endsBy", "SECOND")),
        units={METER: Decimal(written.pop("units", 0))},
        discounts=tuple(discounts),
        minimum=usd(minimum) if minimum else None,
    )
    assert not written, "a fact that nothing reads"
    return made


@pytest.mark.parametrize(("what", "written", "lines", "total"), PERIODS, ids=[period[0] for period in PERIODS])
def test_the_parts_of_june_are_right(models: BillingModels, what: str, written: str, lines: str, total: str) -> None:
    bill = [entry.line for entry in bill_period(facts(models, json.loads(written)))]
    assert "; ".join(f"{line.label} {line.total.amount:f}" for line in bill) == lines
    assert str(Money.sum((line.total for line in bill), "USD")) == total


def test_no_example_of_june_is_passed_over() -> None:
    assert len(PERIODS) == DOCS.read_text(encoding="utf-8").count('`{"stages"') > 10
