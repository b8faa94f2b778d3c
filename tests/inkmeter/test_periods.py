from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkmeter.periods import (
    Anchor,
    BillingPeriod,
    Interval,
    day_starts,
    hour_starts,
    load_zone,
    local_midnight,
    next_midnight,
)

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia"]
anchors = st.builds(
    Anchor,
    on=st.dates(date(2000, 1, 1), date(2060, 12, 31)),
    zone=st.sampled_from(ZONES),
    interval=st.sampled_from(Interval),
)
moments = st.datetimes(datetime(1995, 1, 1), datetime(2065, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("day", "starts"),
    [
        (31, ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        (30, ["2026-01-30", "2026-02-28", "2026-03-30", "2026-04-30", "2026-05-30"]),
        (29, ["2026-01-29", "2026-02-28", "2026-03-29", "2026-04-29", "2026-05-29"]),
        (1, ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01", "2026-05-01"]),
    ],
)
def test_the_anchor_day_is_remembered(day: int, starts: list[str]) -> None:
    anchor = Anchor(date(2026, 1, day))
    assert [anchor.boundary(index).date().isoformat() for index in range(5)] == starts


def test_a_leap_day_returns_in_leap_years() -> None:
    anchor = Anchor(date(2024, 2, 29), interval=Interval.YEAR)
    days = [anchor.boundary(index).date().isoformat() for index in range(-1, 5)]
    assert days == ["2023-02-28", "2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]


def test_a_month_with_a_clock_change_has_an_hour_less_or_more() -> None:
    anchor = Anchor(date(2026, 3, 1), "Europe/Berlin")
    march, october = anchor.period(0), anchor.period(7)
    assert march.start == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert march.end - march.start == timedelta(days=31, hours=-1)
    assert october.end - october.start == timedelta(days=31, hours=1)


def test_a_midnight_that_a_clock_change_skips_is_the_first_instant_of_the_day() -> None:
    assert local_midnight(date(2022, 3, 27), "Asia/Beirut") == datetime(2022, 3, 26, 22, tzinfo=UTC)
    before = datetime(2022, 3, 26, 21, 59, 59, tzinfo=UTC).astimezone(ZoneInfo("Asia/Beirut"))
    assert before.date() == date(2022, 3, 26)


@given(anchors, st.integers(-400, 400))
def test_periods_touch_and_keep_their_order(anchor: Anchor, index: int) -> None:
    this, following = anchor.period(index), anchor.period(index + 1)
    assert this.end == following.start
    assert this.start < this.end
    assert this.end not in this
    assert this.end in following
    assert this.start.utcoffset() == timedelta()


@given(anchors, moments)
def test_each_moment_lies_in_exactly_its_period(anchor: Anchor, moment: datetime) -> None:
    period = anchor.period_at(moment)
    assert moment in period
    assert period.start == anchor.period_at(period.start).start
    assert anchor.period_at(period.end).start == period.end


@given(anchors, st.integers(-400, 400))
def test_a_period_starts_on_the_anchor_day_or_the_last_of_a_shorter_month(anchor: Anchor, index: int) -> None:
    local = anchor.boundary(index).astimezone(ZoneInfo(anchor.zone)).date()
    is_last_of_month = (local + timedelta(days=1)).day == 1
    assert local.day == anchor.on.day or (is_last_of_month and local.day < anchor.on.day)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "/etc/passwd"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="IANA name"):
        load_zone(zone)
    with pytest.raises(ValueError, match="IANA name"):
        Anchor(date(2026, 1, 1), zone)


def test_a_period_is_aware_and_goes_forward() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="ends after it starts"):
        BillingPeriod(start, start)
    with pytest.raises(ValueError, match="aware"):
        BillingPeriod(start.replace(tzinfo=None), start)


def test_time_and_days_that_have_passed() -> None:
    march = Anchor(date(2026, 3, 1), "Europe/Berlin").period(0)  # 31 days with an hour less
    assert march.local_days("Europe/Berlin") == 31
    noon = datetime(2026, 3, 30, 12, tzinfo=UTC)
    assert march.elapsed(noon) == Fraction(29 * 24 + 13, 31 * 24 - 1)
    assert march.elapsed_days(noon, "Europe/Berlin") == Fraction(29, 31)
    half_past_midnight = datetime(2026, 3, 30, 22, 30, tzinfo=UTC)  # already the 31st
    assert march.elapsed_days(half_past_midnight, "Europe/Berlin") == Fraction(30, 31)
    before, after = march.start - timedelta(days=1), march.end + timedelta(days=9)
    for moment, share in ((before, 0), (march.start, 0), (march.end, 1), (after, 1)):
        assert march.elapsed(moment) == march.elapsed_days(moment, "Europe/Berlin") == share


def test_a_period_within_one_day_has_that_day() -> None:
    hour = BillingPeriod(datetime(2026, 3, 1, 9, tzinfo=UTC), datetime(2026, 3, 1, 10, tzinfo=UTC))
    assert hour.elapsed_days(hour.start, "UTC") == hour.elapsed_days(hour.end, "UTC") == 0
    assert hour.elapsed(datetime(2026, 3, 1, 9, 45, tzinfo=UTC)) == Fraction(3, 4)


@given(anchors, st.integers(-400, 400), moments, moments)
def test_what_has_passed_only_grows(anchor: Anchor, index: int, one: datetime, other: datetime) -> None:
    period, first, last = anchor.period(index), min(one, other), max(one, other)
    assert 0 <= period.elapsed(first) <= period.elapsed(last) <= 1
    assert 0 <= period.elapsed_days(first, anchor.zone) <= period.elapsed_days(last, anchor.zone) <= 1


@given(anchors, moments)
def test_the_next_midnight_ends_the_day(anchor: Anchor, moment: datetime) -> None:
    midnight = next_midnight(moment, anchor.zone)
    assert moment <= midnight <= moment + timedelta(hours=49)  # Samoa left out a day
    assert next_midnight(midnight, anchor.zone) == midnight
    before = midnight - timedelta(microseconds=1)
    assert before.astimezone(ZoneInfo(anchor.zone)).date() < midnight.astimezone(ZoneInfo(anchor.zone)).date()


def test_a_day_may_have_23_or_25_hours() -> None:
    zone = "Europe/Berlin"
    start, end = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 30, 12, tzinfo=UTC)
    assert list(day_starts(start, end, zone)) == [
        start,
        datetime(2026, 3, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 29, 22, tzinfo=UTC),
    ]
    autumn = list(hour_starts(datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC), zone))
    assert len(autumn) == 25
    shown = [moment.astimezone(ZoneInfo(zone)).hour for moment in autumn]
    assert shown == [0, 1, 2, 2, *range(3, 24)]


