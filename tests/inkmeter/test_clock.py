from datetime import UTC, datetime, timedelta

import pytest

from inkmeter import FrozenClock, SystemClock, TravelClock

CHRISTMAS = datetime(2026, 12, 25, tzinfo=UTC)


def test_the_system_clock_is_aware() -> None:
    assert SystemClock().now().utcoffset() == timedelta()


def test_a_travelling_clock_jumps_and_goes_on() -> None:
    clock = TravelClock(CHRISTMAS)
    first = clock.now()
    assert first >= CHRISTMAS
    clock.travel_to(CHRISTMAS + timedelta(days=31))
    assert clock.now() - first >= timedelta(days=30)


def test_a_frozen_clock_stands_still() -> None:
    clock = FrozenClock(CHRISTMAS)
    assert clock.now() == clock.now() == CHRISTMAS
    clock.travel_to(CHRISTMAS + timedelta(days=1))
    assert clock.now() == CHRISTMAS + timedelta(days=1)


@pytest.mark.parametrize("clock", [TravelClock, FrozenClock])
def test_a_naive_moment_is_refused(clock: type[FrozenClock | TravelClock]) -> None:
    with pytest.raises(ValueError, match="naive"):
        clock(datetime(2026, 1, 1))  # noqa: DTZ001
