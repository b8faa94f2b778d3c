"""What is plainly included is decided once for a batch: it must be what the whole decision comes to."""

from typing import Any
from unittest.mock import patch
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from inkmeter.usage import METERS
from plugins.manager import load_plugins
from services import plainly_included
from services.decisions import Reason, Standing, decide
from services.plainly_included import free_units
from services.terms import PlanTerms
from storage.plans import LimitPolicy, Price
from tests.services.books import METER, Books, reserve, span, terms

MODELS = load_plugins(blocked=("event-log",)).billing_models
CONFIGS: list[tuple[str, dict[str, Any]]] = [
    ("flat", {"fee": "5.00"}),
    ("flat", {"fee": "5.00", "fairUseLimit": 4}),
    ("per-document", {"unitPrice": "2.00"}),
    ("per-document", {"unitPrice": "2.00", "freeUnits": 3}),
    ("tiered", {"fee": "9.00", "included": 5, "overage": {"unitPrice": "1.00"}}),
    ("metered", {"unitPrice": "0.001"}),
    ("metered", {"unitPrice": "0.25", "freeUnits": 6}),
]
PRICES = st.lists(st.sampled_from(CONFIGS), max_size=2)
UNITS = st.integers(0, 12)


def plan_of(prices: list[tuple[str, dict[str, Any]]], limit: int | None, policy: LimitPolicy, seats: int) -> PlanTerms:
    made = terms(limit or 0, policy)
    rows = []
    for position, (code, config) in enumerate(prices):
        row = Price(plan_id=made.plan.id, position=position, meter=METER, model=code, config=config)
        rows.append((row, MODELS.get(code).configure(config)))
    return PlanTerms(made.plan, tuple(rows), made.quotas if limit is not None else {}, {METER: METERS[METER]})


@settings(max_examples=300, deadline=None)
@given(PRICES, st.one_of(st.none(), UNITS), st.sampled_from([*LimitPolicy]), UNITS, UNITS, st.integers(1, 3), UNITS)
def test_what_is_free_is_included_and_nothing_follows(
    prices: list[tuple[str, dict[str, Any]]],
    limit: int | None,
    policy: LimitPolicy,
    used: int,
    reserved: int,
    seats: int,
    credits: int,
) -> None:
    plan = plan_of(prices, limit, policy, seats)
    bound = free_units(plan, METER, seats)
    standing = Standing(used=used, reserved=reserved, credits=credits)
    wanted = 1 if bound is None else min(bound - standing.taken, 3)
    if wanted < 1:
        return
    decision = decide(plan, seats, span(), {METER: standing}, {METER: wanted}, lambda _: plan)
    assert (decision.reason, decision.price.minor, decision.terms) == (Reason.INCLUDED, 0, plan)
    assert (dict(decision.credits), dict(decision.purchases)) == ({}, {})


@settings(max_examples=100, deadline=None)
@given(PRICES, st.one_of(st.none(), UNITS), st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_a_batch_answers_the_same_with_and_without_the_short_cut(
    prices: list[tuple[str, dict[str, Any]]], limit: int | None, wanted: list[int]
) -> None:
    plan = plan_of(prices, limit, LimitPolicy.HARD, 1)
    commands = [reserve(f"k{number}", units, document=uuid4()) for number, units in enumerate(wanted)]

    def answers() -> list[Any]:
        found = Books(plan).run(*commands)
        return [answer[0].decision if isinstance(answer, tuple) else repr(answer) for answer in found]

    with_it = answers()
    with patch.object(plainly_included, "free_units", return_value=0):
        assert answers() == with_it


def test_a_rule_that_buys_is_always_asked() -> None:
    rule = {"pack": 0, "below": 5, "monthly_cap_minor": 1000}
    plan = terms(100, LimitPolicy.TOP_UP, packs=[{"units": 10, "price_minor": 100}], auto_top_up=rule)
    assert free_units(plan, METER, 1) == 0