def test_hours_of_zones_that_are_half_an_hour_off() -> None:
    start = datetime(2026, 3, 10, 9, tzinfo=UTC)
    hours = list(hour_starts(start, start + timedelta(hours=2), "Asia/Kolkata"))
    assert hours == [start, start + timedelta(minutes=30), start + timedelta(minutes=90)]


def test_samoa_left_out_a_day() -> None:
    start, end = datetime(2011, 12, 29, 12, tzinfo=UTC), datetime(2012, 1, 1, 12, tzinfo=UTC)
    days = list(day_starts(start, end, "Pacific/Apia"))
    assert days == sorted(set(days))
    shown = [moment.astimezone(ZoneInfo("Pacific/Apia")).date().isoformat() for moment in days]
    assert shown == ["2011-12-29", "2011-12-31", "2012-01-01", "2012-01-02"]


@given(anchors, moments, st.integers(1, 5 * 24 * 60))
def test_days_and_hours_cut_a_span_without_gaps(anchor: Anchor, start: datetime, minutes: int) -> None:
    end, local = start + timedelta(minutes=minutes), ZoneInfo(anchor.zone)
    for cut, longest in ((day_starts, 49), (hour_starts, 2)):
        starts = list(cut(start, end, anchor.zone))
        assert starts[0] == start
        assert starts == sorted(set(starts))
        assert all(later - earlier <= timedelta(hours=longest) for earlier, later in pairwise([*starts, end]))
    days = [moment.astimezone(local).date() for moment in day_starts(start, end, anchor.zone)]
    assert days == sorted(set(days))
