"""Dunning, decided: any order of failures and payments, any clock, any policy."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dunning import ORDER, Debt, Policy, owed_since, standing, steps_to_take
from storage.dunning import DunningStep
from storage.plans import DunningEnd

T0 = datetime(2026, 4, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def day(number: float) -> datetime:
    return T0 + timedelta(days=number)


policies = st.builds(Policy, st.integers(0, 365), st.integers(0, 365), st.sampled_from(DunningEnd))
moments = st.integers(0, 90).map(day)
debts = st.builds(
    lambda failed, lasts: Debt(day(failed), None if lasts is None else day(failed + lasts)),
    st.integers(0, 60),
    st.none() | st.integers(0, 40),
)


@pytest.mark.parametrize(
    ("known", "since"),
    [
        ([], None),
        ([(0, 3)], None),
        ([(0, None)], 0),
        ([(0, None), (5, None)], 0),
        ([(0, 9), (5, None)], 0),
        ([(0, 4), (5, None)], 5),
        ([(0, 5), (5, None)], 5),
        ([(0, 6), (5, 12), (11, None)], 0),
        ([(0, 6), (5, 7), (11, None)], 11),
    ],
)
def test_since_when_something_is_owed_without_a_break(known: list[tuple[int, int | None]], since: int | None) -> None:
    found = [Debt(day(failed), None if settled is None else day(settled)) for failed, settled in known]
    for order in itertools.permutations(found):
        assert owed_since(order) == (None if since is None else day(since))


@given(st.lists(debts, max_size=6), st.randoms())
def test_the_order_in_which_debts_are_heard_of_does_not_matter(known: list[Debt], random: object) -> None:
    shuffled = list(known)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    since = owed_since(known)
    assert owed_since(shuffled) == since
    assert (since is None) is all(debt.settled_at is not None for debt in known)
    if since is not None:
        moment, now = since, max(d.failed_at for d in known if d.settled_at is None)
        while moment <= now:  # at each day since then something was owed
            assert any(d.failed_at <= moment and (d.settled_at is None or moment < d.settled_at) for d in known)
            moment += DAY / 2


@pytest.mark.parametrize(
    ("end", "now", "step", "next_step", "next_day"),
    [
        (DunningEnd.DEPROVISION, 0, DunningStep.GRACE, DunningStep.RESTRICTED, 7),
        (DunningEnd.DEPROVISION, 6.99, DunningStep.GRACE, DunningStep.RESTRICTED, 7),
        (DunningEnd.DEPROVISION, 7, DunningStep.RESTRICTED, DunningStep.DEPROVISIONED, 21),
        (DunningEnd.DEPROVISION, 20.99, DunningStep.RESTRICTED, DunningStep.DEPROVISIONED, 21),
        (DunningEnd.DEPROVISION, 21, DunningStep.DEPROVISIONED, None, None),
        (DunningEnd.DOWNGRADE, 99, DunningStep.DOWNGRADED, None, None),
        (DunningEnd.RESTRICT, 7, DunningStep.RESTRICTED, None, None),
        (DunningEnd.RESTRICT, 99, DunningStep.RESTRICTED, None, None),
    ],
)
def test_the_steps_of_a_policy(
    end: DunningEnd, now: float, step: DunningStep, next_step: DunningStep | None, next_day: int | None
) -> None:
    stands = standing(T0, Policy(7, 14, end), day(now))
    assert (stands.step, stands.next_step) == (step, next_step)
    assert stands.next_at == (None if next_day is None else day(next_day))


@given(policies, moments, moments)
def test_time_only_leads_on_and_the_next_step_comes_when_it_was_said(
    policy: Policy, one: datetime, other: datetime
) -> None:
    earlier, later = sorted([one, other])
    before, after = standing(T0, policy, earlier), standing(T0, policy, later)
    assert ORDER.index(before.step) <= ORDER.index(after.step)
    assert before.step_at <= earlier
    if before.next_at is not None:
        assert before.next_at > earlier
        assert standing(T0, policy, before.next_at - DAY / 1000).step is before.step
        reached = standing(T0, policy, before.next_at).step
        days = policy.restricted_days
        assert reached is before.next_step or (days == 0 and reached is policy.last_step)
    else:
        assert after.step is before.step


@given(policies, moments)
def test_where_stripe_has_given_up_there_is_no_grace_and_no_earlier_end(policy: Policy, now: datetime) -> None:
    given_up, trying = standing(T0, policy, now, is_given_up=True), standing(T0, policy, now)
    if trying.step is not DunningStep.GRACE:
        assert given_up == trying
        return
    has_end = policy.end is not DunningEnd.RESTRICT
    assert (given_up.step, given_up.step_at) == (DunningStep.RESTRICTED, now)
    assert given_up.next_at == (policy.ends(T0) if has_end else None)


@given(policies, st.lists(moments, min_size=1, max_size=8))
def test_however_often_one_looks_each_step_is_taken_once_and_in_order(policy: Policy, looks: list[datetime]) -> None:
    done, taken = DunningStep.GRACE, [DunningStep.GRACE]
    for now in sorted(looks):
        for step in steps_to_take(done, standing(T0, policy, now).step, policy):
            taken.append(step)
            done = step
    assert taken == sorted(set(taken), key=ORDER.index)
    at_once = steps_to_take(DunningStep.GRACE, standing(T0, policy, max(looks)).step, policy)
    assert taken == [DunningStep.GRACE, *at_once]
