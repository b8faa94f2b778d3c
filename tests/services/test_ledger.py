"""The pure planner: whatever comes in whatever order and batches, the books stay equal and the limit holds."""

from datetime import timedelta
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from inkmeter.errors import Conflict, QuotaExceeded, SignNowRefused, SubscriptionInactive
from services.commands import Command, Fact, NeedsPeriod, NeedsTerms, Record, Reserve
from storage.fields import to_micros
from storage.operations import OperationKind
from tests.services.books import END, METER, NOW, Books, commit, release, reserve, terms

STEP = st.tuples(st.sampled_from(["reserve", "commit", "fail", "undo", "record"]), st.integers(0, 6), st.integers(1, 4))


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=60), st.integers(1, 8), st.integers(0, 12))
def test_books_stay_equal_whatever_happens(steps: list[tuple[str, int, int]], batch: int, limit: int) -> None:
    books = Books(terms(limit))
    while steps:
        now, steps = steps[:batch], steps[batch:]
        commands: list[Command] = []
        for what, number, units in now:
            operation = books.operations.get((1, f"k{number}"))
            if what == "reserve":
                commands.append(reserve(f"k{number}", units))
            elif what == "record":
                commands.append(Record(1, [Fact(METER, units, f"e{number}-{units}", NOW)], NOW))
            elif operation is not None:
                refusal = SignNowRefused("no") if what == "fail" else None
                commands.append(commit(operation) if what == "commit" else release(operation, refusal))
        free_before = limit - books.used - books.reserved
        answers = books.run(*commands)
        if len(commands) == 1 and isinstance(commands[0], Reserve) and isinstance(answers[0], QuotaExceeded):
            assert commands[0].intent.units[METER] > free_before, "refused although units were free"
        assert books.used == sum(row[4] for row in books.events)
        assert books.reserved == sum(
            o.reserved[METER] for o in books.operations.values() if o.state in ("RESERVED", "UNKNOWN")
        )
        by_operations = sum(row[4] for row in books.events if row[8] == "operation") + books.reserved
        assert by_operations <= limit


def test_a_limit_is_met_exactly_in_one_batch() -> None:
    books = Books(terms(3))
    answers = books.run(*(reserve(f"k{n}") for n in range(5)))
    assert [isinstance(answer, QuotaExceeded) for answer in answers] == [False, False, False, True, True]
    assert answers[3].used == 3
    assert answers[3].resets_at == END


def test_the_same_key_in_one_batch_is_one_operation() -> None:
    books = Books(terms(9))
    (first, is_new), (second, is_new_again) = books.run(reserve("k"), reserve("k"))
    assert (is_new, is_new_again) == (True, False)
    assert first is second
    assert books.reserved == 1


def test_a_yes_after_a_settled_no_is_counted_once() -> None:
    books = Books(terms(9))
    [(operation, _)] = books.run(reserve("k"))
    assert books.run(release(operation, SignNowRefused("unknown there"))) == [True]
    assert (books.used, books.reserved) == (0, 0)
    assert books.run(commit(operation), commit(operation)) == [books.account.public_id, None]
    assert (books.used, books.reserved) == (1, 0)


def test_what_was_reserved_and_not_used_is_released() -> None:
    books = Books(terms(9))
    [(operation, _)] = books.run(reserve("k", units=4))
    books.run(commit(operation, units=1))
    assert (books.used, books.reserved) == (1, 0)


def test_an_undone_operation_does_not_end_the_next_one_of_its_key() -> None:
    books = Books(terms(9))
    [(first, _)] = books.run(reserve("k"))
    [_, (second, is_new)] = books.run(release(first), reserve("k"))
    assert is_new
    assert second.id != first.id
    assert books.run(commit(first), release(first)) == [None, False]
    assert books.reserved == 1


def test_a_document_is_invited_once() -> None:
    books, document = Books(terms(9)), uuid4()
    answers = books.run(*(reserve(key, kind=OperationKind.INVITE, document=document) for key in "ab"))
    assert isinstance(answers[1], Conflict)
    again = reserve("c", kind=OperationKind.INVITE, document=document)
    [_, (_, is_new)] = books.run(release(answers[0][0], SignNowRefused("no")), again)
    assert is_new


def test_a_fact_is_counted_once_and_another_one_under_its_key_is_refused() -> None:
    books = Books(terms(9))
    same, other = Fact(METER, 2, "e", NOW), Fact(METER, 3, "e", NOW)
    [[first, again, different]] = books.run(Record(1, [same, same, other], NOW))
    assert (first, again) == (True, False)
    assert isinstance(different, Conflict)
    assert books.used == 2


def test_a_fact_after_the_close_is_late() -> None:
    books = Books(terms(9))
    books.gate.is_closed = True
    books.run(Record(1, [Fact(METER, 2, "e", NOW)], NOW))
    assert books.events[0][7] is True


def test_what_is_missing_is_asked_for() -> None:
    books = Books(terms(9))
    later = END + timedelta(days=1)
    [need] = books.run(Record(1, [Fact(METER, 1, "a", NOW), Fact(METER, 1, "b", later)], NOW))
    assert need == NeedsPeriod(1, later)
    assert books.events == [], "a command is planned whole or not at all"
    books.phases[0].plan_id = uuid4()
    [need] = books.run(reserve("k"))
    assert need == NeedsTerms(books.phases[0].plan_id)
    books.account.ended_at = to_micros(NOW)
    [refusal] = books.run(reserve("k"))
    assert isinstance(refusal, SubscriptionInactive)
