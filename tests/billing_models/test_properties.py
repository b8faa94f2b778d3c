"""What holds for all prices and quantities, against an independent computation in fractions."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing_models.metered import Metered
from billing_models.per_document import PerDocument
from billing_models.per_seat import PerSeat
from billing_models.tiered import Tiered
from inkmeter import COLLECTED_STEP, BillingModel, BillingPeriod, Usage, collected_digits, price

JANUARY = BillingPeriod(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
Tier = dict[str, Any]

currencies = st.sampled_from(["USD", "JPY", "KWD"])
rates = st.decimals(min_value=0, max_value=1000, places=12, allow_nan=False).map(str)
quantities = st.one_of(
    st.integers(0, 2000).map(Decimal),
    st.decimals(min_value=0, max_value=2000, places=6, allow_nan=False),
    st.decimals(min_value=0, max_value=2**40, places=3, allow_nan=False),
)


@st.composite
def tiers(draw: st.DrawFn) -> list[Tier]:
    bounds = sorted(draw(st.sets(st.integers(1, 1500), max_size=5)))
    flat_fees = st.one_of(st.just("0"), rates)
    drawn = [{"upTo": bound, "unitPrice": draw(rates), "flatFee": draw(flat_fees)} for bound in bounds]
    return [*drawn, {"unitPrice": draw(rates), "flatFee": draw(flat_fees)}]


@st.composite
def rising_prices(draw: st.DrawFn) -> BillingModel:
    """Any price that more usage never makes cheaper: all but volume tiers."""
    pack = {"size": draw(st.integers(1, 300)), "price": draw(rates), "rounding": draw(st.sampled_from(["UP", "DOWN"]))}
    charge: dict[str, Any] = draw(
        st.sampled_from(
            [{"unitPrice": draw(rates)}, {"pack": pack}, {"tiers": draw(tiers())}, {"percentage": draw(rates)}]
        )
    )
    few, rate = draw(st.integers(0, 300)), draw(rates)
    bounds = {"minimumSpend": "5", "maximumSpend": "700"} if draw(st.booleans()) else {}
    flat_fee = {"flatFeeWhenUnused": draw(st.booleans())}
    return draw(
        st.sampled_from(
            [
                PerDocument.configure({"unitPrice": rate, "freeUnits": few}),
                PerSeat.configure({"seatPrice": "9", "includedPerSeat": few, "overagePrice": rate}),
                Tiered.configure({"fee": rate, "included": few, "overage": charge}),
                Metered.configure({**charge, **bounds, **flat_fee, "freeUnits": few}),
            ]
        )
    )


def minor(amount: Fraction, currency: str) -> int:
    """Rounded half up, computed without decimals."""
    return int(amount * 10 ** collected_digits(currency) + Fraction(1, 2)) * COLLECTED_STEP.get(currency, 1)


def total(model: BillingModel, quantity: Decimal, currency: str = "USD") -> int:
    return price(model, Usage(quantity, JANUARY), currency).total.minor


@given(rising_prices(), quantities, currencies)
def test_the_lines_are_the_total(model: BillingModel, quantity: Decimal, currency: str) -> None:
    bill = price(model, Usage(quantity, JANUARY), currency)
    assert sum(line.total.minor for line in bill.lines) == bill.total.minor


@given(rising_prices(), quantities, quantities, currencies)
def test_more_usage_never_costs_less(model: BillingModel, one: Decimal, other: Decimal, currency: str) -> None:
    assert total(model, min(one, other), currency) <= total(model, max(one, other), currency)


def test_volume_tiers_may_cost_less_for_more() -> None:
    tiers = [{"upTo": 100, "unitPrice": "0.10"}, {"unitPrice": "0.05"}]
    model = Metered.configure({"tiers": tiers, "tiersMode": "VOLUME"})
    assert total(model, Decimal(101)) < total(model, Decimal(100))


@given(rates, st.integers(0, 500), quantities, currencies)
def test_a_unit_price_is_exact(unit_price: str, free: int, quantity: Decimal, currency: str) -> None:
    model = PerDocument.configure({"unitPrice": unit_price, "freeUnits": free})
    expected = max(Fraction(quantity) - free, Fraction(0)) * Fraction(unit_price)
    assert total(model, quantity, currency) == minor(expected, currency)


@given(rates, st.integers(0, 500), quantities, currencies)
def test_a_percentage_is_exact(percentage: str, free: int, quantity: Decimal, currency: str) -> None:
    model = Metered.configure({"percentage": percentage, "freeUnits": free})
    expected = max(Fraction(quantity) - free, Fraction(0)) * Fraction(percentage) / 100
    assert total(model, quantity, currency) == minor(expected, currency)


@given(rising_prices(), quantities, quantities, st.integers(0, 9))
def test_fees_do_not_depend_on_usage(model: BillingModel, one: Decimal, other: Decimal, seats: int) -> None:
    """What stands before the usage lines is the same whatever is used, so that it can be billed in advance."""
    fees = [*model.fees(seats)]
    for quantity in (one, other):
        usage = Usage(quantity, JANUARY, seats)
        lines = [*fees, *model.rate(usage)]
        bill = price(model, usage, "USD").lines[: len(lines)]
        assert [(line.label, line.quantity, line.unit_price) for line in bill] == [
            (line.label, line.quantity, line.unit_price) for line in lines
        ]


@given(tiers(), st.integers(0, 500), quantities, currencies)
def test_graduated_tiers_are_exact(ladder: list[Tier], free: int, quantity: Decimal, currency: str) -> None:
    """Each tier by its overlap with the quantity, where the model walks from tier to tier."""
    billed = max(Fraction(quantity) - free, Fraction(0))
    lows = [0, *(tier["upTo"] for tier in ladder[:-1])]
    expected = 0
    for low, tier in zip(lows, ladder, strict=True):
        overlap = max(min(billed, Fraction(tier.get("upTo", billed))) - low, Fraction(0))
        is_reached = billed > low or (billed == 0 and low == 0)
        expected += minor(overlap * Fraction(tier["unitPrice"]), currency)
        expected += minor(Fraction(tier["flatFee"]), currency) if is_reached else 0
    assert total(Metered.configure({"tiers": ladder, "freeUnits": free}), quantity, currency) == expected


@given(tiers(), st.integers(0, 500), quantities, currencies)
def test_volume_tiers_are_exact(ladder: list[Tier], free: int, quantity: Decimal, currency: str) -> None:
    billed = max(Fraction(quantity) - free, Fraction(0))
    tier = next(tier for tier in ladder if billed <= tier.get("upTo", billed))
    expected = minor(billed * Fraction(tier["unitPrice"]), currency) + minor(Fraction(tier["flatFee"]), currency)
    model = Metered.configure({"tiers": ladder, "tiersMode": "VOLUME", "freeUnits": free})
    assert total(model, quantity, currency) == expected


@given(tiers(), quantities)
def test_graduated_tiers_share_out_the_whole_quantity(ladder: list[Tier], quantity: Decimal) -> None:
    lines = Metered.configure({"tiers": ladder}).rate(Usage(quantity, JANUARY))
    assert sum(Fraction(line.quantity) for line in lines if "flat fee" not in line.label) == Fraction(quantity)


@given(rates, quantities)
def test_tiers_of_one_price_cost_what_the_price_costs_where_no_cent_is_split(rate: str, quantity: Decimal) -> None:
    cents, whole = str(Decimal(rate).quantize(Decimal("0.01"))), quantity.to_integral_value()
    ladder = [{"upTo": 7, "unitPrice": cents}, {"upTo": 700, "unitPrice": cents}, {"unitPrice": cents}]
    for mode in ("GRADUATED", "VOLUME"):
        model = Metered.configure({"tiers": ladder, "tiersMode": mode})
        assert total(model, whole) == total(Metered.configure({"unitPrice": cents}), whole)


@given(rising_prices(), st.integers(0, 2000).map(Decimal), currencies)
def test_at_stripe_it_costs_the_same(model: BillingModel, quantity: Decimal, currency: str) -> None:
    """Stripe's own rule for graduated tiers, as its docs tell it, applied to what we would send there."""
    spec = model.stripe_price()
    if spec is None:
        return
    expected, low = minor(Fraction(spec.unit_price or 0), currency), 0
    for tier in spec.tiers:
        if quantity > low:
            units = (quantity if tier.up_to is None else min(quantity, Decimal(tier.up_to))) - low
            expected += minor(Fraction(units) * Fraction(tier.unit_price), currency)
            expected += minor(Fraction(tier.flat_price), currency)
        low = tier.up_to or low
    assert total(model, quantity, currency) == expected
