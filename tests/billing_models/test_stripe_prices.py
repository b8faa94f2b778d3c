from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inkmeter import StripePackage, StripePriceSpec, StripeTier, Usage
from inkmeter.billing_model import rated
from inkmeter.usage import METERS
from integrations.protocols import StripePriceTerms
from integrations.stripe.sandbox.catalog import amount_for
from plugins.registry import BillingModels
from services.expressing import check_metered, fee_terms, usage_terms
from services.measures import MeterBook
from services.problems import Problems
from storage.plans import FeesDue
from tests.billing_models.conftest import JANUARY

TIERS = [{"upTo": 100, "unitPrice": "0.10"}, {"unitPrice": "0.05", "flatFee": "3"}]
FLAT_FIRST = [{"upTo": 100, "flatFee": "5"}, {"unitPrice": "0.05"}]
TENTH, TWENTIETH = Decimal("0.10"), Decimal("0.05")


@pytest.mark.parametrize(
    ("code", "config", "spec"),
    [
        ("flat", {"fee": "99"}, StripePriceSpec(unit_price=Decimal(99))),
        ("per-document", {"unitPrice": "0.10"}, StripePriceSpec(tiers=(StripeTier(None, TENTH),))),
        (
            "per-document",
            {"unitPrice": "0.10", "freeUnits": 5},
            StripePriceSpec(tiers=(StripeTier(5), StripeTier(None, TENTH))),
        ),
        ("per-seat", {"seatPrice": "9", "includedPerSeat": 5}, StripePriceSpec(Decimal(9), per_seat=True)),
        ("per-seat", {"seatPrice": "9", "minimumSeats": 2}, None),
        ("per-seat", {"seatPrice": "9", "includedPerSeat": 5, "overagePrice": "1"}, None),
        (
            "tiered",
            {"fee": "9", "included": 50, "overage": {"tiers": TIERS}},
            StripePriceSpec(
                Decimal(9),
                tiers=(StripeTier(50), StripeTier(150, TENTH), StripeTier(None, TWENTIETH, Decimal(3))),
            ),
        ),
        (
            "tiered",
            {"fee": "9", "included": 50, "overage": {"tiers": FLAT_FIRST}},
            StripePriceSpec(
                Decimal(9),
                tiers=(StripeTier(50), StripeTier(150, Decimal(0), Decimal(5)), StripeTier(None, TWENTIETH)),
            ),
        ),
        ("tiered", {"fee": "9", "included": 50, "overage": {"tiers": TIERS, "tiersMode": "VOLUME"}}, None),
        ("tiered", {"fee": "9", "included": 50, "overage": {"pack": {"size": 5, "price": "1"}}}, None),
        (
            "metered",
            {"tiers": TIERS, "tiersMode": "VOLUME"},
            StripePriceSpec(
                tiers=(StripeTier(100, TENTH), StripeTier(None, TWENTIETH, Decimal(3))), tiers_mode="volume"
            ),
        ),
        ("metered", {"tiers": TIERS, "tiersMode": "VOLUME", "freeUnits": 1}, None),
        ("metered", {"tiers": FLAT_FIRST}, None),
        ("metered", {"tiers": FLAT_FIRST, "freeUnits": 5}, None),
        ("metered", {"pack": {"size": 5, "price": "1"}}, StripePriceSpec(package=StripePackage(5, Decimal(1)))),
        ("metered", {"pack": {"size": 5, "price": "1"}, "freeUnits": 1}, None),
        ("metered", {"percentage": "2.9"}, None),
        ("tiered", {"fee": "9", "included": 50, "overage": {"percentage": "2.9"}}, None),
        ("metered", {"unitPrice": "1", "minimumSpend": "1"}, None),
        ("metered", {"unitPrice": "1", "maximumSpend": "1"}, None),
    ],
)
def test_stripe_price(models: BillingModels, code: str, config: dict[str, Any], spec: StripePriceSpec | None) -> None:
    assert models.get(code).configure(config).stripe_price() == spec


SMALL = st.integers(0, 400)
WHOLE = SMALL.map(lambda cents: f"{cents / 100:.2f}")
EXACT = st.one_of(WHOLE, st.decimals(0, 4, places=5).map(lambda rate: format(rate, "f")))


@st.composite
def tiers(draw: st.DrawFn) -> dict[str, Any]:
    bounds = sorted(draw(st.sets(st.integers(1, 60), max_size=4)))
    rate = st.fixed_dictionaries({"unitPrice": EXACT, "flatFee": WHOLE})
    entries = [{**draw(rate), "upTo": bound} for bound in bounds] + [draw(rate)]
    return {"tiers": entries, "tiersMode": draw(st.sampled_from(["GRADUATED", "VOLUME"]))}


PACKS = st.fixed_dictionaries(
    {"size": st.integers(1, 30), "price": EXACT, "rounding": st.sampled_from(["UP", "DOWN"])}
).map(lambda pack: {"pack": pack})
CHARGES = st.one_of(EXACT.map(lambda rate: {"unitPrice": rate}), tiers(), PACKS)
CONFIGS = st.one_of(
    st.tuples(st.just("per-document"), st.fixed_dictionaries({"unitPrice": EXACT, "freeUnits": st.integers(0, 20)})),
    st.tuples(st.just("metered"), st.builds(lambda c, n: {**c, "freeUnits": n}, CHARGES, st.integers(0, 20))),
    st.tuples(
        st.just("tiered"),
        st.fixed_dictionaries({"fee": WHOLE, "included": st.integers(0, 20), "overage": CHARGES}),
    ),
)


@given(chosen=CONFIGS, quantity=st.integers(0, 200), currency=st.sampled_from(["USD", "JPY"]))
@settings(max_examples=400)
def test_stripe_comes_to_the_same_integer(
    models: BillingModels, chosen: tuple[str, dict[str, Any]], quantity: int, currency: str
) -> None:
    """Every configuration that a METERED plan may have, against the arithmetic of Stripe's sandbox."""
    model = models.get(chosen[0]).configure(chosen[1])
    problems = Problems()
    check_metered(problems, [("invites_sent", model)], MeterBook(METERS.values()), currency, FeesDue.ADVANCE)
    spec = model.stripe_price()
    assume(spec is not None and not problems.found)
    assert spec is not None
    usage = Usage(Decimal(quantity), JANUARY, unit="invite")
    ours = rated(model.rate(usage), currency).total.minor
    terms = usage_terms(spec, "prod_1", currency, "month", "mtr_1")
    assert ours == (0 if terms is None else amount_for(as_stripe_has_it(terms), quantity))
    fee = fee_terms(spec, "prod_1", currency, "month")
    fees = rated(model.fees(1), currency).total.minor
    assert fees == (0 if fee is None else amount_for(as_stripe_has_it(fee), 1))


def as_stripe_has_it(terms: StripePriceTerms) -> dict[str, Any]:
    return {
        "unit_amount_decimal": None if terms.unit_amount is None else format(terms.unit_amount, "f"),
        "billing_scheme": "tiered" if terms.tiers else "per_unit",
        "tiers_mode": terms.tiers_mode,
        "transform_quantity": dict(zip(("divide_by", "round"), terms.package, strict=True)) if terms.package else None,
        "tiers": [
            {"up_to": up_to, "unit_amount_decimal": format(unit, "f"), "flat_amount_decimal": format(flat, "f")}
            for up_to, unit, flat in terms.tiers
        ],
    }
