"""The arithmetic of margin: parts come to the whole, groupings agree, and no order matters."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkmeter.money import Money
from services.margin import KEYS, Entry, MarginGroup, MarginRow, Measure, Place, percent_of, share_out, tabulate

AMOUNTS = st.integers(-(10**12), 10**12)
PLACES = st.builds(
    Place,
    st.one_of(st.none(), st.integers(1, 4)),
    st.sampled_from(["2026-01", "2026-02", "2026-03"]),
    st.sampled_from([None, "free", "growth"]),
    st.sampled_from([None, "flat", "tiered"]),
)
ENTRIES = st.lists(
    st.builds(Entry, PLACES, st.sampled_from(Measure), AMOUNTS, st.sampled_from(["USD", "EUR", "JPY"])), max_size=40
)


@given(AMOUNTS, st.dictionaries(st.integers(0, 50), st.integers(0, 10**6)))
def test_shares_come_to_the_whole_and_are_at_most_one_off(amount: int, weights: dict[int, int]) -> None:
    shares = share_out(amount, weights)
    whole = sum(weights.values())
    if not whole:
        assert shares == {}
        return
    assert sum(shares.values()) == amount
    for part, share in shares.items():
        assert abs(share * whole - amount * weights[part]) < whole
        assert share == 0 or weights[part]


@given(AMOUNTS, st.dictionaries(st.integers(0, 50), st.integers(0, 10**6)), st.randoms())
def test_shares_do_not_depend_on_the_order(amount: int, weights: dict[int, int], random: object) -> None:
    turned = dict(reversed(weights.items()))
    assert share_out(amount, turned) == share_out(amount, weights)
    assert share_out(-amount, weights) == {part: -share for part, share in share_out(amount, weights).items()}


def test_the_largest_remainders_get_what_is_left_over() -> None:
    assert share_out(100, {"a": 1, "b": 1, "c": 1}) == {"a": 34, "b": 33, "c": 33}
    assert share_out(8400, {"a": 10, "b": 20, "c": 1}) == {"a": 2710, "b": 5419, "c": 271}


def sums(rows: list[MarginRow]) -> dict[tuple[str, Measure], int]:
    found: dict[tuple[str, Measure], int] = {}
    for row in rows:
        for measure, amount in row.sums.items():
            found[row.currency, measure] = found.get((row.currency, measure), 0) + amount
    return found


@given(ENTRIES, st.randoms(use_true_random=False))
def test_every_grouping_comes_to_the_same_sums_in_any_order(entries: list[Entry], random: object) -> None:
    total = sums(tabulate(entries, lambda _: None))
    for group in MarginGroup:
        rows = tabulate(entries, KEYS[group])
        assert sums(rows) == total
        assert len({(row.key, row.currency) for row in rows}) == len(rows)
        mixed = list(entries)
        random.shuffle(mixed)  # type: ignore[attr-defined]
        assert tabulate(mixed, KEYS[group]) == rows
        for row in rows:
            assert set(row.also_in) == {other.currency for other in rows if other.key == row.key} - {row.currency}


def test_a_row_is_of_one_currency() -> None:
    place = Place(1, "2026-03", "growth", "flat")
    rows = tabulate(
        [
            Entry(place, Measure.RATED, 1000, "EUR"),
            Entry(place, Measure.DECLARED, 150, "USD"),
            Entry(place, Measure.RATED, 300, "USD"),
        ],
        KEYS[MarginGroup.TENANT],
    )
    assert [(row.currency, row.also_in, row.margin()) for row in rows] == [
        ("EUR", ("USD",), Money(1000, "EUR")),
        ("USD", ("EUR",), Money(150, "USD")),
    ]


@pytest.mark.parametrize(
    ("part", "whole", "percent"),
    [(50, 200, "25.00"), (1, 3, "33.33"), (-150, 100, "-150.00"), (1, 0, None), (0, 0, None), (5, -10, None)],
)
def test_percentages(part: int, whole: int, percent: str | None) -> None:
    assert percent_of(part, whole) == (Decimal(percent) if percent else None)
