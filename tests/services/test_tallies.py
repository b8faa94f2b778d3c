"""Levels over time, held against counting every moment."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkmeter.usage import Aggregation, Meter, UnitRounding
from services.measures import billable
from services.tallies import Levels, over, rounded

STEPS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=12).map(
    lambda steps: sorted(steps, key=lambda step: step[0])
)


def meter(aggregation: Aggregation, decimals: int = 0, rounding: UnitRounding = UnitRounding.NONE) -> Meter:
    return Meter("m", "unit", "Units.", aggregation, decimals=decimals, rounding=rounding)


def level_at(carried: int, steps: list[tuple[int, int]], moment: int) -> int:
    return [carried, *(level for at, level in steps if at <= moment)][-1]


@given(st.integers(0, 9), STEPS)
def test_levels_are_what_counting_every_moment_gives(carried: int, steps: list[tuple[int, int]]) -> None:
    end = 41
    each = [level_at(carried, steps, moment) for moment in range(end)]
    assert over(meter(Aggregation.LATEST), carried, steps, 0, end) == each[-1]
    average = over(meter(Aggregation.TIME_WEIGHTED), carried, steps, 0, end)
    assert average == (Fraction(sum(each), end) + Fraction(1, 2)) // 1
    assert over(meter(Aggregation.MAX), carried, steps, 0, end) == max([carried, *(level for _, level in steps)])


@given(st.integers(0, 9), STEPS, st.integers(1, 40))
def test_a_span_cut_in_two_adds_up(carried: int, steps: list[tuple[int, int]], cut: int) -> None:
    fine = meter(Aggregation.TIME_WEIGHTED)
    levels = Levels(fine, carried, 0)
    for at, level in steps:
        if at < cut:
            levels.step(at, level)
    each = [level_at(carried, steps, moment) for moment in range(41)]
    assert levels.used(cut) == (Fraction(sum(each[:cut]), cut) + Fraction(1, 2)) // 1
    levels.begin(cut)
    for at, level in steps:
        if at >= cut:
            levels.step(at, level)
    assert levels.used(41) == (Fraction(sum(each[cut:]), 41 - cut) + Fraction(1, 2)) // 1


@given(st.fractions(0, 10**6), st.integers(0, 9), st.sampled_from(UnitRounding))
def test_an_average_is_rounded_as_if_at_once(average: Fraction, decimals: int, rounding: UnitRounding) -> None:
    kept = rounded(meter(Aggregation.TIME_WEIGHTED, decimals, rounding), average * 10**decimals)
    billed = billable(meter(Aggregation.TIME_WEIGHTED, decimals, rounding), kept)
    match rounding:
        case UnitRounding.UP:
            assert billed == -(-average // 1)
        case UnitRounding.DOWN:
            assert billed == average // 1
        case UnitRounding.HALF_UP:
            assert billed == (average + Fraction(1, 2)) // 1
        case UnitRounding.NONE:
            assert abs(Fraction(billed) - average) <= Fraction(1, 2 * 10**decimals)


@pytest.mark.parametrize("aggregation", [Aggregation.LATEST, Aggregation.TIME_WEIGHTED, Aggregation.MAX])
def test_a_span_without_length_has_the_level_of_that_moment(aggregation: Aggregation) -> None:
    assert over(meter(aggregation), 7, [], 5, 5) == 7
