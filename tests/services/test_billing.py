"""What a period costs: numbers worked out by hand, and what holds for every course that a subscription can take."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkmeter import (
    COLLECTED_STEP,
    Anchor,
    BillingModel,
    BillingPeriod,
    Line,
    Money,
    PluginError,
    Proration,
    Usage,
    collected_digits,
    currency_digits,
    price,
)
from plugins.manager import load_plugins
from services.billing import BillLine, Discount, PeriodFacts, Stage, bill_period, fee_lines
from services.proration import split_cycle
from services.terms import PlanTerms
from storage.invoices import LineKind
from storage.plans import Plan, Price

MODELS = load_plugins(blocked=("event-log",)).billing_models
JUNE = BillingPeriod(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
METER = "documents_created"
SECOND, DAY, NONE = Proration


def plan(*prices: BillingModel | tuple[str, dict[str, Any]], currency: str = "USD", meter: str = METER) -> PlanTerms:
    """A plan of its own with these prices, all on one meter."""
    row = Plan(code="p", version=1, name="P", currency=currency)
    models = [
        entry if isinstance(entry, BillingModel) else MODELS.get(entry[0]).configure(entry[1]) for entry in prices
    ]
    entries = [
        Price(plan_id=row.id, position=index, meter=meter, model=model.code) for index, model in enumerate(models)
    ]
    return PlanTerms(row, tuple(zip(entries, models, strict=True)), {})


def flat(fee: str, currency: str = "USD") -> PlanTerms:
    return plan(("flat", {"fee": fee}), currency=currency)


def june(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 6, day, hour, minute, tzinfo=UTC)


MAY = june(1) - timedelta(days=10)


def facts(*stages: Stage, units: str | dict[str, Decimal] = "0", **more: Any) -> PeriodFacts:
    counted = {METER: Decimal(units)} if isinstance(units, str) else units
    return PeriodFacts(**{"cycle": JUNE, "zone": "UTC", **more}, stages=stages, units=counted)


def told(lines: Iterable[BillLine]) -> list[tuple[str, str, str]]:
    return [(entry.kind.value, entry.line.label, f"{entry.line.total.amount:f}") for entry in lines]


def minor(lines: Iterable[BillLine]) -> int:
    return sum(entry.line.total.minor for entry in lines)


TIERED = plan(("tiered", {"fee": "49.00", "included": 100, "overage": {"unitPrice": "0.40"}}))


def test_a_whole_period_is_what_price_says() -> None:
    found = bill_period(facts(Stage(MAY, TIERED, 3), units="150"))
    assert told(found) == [
        ("FEE", "Fee", "49.00"),
        ("USAGE", "Per document, of 100 included", "0.00"),
        ("USAGE", "Overage per document", "20.00"),
    ]
    entry, model = TIERED.prices[0]
    assert [line.line for line in found] == [
        *price(model, Usage(Decimal(150), JUNE, 3, "document"), "USD").lines,
    ]
    assert {(line.price_id, line.meter, line.model) for line in found} == {(entry.id, METER, "tiered")}
    assert fee_lines(facts(Stage(MAY, TIERED, 3), units="150")) == found[:1]


@pytest.mark.parametrize(
    ("how", "start", "line"),
    [
        (SECOND, june(16), ("Flat fee (15 of 30 days)", "15.00")),
        (SECOND, june(16, 12), ("Flat fee (14 d 12 h of 30 d)", "14.50")),
        (SECOND, june(30, 23, 59), ("Flat fee (1 min of 30 d)", "0.00")),
        (DAY, june(16, 12), ("Flat fee (15 of 30 days)", "15.00")),
        (DAY, june(30, 23, 59), ("Flat fee (1 of 30 days)", "1.00")),
        (DAY, june(1, 23), ("Flat fee", "30.00")),
        (NONE, june(30), ("Flat fee", "30.00")),
        (None, june(16), ("Flat fee (15 of 30 days)", "15.00")),
    ],
)
def test_a_start_inside_the_cycle(how: Proration | None, start: datetime, line: tuple[str, str]) -> None:
    assert told(bill_period(facts(Stage(start, flat("30.00"), 1, how)))) == [("FEE", *line)]


def test_the_day_of_the_start_is_billed_as_lago_tells_it() -> None:
    august = Anchor(datetime(2022, 8, 1, tzinfo=UTC).date()).period(0)
    stage = Stage(datetime(2022, 8, 10, 15, tzinfo=UTC), flat("50"), 1, DAY)
    assert told(fee_lines(facts(stage, cycle=august))) == [("FEE", "Flat fee (22 of 31 days)", "35.48")]


@pytest.mark.parametrize(
    ("how", "end", "line"),
    [
        (SECOND, june(16), ("Flat fee (15 of 30 days)", "15.00")),
        (SECOND, june(15, 12), ("Flat fee (14 d 12 h of 30 d)", "14.50")),
        (DAY, june(15, 12), ("Flat fee (15 of 30 days)", "15.00")),
        (DAY, june(16), ("Flat fee (15 of 30 days)", "15.00")),  # the 15th was its last day
        (DAY, june(16) + timedelta(microseconds=1), ("Flat fee (16 of 30 days)", "16.00")),
        (DAY, june(30, 12), ("Flat fee", "30.00")),
        (NONE, june(2), ("Flat fee", "30.00")),
    ],
)
def test_a_cancellation_inside_the_cycle(how: Proration, end: datetime, line: tuple[str, str]) -> None:
    ended = facts(Stage(MAY, flat("30.00"), 1), ends_at=end, end_proration=how)
    assert told(bill_period(ended)) == [("FEE", *line)]


def test_a_start_and_a_cancellation_on_one_day() -> None:
    stage = Stage(june(10, 9), flat("30.00"), 1, DAY)
    assert told(bill_period(facts(stage, ends_at=june(10, 17), end_proration=DAY))) == [
        ("FEE", "Flat fee (1 of 30 days)", "1.00")
    ]


def test_days_are_those_of_the_zone() -> None:
    march = Anchor(datetime(2026, 3, 1, tzinfo=UTC).date(), "Europe/Berlin").period(0)  # an hour is missing
    late = datetime(2026, 3, 16, 23, 30, tzinfo=UTC)  # half past midnight on the 17th in Berlin
    by_day = facts(Stage(late, flat("31.00"), 1, DAY), cycle=march, zone="Europe/Berlin")
    assert told(bill_period(by_day)) == [("FEE", "Flat fee (15 of 31 days)", "15.00")]
    by_second = facts(Stage(late, flat("743.00"), 1, SECOND), cycle=march, zone="Europe/Berlin")
    assert told(bill_period(by_second)) == [("FEE", "Flat fee (14 d 22 h 30 min of 30 d 23 h)", "358.50")]


@pytest.mark.parametrize(
    ("how", "lines"),
    [
        (SECOND, [("Flat fee (10 of 30 days)", "10.00"), ("Flat fee (20 of 30 days)", "40.00")]),
        (NONE, [("Flat fee", "30.00")]),
    ],
)
def test_a_change_of_plan(how: Proration, lines: list[tuple[str, str]]) -> None:
    found = fee_lines(facts(Stage(MAY, flat("30.00"), 1), Stage(june(11), flat("60.00"), 1, how)))
    assert told(found) == [("FEE", *line) for line in lines]


def test_a_plan_that_waits_does_not_come_in_with_a_seat() -> None:
    old, new = plan(("per-seat", {"seatPrice": "30"})), plan(("per-seat", {"seatPrice": "60"}))
    stages = Stage(MAY, old, 1), Stage(june(11), new, 1, NONE), Stage(june(16), new, 2)
    assert told(fee_lines(facts(*stages))) == [
        ("FEE", "Per seat (15 of 30 days)", "15.00"),
        ("FEE", "Per seat (15 of 30 days)", "30.00"),
    ]


@pytest.mark.parametrize(
    ("how", "lines"),
    [
        ("SECOND", [("Per seat (10 d 12 h of 30 d)", "1", "10.50"), ("Per seat (19 d 12 h of 30 d)", "1.95", "58.50")]),
        ("DAY", [("Per seat (10 of 30 days)", "1", "10.00"), ("Per seat (20 of 30 days)", "2", "60.00")]),
        ("NONE", [("Per seat", "3", "90.00")]),
    ],
)
def test_seats_follow_the_setting_of_their_price(how: str, lines: list[tuple[str, str, str]]) -> None:
    terms = plan(("per-seat", {"seatPrice": "30.00", "seatProration": how}), ("flat", {"fee": "5"}))
    first = 3 if how == "NONE" else 1
    found = fee_lines(facts(Stage(MAY, terms, first), Stage(june(11, 12), terms, 3 if how != "NONE" else 9)))
    shown = [(entry.line.label, f"{entry.line.total.amount:f}") for entry in found]
    assert shown == [*((label, amount) for label, _, amount in lines), ("Flat fee", "5.00")]


def test_the_part_of_a_quantity_has_twelve_digits_and_the_amount_is_exact() -> None:
    stage = Stage(june(11), plan(("per-seat", {"seatPrice": "0.3"})), 10**9 + 1, SECOND)
    [line] = [entry.line for entry in fee_lines(facts(stage))]
    assert str(line.quantity) == "666666667.333333333333"
    assert line.total == Money(20000000020, "USD")  # 200,000,000.2, not quantity × price rounded
    assert str(fee_lines(facts(Stage(june(16), flat("1"), 1)))[0].line.quantity) == "0.5"


def test_stages_of_the_past_and_of_no_length_cost_nothing() -> None:
    cheap, dear = flat("1.00"), flat("100.00")
    stages = [
        Stage(MAY - timedelta(days=90), dear, 9),
        Stage(MAY, cheap, 1, NONE),
        Stage(june(5), dear, 50, SECOND),
        Stage(june(5), cheap, 1, SECOND),
        Stage(JUNE.end, dear, 70, SECOND),
    ]
    assert told(bill_period(facts(*stages))) == [("FEE", "Flat fee", "1.00")]


def test_nothing_is_due_outside_the_subscription_or_in_a_trial() -> None:
    stage = Stage(MAY, TIERED, 1)
    assert bill_period(facts(stage, units="500", is_trial=True, minimum=Money(100, "USD"))) == ()
    assert fee_lines(facts(stage, is_trial=True)) == ()
    assert bill_period(facts(stage, ends_at=JUNE.start, end_proration=NONE)) == ()
    assert bill_period(facts(Stage(JUNE.end, TIERED, 1))) == ()


def test_usage_is_rated_by_the_last_terms_with_the_most_seats() -> None:
    team = plan(("per-seat", {"seatPrice": "30.00", "includedPerSeat": 10, "overagePrice": "1.00"}))
    stages = Stage(MAY, TIERED, 2), Stage(june(11), team, 5, DAY), Stage(june(21), team, 1)
    found = bill_period(facts(*stages, units="52"))
    assert told(found) == [
        ("FEE", "Fee (10 of 30 days)", "16.33"),
        ("FEE", "Per seat (10 of 30 days)", "50.00"),
        ("FEE", "Per seat (10 of 30 days)", "10.00"),
        ("USAGE", "Per document, beyond 50 included", "2.00"),
    ]
    # A plan that came after the cancellation never counted.
    assert told(bill_period(facts(*stages, units="52", ends_at=june(11))))[1:] == [
        ("USAGE", "Per document, of 100 included", "0.00")
    ]


def test_seats_are_a_quantity_too() -> None:
    terms = plan(("metered", {"unitPrice": "2.00"}), meter="seats")
    stages = Stage(MAY, terms, 4), Stage(june(20), terms, 7), Stage(june(25), terms, 1)
    assert told(bill_period(facts(*stages))) == [("USAGE", "Per seat", "14.00")]
    assert told(bill_period(facts(*stages, units={"seats": Decimal("2.5")}))) == [("USAGE", "Per seat", "5.00")]


BOUNDED = plan(("metered", {"unitPrice": "1.00", "minimumSpend": "30.00", "maximumSpend": "40.00"}))


@pytest.mark.parametrize(
    ("units", "start", "lines"),
    [
        ("0", MAY, [("Minimum spend", "30.00")]),
        ("0", june(11), [("Minimum spend", "20.00")]),
        ("25", june(11), [("Per document", "25.00")]),
        ("50", june(11), [("Per document", "50.00"), ("Maximum spend", "-10.00")]),
    ],
)
def test_a_minimum_is_for_the_part_and_a_maximum_for_the_whole(
    units: str, start: datetime, lines: list[tuple[str, str]]
) -> None:
    found = bill_period(facts(Stage(start, BOUNDED, 1, DAY), units=units))
    assert told(found) == [("USAGE", *line) for line in lines]


class Club(BillingModel):
    """A fee, a price per unit, and bounds on both together."""

    code = "test-club"

    def fees(self, seats: int) -> Iterable[Line]:
        return [Line("Club", Decimal(1), Decimal(20)), Line("Card", Decimal(seats), Decimal(3))]

    def rate(self, usage: Usage) -> Iterable[Line]:
        return [Line("Drinks", usage.quantity, Decimal(1))]

    def spend_bounds(self) -> tuple[Decimal | None, Decimal | None]:
        return Decimal(30), Decimal(50)


def test_bounds_are_on_fees_and_usage_together() -> None:
    stage = Stage(MAY, plan(Club()), 1)
    assert told(bill_period(facts(stage, units="2"))) == [
        ("FEE", "Club", "20.00"),
        ("FEE", "Card", "3.00"),
        ("USAGE", "Drinks", "2.00"),
        ("USAGE", "Minimum spend", "5.00"),
    ]
    assert told(bill_period(facts(stage, units="40")))[-1] == ("USAGE", "Maximum spend", "-13.00")


def test_only_what_a_change_alters_is_split() -> None:
    terms = plan(Club())
    assert told(fee_lines(facts(Stage(MAY, terms, 1), Stage(june(11), terms, 2), Stage(june(21), terms, 2)))) == [
        ("FEE", "Club", "20.00"),
        ("FEE", "Card (10 of 30 days)", "1.00"),
        ("FEE", "Card (20 of 30 days)", "4.00"),
    ]


@pytest.mark.parametrize(
    ("discounts", "minimum", "lines"),
    [
        ([Discount("Tenth", Decimal(10))], None, [("DISCOUNT", "Tenth", "-6.90")]),
        ([Discount("Five", amount=Money(500, "USD"))], None, [("DISCOUNT", "Five", "-5.00")]),
        ([Discount("All", amount=Money(9999, "USD"))], None, [("DISCOUNT", "All", "-69.00")]),
        (
            [Discount("Half", Decimal(50)), Discount("Ten", amount=Money(1000, "USD")), Discount("Odd", Decimal(".1"))],
            None,
            [("DISCOUNT", "Half", "-34.50"), ("DISCOUNT", "Ten", "-10.00"), ("DISCOUNT", "Odd", "-0.02")],
        ),
        ([Discount("All", Decimal(100)), Discount("More", Decimal(50))], None, [("DISCOUNT", "All", "-69.00")]),
        ([Discount("None", Decimal(0)), Discount("Nothing", amount=Money(0, "USD"))], None, []),
        ([], "69.00", []),
        ([], "69.01", [("COMMITMENT", "Minimum commitment", "0.01")]),
        (
            [Discount("Half", Decimal(50))],
            "69.00",
            [("DISCOUNT", "Half", "-34.50"), ("COMMITMENT", "Minimum commitment", "34.50")],
        ),
    ],
)  # fmt: skip
def test_discounts_come_off_and_a_commitment_is_filled_up(
    discounts: list[Discount], minimum: str | None, lines: list[tuple[str, str, str]]
) -> None:
    agreed = None if minimum is None else Money(int(Decimal(minimum) * 100), "USD")
    found = bill_period(facts(Stage(MAY, TIERED, 1), units="150", discounts=tuple(discounts), minimum=agreed))
    assert told(found)[3:] == lines
    assert all(entry.price_id is None and entry.meter == "" for entry in found[3:])


def test_a_commitment_is_for_the_part_of_the_cycle() -> None:
    found = bill_period(facts(Stage(june(21), flat("30.00"), 1, DAY), minimum=Money(10000, "USD")))
    assert told(found) == [
        ("FEE", "Flat fee (10 of 30 days)", "10.00"),
        ("COMMITMENT", "Minimum commitment", "23.33"),
    ]


@pytest.mark.parametrize(
    ("percent", "amount"),
    [(None, None), (Decimal(1), Money(1, "USD")), (Decimal(-1), None), (Decimal("100.1"), None), (None, -1)],
)
def test_a_discount_is_one_thing_and_takes_away(percent: Decimal | None, amount: Money | int | None) -> None:
    with pytest.raises(ValueError, match="a discount is"):
        Discount("No", percent, Money(amount, "USD") if isinstance(amount, int) else amount)


def test_stages_are_in_order_and_in_one_currency() -> None:
    with pytest.raises(ValueError, match="at least one"):
        facts()
    with pytest.raises(ValueError, match="in the order"):
        facts(Stage(june(2), TIERED, 1), Stage(june(1), TIERED, 1))
    with pytest.raises(ValueError, match="one currency"):
        facts(Stage(june(1), TIERED, 1), Stage(june(2), flat("1", "EUR"), 1))


class Broken(Club):
    """It breaks where `where` says."""

    code = "test-broken"
    where: str
    """A method."""

    def fees(self, seats: int) -> Iterable[Line]:
        return self._breaks("fees") or super().fees(seats)

    def rate(self, usage: Usage) -> Iterable[Line]:
        return self._breaks("rate") or super().rate(usage)

    def seat_changes(self) -> Proration:
        self._breaks("seat_changes")
        return SECOND

    def _breaks(self, here: str) -> list[Line]:
        if self.where == here:
            raise KeyError(here)
        return [Line("A float", Decimal(1), 0.5)] if self.where == f"{here} float" else []  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["fees", "rate", "seat_changes", "fees float", "rate float"])
def test_a_broken_model_is_named(where: str) -> None:
    with pytest.raises(PluginError) as error:
        bill_period(facts(Stage(MAY, plan(Broken.configure({"where": where})), 1)))
    assert (error.value.plugin, error.value.hook) == ("test-broken", where.removesuffix(" float"))


# What always holds

CURRENCIES = st.sampled_from(["USD", "JPY", "KWD"])
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia"]
AMOUNTS = st.decimals(min_value=0, max_value=500, places=4, allow_nan=False).map(str)
PRORATIONS = st.sampled_from(Proration)
QUANTITIES = st.decimals(min_value=0, max_value=10**6, places=3, allow_nan=False)


def money(currency: str) -> st.SearchStrategy[Money]:
    return st.integers(0, 10**6).map(lambda minor: Money(minor, currency))


@st.composite
def cycles(draw: st.DrawFn) -> tuple[BillingPeriod, str]:
    """Billing months and days of all zones, many of them with a clock change."""
    zone = draw(st.sampled_from(ZONES))
    on = draw(st.dates(datetime(2009, 1, 1).date(), datetime(2027, 12, 31).date()))  # noqa: DTZ001
    return Anchor(on, zone).period(draw(st.integers(0, 12))), zone


@st.composite
def plans(draw: st.DrawFn, currency: str) -> PlanTerms:
    """Prices that more usage never makes cheaper."""
    seat_proration = draw(PRORATIONS).value
    return plan(
        ("flat", {"fee": draw(AMOUNTS)}),
        ("per-seat", {"seatPrice": draw(AMOUNTS), "seatProration": seat_proration}),
        (
            "tiered",
            {
                "fee": draw(AMOUNTS),
                "included": draw(st.integers(0, 100)),
                "overage": draw(st.sampled_from([{"unitPrice": "0.333"}, {"percentage": "2.9"}])),
            },
        ),
        ("metered", {"unitPrice": "0.0017", "minimumSpend": draw(AMOUNTS), "maximumSpend": "600"}),
        currency=currency,
    )


@st.composite
def courses(draw: st.DrawFn, *, ends: bool = True) -> PeriodFacts:
    cycle, zone = draw(cycles())
    length = int((cycle.end - cycle.start).total_seconds())
    currency = draw(CURRENCIES)
    moments = sorted(
        cycle.start + timedelta(seconds=second)
        for second in draw(st.lists(st.integers(-length if ends else 1, length), max_size=4))
    )
    known = [draw(plans(currency)) for _ in range(2)]
    stages = [Stage(cycle.start - timedelta(days=400), known[0], draw(st.integers(0, 9)))] if not ends else []
    for moment in moments:
        terms = draw(st.sampled_from(known))
        how = draw(PRORATIONS) if not stages or terms is not stages[-1].terms else draw(st.none() | PRORATIONS)
        is_paused = draw(st.sampled_from([False, False, False, True]))
        if stages and is_paused is not stages[-1].is_paused:
            how = draw(PRORATIONS)
        stages.append(Stage(moment, terms, draw(st.integers(0, 9)), how, is_paused))
    if not stages:
        stages = [Stage(cycle.start, known[0], 1)]
    end = cycle.start + timedelta(seconds=draw(st.integers(0, length)))
    return PeriodFacts(
        cycle=cycle,
        zone=zone,
        stages=tuple(stages),
        ends_at=end if ends and draw(st.booleans()) else None,
        end_proration=draw(PRORATIONS),
        units={METER: draw(QUANTITIES)},
        discounts=tuple(
            draw(
                st.lists(
                    st.one_of(
                        st.decimals(0, 100, places=2).map(lambda percent: Discount("Percent", percent)),
                        money(currency).map(lambda amount: Discount("Amount", amount=amount)),
                    ),
                    max_size=3,
                )
            )
        ),
        minimum=draw(st.none() | money(currency)),
    )


@given(courses(ends=False), PRORATIONS)
def test_fractions_sum_to_one(course: PeriodFacts, seat_changes: Proration) -> None:
    segments = split_cycle(course, seat_changes)
    assert sum(segment.ends - segment.begins for segment in segments) == 1
    assert [segment.begins for segment in segments] == [0, *(segment.ends for segment in segments[:-1])]


@given(courses(), PRORATIONS)
def test_segments_touch_and_stay_inside_the_cycle(course: PeriodFacts, seat_changes: Proration) -> None:
    segments = split_cycle(course, seat_changes)
    for one, following in pairwise(segments):
        assert one.ends == following.begins
    assert all(0 <= segment.begins < segment.ends <= 1 for segment in segments)


@given(courses())
def test_a_bill_is_never_negative_and_repeats(course: PeriodFacts) -> None:
    bill = bill_period(course)
    assert minor(bill) >= 0
    assert bill_period(course) == bill
    assert tuple(entry for entry in bill if entry.kind is LineKind.FEE) == fee_lines(course)
    order = [list(LineKind).index(entry.kind) for entry in bill]
    assert order == sorted(order)


@given(st.data(), CURRENCIES, st.integers(0, 9), QUANTITIES)
def test_a_whole_period_costs_what_each_price_says(
    data: st.DataObject, currency: str, seats: int, units: Decimal
) -> None:
    terms = data.draw(plans(currency))
    bill = bill_period(PeriodFacts(JUNE, "UTC", (Stage(MAY, terms, seats),), units={METER: units}))
    for entry, model in terms.prices:
        expected = price(model, Usage(units, JUNE, seats, "document"), currency).lines
        assert tuple(line.line for line in bill if line.price_id == entry.id) == expected


@given(courses())
def test_a_commitment_is_reached_exactly(course: PeriodFacts) -> None:
    bill, segments = bill_period(course), split_cycle(course)
    if course.minimum is None or not bill:
        return
    covered = sum(segment.length for segment in segments if not segment.is_paused)
    step = COLLECTED_STEP.get(course.minimum.currency, 1)
    due = int(covered * course.minimum.minor / step + Fraction(1, 2)) * step
    committed = [entry for entry in bill if entry.kind is LineKind.COMMITMENT]
    assert minor(bill) == due if committed else minor(bill) >= due


@given(courses(), QUANTITIES)
def test_more_usage_never_costs_less(course: PeriodFacts, more: Decimal) -> None:
    heavier = replace(course, units={METER: course.units[METER] + more})
    assert minor(bill_period(heavier)) >= minor(bill_period(course))


@given(courses(), st.integers(0, 10**7), PRORATIONS)
def test_a_change_to_the_same_terms_changes_nothing(course: PeriodFacts, second: int, how: Proration) -> None:
    last = course.stages[-1]
    again = Stage(last.starts_at + timedelta(seconds=second), last.terms, last.seats, how, last.is_paused)
    assert bill_period(replace(course, stages=(*course.stages, again))) == bill_period(course)


@given(CURRENCIES, AMOUNTS, st.lists(st.integers(1, 30 * 86400), min_size=2, max_size=2).map(sorted))
def test_a_pause_costs_nothing(currency: str, fee: str, seconds: list[int]) -> None:
    terms, (begins, ends) = flat(fee, currency), seconds
    whole = Stage(MAY, terms, 1)
    paused = Stage(june(1) + timedelta(seconds=begins), terms, 1, SECOND, is_paused=True)
    again = Stage(june(1) + timedelta(seconds=ends), terms, 1, SECOND)
    lines = fee_lines(facts(whole, paused, again))
    exact = Fraction(fee) * 10 ** currency_digits(currency) * (1 - Fraction(ends - begins, 30 * 86400))
    assert abs(minor(lines) - exact) <= Fraction(len(lines), 2) * COLLECTED_STEP.get(currency, 1)
    assert fee_lines(facts(whole, replace(paused, proration=NONE))) == fee_lines(facts(whole)), "from the next on"
    assert fee_lines(facts(replace(paused, starts_at=MAY))) == ()


@given(CURRENCIES, AMOUNTS, st.integers(1, 30))
def test_equal_parts_are_within_their_roundings_of_the_whole(currency: str, fee: str, parts: int) -> None:
    """Each part is a plan of its own, so that none are merged."""
    length = (JUNE.end - JUNE.start) / parts
    split = facts(*(Stage(JUNE.start + index * length, flat(fee, currency), 1, SECOND) for index in range(parts)))
    lines = bill_period(split)
    whole = Fraction(fee) * 10 ** currency_digits(currency)
    assert len(lines) == parts
    step = COLLECTED_STEP.get(currency, 1)
    assert abs(minor(lines) - int(whole + Fraction(1, 2))) < (Fraction(parts, 2) + 1) * step


@given(CURRENCIES, AMOUNTS, st.integers(0, 30 * 86400), st.integers(0, 9))
def test_a_part_is_rounded_once(currency: str, fee: str, second: int, seats: int) -> None:
    """Against fractions alone, with no decimal in between."""
    terms = plan(("per-seat", {"seatPrice": fee}), currency=currency)
    lines = fee_lines(facts(Stage(june(1) + timedelta(seconds=second), terms, seats, SECOND)))
    share = 1 - Fraction(second, 30 * 86400)
    expected = int(Fraction(fee) * seats * share * 10 ** collected_digits(currency) + Fraction(1, 2))
    assert minor(lines) == expected * COLLECTED_STEP.get(currency, 1)
