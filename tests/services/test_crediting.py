"""Credits in the pure planner: consumed once, promised once, given back, and never more than there are."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkmeter.errors import Conflict, QuotaExceeded, SignNowRefused, SpendCapReached, TopUpRequired
from services.commands import Command, Fact, GrantCredits, Record, Reserve, TakeCredits
from storage.credits import CreditEntryKind, CreditSource
from storage.fields import to_micros
from storage.ids import new_id
from storage.ledger import StoredPhase
from storage.plans import LimitPolicy
from tests.services.books import METER, NOW, Books, commit, release, reserve, take_back, terms

PACKS = [{"units": 5, "price_minor": 900}]


def grant(key: str, units: int, days: int | None = None, priority: int = 0) -> GrantCredits:
    expires_at = NOW + timedelta(days=days) if days is not None else None
    return GrantCredits(1, key, METER, units, CreditSource.PROMOTION, NOW, priority, expires_at)


def record(key: str, units: int) -> Record:
    return Record(1, [Fact(METER, units, key, NOW)], NOW)


def left(books: Books) -> dict[str, int]:
    return {found.idempotency_key: found.remaining for found in books.grants.values()}


STEP = st.tuples(
    st.sampled_from(["reserve", "commit", "fail", "undo", "record", "grant", "take", "expire", "correct"]),
    st.integers(0, 5),
    st.integers(1, 4),
)


@settings(max_examples=250, deadline=None)
@given(
    st.lists(STEP, max_size=60),
    st.integers(1, 6),
    st.integers(0, 8),
    st.sampled_from([LimitPolicy.HARD, LimitPolicy.TOP_UP, LimitPolicy.SOFT]),
)
def test_credits_balance_whatever_happens(
    steps: list[tuple[str, int, int]], batch: int, limit: int, policy: LimitPolicy
) -> None:
    """`Books.check` runs after each batch; at the end nothing is promised any more."""
    books = Books(terms(limit, policy, packs=PACKS))
    promised: dict[str, int] = {}
    while steps:
        now, steps = steps[:batch], steps[batch:]
        for command, answer in zip(
            commands := [c for step in now if (c := _command(books, *step))], books.run(*commands), strict=True
        ):
            if isinstance(command, Reserve) and isinstance(answer, tuple):
                promised[command.intent.idempotency_key] = answer[0].decision["credits"].get(METER, 0)
            assert not isinstance(answer, Exception) or isinstance(answer, (QuotaExceeded, TopUpRequired, Conflict))
        if policy is not LimitPolicy.SOFT:
            facts = sum(row[4] for row in books.events if row[8] != "operation")
            by_operations = books.used - facts + books.reserved
            assert by_operations <= limit + books.credited + books.pledged
    for operation in list(books.operations.values()):
        if operation.state == "RESERVED":
            books.run(commit(operation))
    assert (books.reserved, books.pledged) == (0, 0)
    assert books.credited <= max(books.used - limit, 0)


def _command(books: Books, what: str, number: int, units: int) -> Command | None:
    operation = books.operations.get((1, f"k{number}"))
    grants = list(books.grants.values())
    facts = {row[2]: row[4] for row in books.events if row[8] == "api"}
    match what:
        case "reserve":
            return reserve(f"k{number}", units)
        case "record":
            return record(f"e{number}-{units}", units)
        case "grant":
            return grant(f"g{number}-{units}", units, days=number or None, priority=number % 2)
        case "take" if grants:
            return TakeCredits(1, grants[number % len(grants)].id, CreditEntryKind.REVOKED, NOW, units)
        case "expire" if grants:
            return TakeCredits(1, grants[number % len(grants)].id, CreditEntryKind.EXPIRED, NOW)
        case "correct" if facts:
            key = sorted(facts)[number % len(facts)]
            return take_back(key, facts[key], f"c{number}-{units}", units - 1)
        case "commit" if operation is not None:
            return commit(operation)
        case "fail" if operation is not None:
            return release(operation, SignNowRefused("no"))
        case "undo" if operation is not None:
            return release(operation)
    return None


def test_the_first_to_expire_is_consumed_first_unless_another_has_priority() -> None:
    books = Books(terms(0, LimitPolicy.TOP_UP))
    books.run(grant("never", 2), grant("late", 2, days=9), grant("soon", 2, days=3), grant("last", 2, 1, priority=5))
    for number, expected in enumerate(["soon", "soon", "late", "late", "never", "never", "last", "last"]):
        before = left(books)
        [(operation, _)] = books.run(reserve(f"k{number}"))
        books.run(commit(operation))
        [(key, _)] = (before.items() - left(books).items()) or [(None, 0)]
        assert key == expected
    [refusal] = books.run(reserve("k9"))
    assert isinstance(refusal, TopUpRequired)
    assert (refusal.balance, refusal.requested) == (0, 1)


def test_each_consumed_unit_is_linked_to_its_event() -> None:
    books = Books(terms(1))
    books.run(grant("a", 2, days=1), grant("b", 2), record("e", 4))
    [event] = [row[1] for row in books.events]
    consumed = [(row[2], row[5], row[7]) for row in books.entries if row[4] == "CONSUMED"]
    a, b = (next(str(g.id) for g in books.grants.values() if g.idempotency_key == key) for key in "ab")
    assert consumed == [(a, -2, event), (b, -1, event)]


def test_a_promised_credit_is_nobody_elses() -> None:
    books = Books(terms(0, LimitPolicy.TOP_UP))
    books.run(grant("g", 1))
    [(operation, _), second] = books.run(reserve("k"), reserve("l"))
    assert operation.decision["reason"] == "CREDIT"
    assert isinstance(second, TopUpRequired)
    books.run(record("e", 1))
    [nothing] = books.run(TakeCredits(1, next(iter(books.grants)), CreditEntryKind.EXPIRED, NOW))
    assert nothing == 0, "what is promised does not expire"
    books.run(commit(operation))
    assert (books.used, books.credited, left(books)) == (2, 1, {"g": 0})


def test_a_credit_that_expires_meanwhile_still_pays_for_what_it_was_promised_to() -> None:
    books = Books(terms(0, LimitPolicy.TOP_UP))
    books.run(grant("g", 2, days=1))
    [(operation, _)] = books.run(reserve("k"))
    later = NOW + timedelta(days=2)
    [refusal] = books.run(Reserve(1, reserve("l").intent, "hash", later), now=later)
    assert isinstance(refusal, TopUpRequired)
    books.run(commit(operation), now=later)
    assert books.credited == 1


def test_a_correction_gives_credits_back_and_lets_overage_go_first() -> None:
    books = Books(terms(2, LimitPolicy.SOFT))
    books.run(grant("g", 3), record("a", 4), record("b", 4))
    assert (books.used, books.credited) == (8, 3)
    books.run(take_back("a", 4, "x", 1))
    assert (books.used, books.credited, left(books)) == (5, 3, {"g": 0})
    books.run(take_back("b", 4, "y"))
    assert (books.used, books.credited, left(books)) == (1, 0, {"g": 3})


def test_a_grant_is_given_once_and_its_key_stands_for_it() -> None:
    books = Books(terms(0))
    [(first, is_new), (again, is_new_again)] = books.run(grant("g", 3), grant("g", 3))
    assert (is_new, is_new_again, first is again) == (True, False, True)
    [(_, third), refusal] = books.run(grant("g", 3), grant("g", 4))
    assert third is False
    assert isinstance(refusal, Conflict)
    assert left(books) == {"g": 3}


def rule(below: int, cap: int) -> dict[str, Any]:
    return {"packs": PACKS, "auto_top_up": {"below": below, "pack": 0, "monthly_cap_minor": cap}}


def test_the_rule_buys_below_its_threshold_until_its_cap() -> None:
    books = Books(terms(0, LimitPolicy.TOP_UP, **rule(below=3, cap=1800)))
    outcomes = []
    for number in range(12):
        [answer] = books.run(reserve(f"k{number}"))
        outcomes.append(type(answer).__name__)
        if isinstance(answer, tuple):
            books.run(commit(answer[0]))
    assert outcomes == ["tuple"] * 10 + ["TopUpRequired"] * 2
    assert [(row[3], row[7]) for row in books.charges] == [("AUTO_TOP_UP", 900)] * 2
    assert len({row[2] for row in books.charges}) == 2


def test_facts_are_paid_by_the_rule_too() -> None:
    books = Books(terms(0, LimitPolicy.TOP_UP, **rule(below=0, cap=9000)))
    books.run(record("e", 12))
    assert (books.used, books.credited, left(books)) == (12, 12, {f"auto:{METER}:{books.gate.starts_at}:1": 3})
    assert [row[7] for row in books.charges] == [2700]


def test_a_spend_cap_holds_to_the_cent() -> None:
    books = Books(terms(2, LimitPolicy.SOFT, spend_cap_minor=600))
    answers = books.run(*(reserve(f"k{number}") for number in range(6)))
    assert [type(answer).__name__ for answer in answers] == ["tuple"] * 5 + ["SpendCapReached"]
    refusal = answers[-1]
    assert isinstance(refusal, SpendCapReached)
    assert (refusal.spent.minor, refusal.price.minor, refusal.cap.minor) == (600, 200, 600)


def test_an_upgrade_happens_once_and_to_the_first_plan_that_allows_the_units() -> None:
    small, middle, large = uuid4(), uuid4(), uuid4()
    upgrading = LimitPolicy.AUTO_UPGRADE
    books = Books(
        terms(1, upgrading, small, successor_id=middle),
        terms(2, upgrading, middle, successor_id=large),
        terms(9, LimitPolicy.HARD, large),
    )
    answers = books.run(reserve("a"), reserve("b", 3), reserve("c", 5), reserve("d"))
    assert [answer[0].decision["reason"] for answer in answers[:3]] == ["OVERAGE", "UPGRADED", "OVERAGE"]
    assert answers[1][0].decision["plan"]["id"] == str(large)
    assert isinstance(answers[3], QuotaExceeded)
    assert answers[3].limit == 9
    assert [phase.plan_id for phase in books.phases] == [small, large]


def test_a_planned_change_of_seats_follows_the_upgrade() -> None:
    small, large = uuid4(), uuid4()
    books = Books(terms(1, LimitPolicy.AUTO_UPGRADE, small, successor_id=large), terms(9, LimitPolicy.HARD, large))
    later = to_micros(NOW + timedelta(days=9))
    books.phases.append(StoredPhase(new_id(), later, small, 7, "SEATS"))
    books.run(reserve("a", 2))
    last = max(books.phases, key=lambda phase: (phase.starts_at, phase.id))
    assert (last.starts_at, last.plan_id, last.seats) == (later, large, 7)


def test_nothing_is_upgraded_if_no_plan_on_the_way_allows_the_units() -> None:
    small, large = uuid4(), uuid4()
    books = Books(terms(1, LimitPolicy.AUTO_UPGRADE, small, successor_id=large), terms(5, LimitPolicy.HARD, large))
    [refusal] = books.run(reserve("a", 6))
    assert isinstance(refusal, QuotaExceeded)
    assert refusal.limit == 1
    assert len(books.phases) == 1


@pytest.mark.parametrize("sizes", [[10], [4, 6], [1] * 10, [3, 3, 4]])
def test_a_threshold_is_crossed_once_however_the_units_come(sizes: list[int]) -> None:
    books = Books(terms(10, LimitPolicy.SOFT, alerts_at=[50, 80, 100]))
    for number, size in enumerate(sizes):
        books.run(record(f"e{number}", size))
    assert [(row[2], row[5]) for row in books.alerts] == [("QUOTA", 50), ("QUOTA", 80), ("QUOTA", 100)]


def test_credits_and_budgets_have_thresholds_too() -> None:
    books = Books(terms(0, LimitPolicy.SOFT, alerts_at=[50, 100]))
    books.account.budget_minor, books.account.budget_alerts_at = 1000, (50, 100)
    books.run(grant("g", 4))
    for number in range(10):
        books.run(record(f"e{number}", 1))
    assert [(row[2], row[5], row[6], row[7]) for row in books.alerts] == [
        ("CREDITS", 50, 2, 4),
        ("CREDITS", 100, 4, 4),
        ("SPEND", 50, 600, 1000),
        ("SPEND", 100, 1000, 1000),
    ]
