"""The pure planner: whatever comes in whatever order and batches, the books stay equal and the limit holds."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from inkmeter.errors import Conflict, QuotaExceeded, SignNowRefused, SubscriptionInactive
from inkmeter.periods import Interval
from inkmeter.usage import METERS
from plugins.manager import load_plugins
from services.commands import Command, Commit, Fact, Intent, NeedsPeriod, NeedsTerms, Record, Release, Reserve
from services.ledger import plan
from services.measures import MeterBook
from services.terms import PlanTerms
from storage.fields import to_micros
from storage.ledger import Account, Gate, Known, StoredEvent, StoredOperation, StoredPhase, Writes
from storage.operations import OperationKind
from storage.plans import LimitPolicy, Plan, Price, Quota

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
PLAN_ID = uuid4()
METER = "documents_created"


def terms(limit: int) -> dict[UUID, PlanTerms]:
    model = load_plugins(blocked=("event-log",)).billing_models.get("per-document")
    row = Plan(
        id=PLAN_ID,
        code="p",
        version=1,
        name="P",
        currency="USD",
        interval=Interval.MONTH,
        content_hash="",
        created_at=NOW,
    )
    price = Price(plan_id=PLAN_ID, position=0, meter=METER, model="per-document", config={"unitPrice": "2.00"})
    quota = Quota(plan_id=PLAN_ID, meter=METER, units=limit, policy=LimitPolicy.HARD)
    return {
        PLAN_ID: PlanTerms(
            row, ((price, model.configure({"unitPrice": "2.00"})),), {METER: quota}, {METER: METERS[METER]}
        )
    }


class Books:
    """A store in memory: gives out what is known, and takes in what is written, as the databases do."""

    def __init__(self) -> None:
        self.account = Account(1, str(uuid4()), "ACTIVE", None, uuid4(), None)
        self.phase = StoredPhase(uuid4(), to_micros(START), PLAN_ID, 1)
        self.gate = Gate(uuid4(), to_micros(START), to_micros(END), is_closed=False)
        self.operations: dict[tuple[int, str], StoredOperation] = {}
        self.events: list[tuple[Any, ...]] = []
        self.counters: dict[tuple[int, int, str], list[int]] = {}

    def run(self, commands: list[Command], limit: int) -> list[Any]:
        known = Known(
            accounts={1: self.account},
            phases={1: [self.phase]},
            gates={1: [self.gate]},
            counters={key: list(sums) for key, sums in self.counters.items()},
            operations=dict(self.operations),
            events={(row[0], row[2]): StoredEvent(row[3], row[4], row[5]) for row in self.events},
            invited={
                (o.tenant_id, o.document_id)
                for o in self.operations.values()
                if o.kind == "INVITE" and o.state != "FAILED" and o.document_id
            },
        )
        planned = plan(commands, known, terms(limit), MeterBook(), to_micros(NOW))
        self._write(planned.writes)
        return planned.answers

    def _write(self, writes: Writes) -> None:
        keys = [(row[0], row[2]) for row in self.events + writes.events]
        assert len(set(keys)) == len(keys), "an event's key is written twice"
        self.events += writes.events
        for key, delta in writes.counters.items():
            self.counters[key] = [a + b for a, b in zip(self.counters.get(key, [0, 0, 0, 0]), delta, strict=True)]
            assert min(self.counters[key]) >= 0
        deleted = {identity for _, identity in writes.deleted_operations}
        self.operations = {key: o for key, o in self.operations.items() if o.id not in deleted}
        for operation in writes.new_operations:
            if operation.id not in deleted:
                assert (1, operation.idempotency_key) not in self.operations
                self.operations[1, operation.idempotency_key] = operation

    @property
    def used(self) -> int:
        return self.counters.get((1, self.gate.starts_at, METER), [0, 0])[0]

    @property
    def reserved(self) -> int:
        return self.counters.get((1, self.gate.starts_at, METER), [0, 0])[1]


def reserve(
    key: str, units: int = 1, kind: OperationKind = OperationKind.UPLOAD, document: UUID | None = None
) -> Reserve:
    return Reserve(1, Intent(kind, key, {}, {METER: units}, document or uuid4()), "hash", NOW)


def commit(operation: StoredOperation, units: int | None = None) -> Commit:
    used = {METER: operation.reserved[METER] if units is None else units}
    return Commit(1, operation.id, operation.idempotency_key, NOW, NOW, used)


def release(operation: StoredOperation, refusal: SignNowRefused | None = None) -> Release:
    return Release(1, operation.id, operation.idempotency_key, NOW, NOW, refusal)


STEP = st.tuples(st.sampled_from(["reserve", "commit", "fail", "undo", "record"]), st.integers(0, 6), st.integers(1, 4))


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=60), st.integers(1, 8), st.integers(0, 12))
def test_books_stay_equal_whatever_happens(steps: list[tuple[str, int, int]], batch: int, limit: int) -> None:
    books = Books()
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
        answers = books.run(commands, limit)
        if len(commands) == 1 and isinstance(commands[0], Reserve) and isinstance(answers[0], QuotaExceeded):
            assert commands[0].intent.units[METER] > free_before, "refused although units were free"
        assert books.used == sum(row[4] for row in books.events)
        assert books.reserved == sum(
            o.reserved[METER] for o in books.operations.values() if o.state in ("RESERVED", "UNKNOWN")
        )
        by_operations = sum(row[4] for row in books.events if row[8] == "operation") + books.reserved
        assert by_operations <= limit


def test_a_limit_is_met_exactly_in_one_batch() -> None:
    books = Books()
    answers = books.run([reserve(f"k{n}") for n in range(5)], limit=3)
    assert [isinstance(answer, QuotaExceeded) for answer in answers] == [False, False, False, True, True]
    assert answers[3].used == 3
    assert answers[3].resets_at == END


def test_the_same_key_in_one_batch_is_one_operation() -> None:
    books = Books()
    (first, is_new), (second, is_new_again) = books.run([reserve("k"), reserve("k")], limit=9)
    assert (is_new, is_new_again) == (True, False)
    assert first is second
    assert books.reserved == 1


def test_a_yes_after_a_settled_no_is_counted_once() -> None:
    books = Books()
    [(operation, _)] = books.run([reserve("k")], limit=9)
    assert books.run([release(operation, SignNowRefused("unknown there"))], limit=9) == [True]
    assert (books.used, books.reserved) == (0, 0)
    assert books.run([commit(operation), commit(operation)], limit=9) == [books.account.public_id, None]
    assert (books.used, books.reserved) == (1, 0)


def test_what_was_reserved_and_not_used_is_released() -> None:
    books = Books()
    [(operation, _)] = books.run([reserve("k", units=4)], limit=9)
    books.run([commit(operation, units=1)], limit=9)
    assert (books.used, books.reserved) == (1, 0)


def test_an_undone_operation_does_not_end_the_next_one_of_its_key() -> None:
    books = Books()
    [(first, _)] = books.run([reserve("k")], limit=9)
    [_, (second, is_new)] = books.run([release(first), reserve("k")], limit=9)
    assert is_new
    assert second.id != first.id
    assert books.run([commit(first), release(first)], limit=9) == [None, False]
    assert books.reserved == 1


def test_a_document_is_invited_once() -> None:
    books, document = Books(), uuid4()
    answers = books.run([reserve(key, kind=OperationKind.INVITE, document=document) for key in "ab"], limit=9)
    assert isinstance(answers[1], Conflict)
    again = reserve("c", kind=OperationKind.INVITE, document=document)
    [_, (_, is_new)] = books.run([release(answers[0][0], SignNowRefused("no")), again], limit=9)
    assert is_new


def test_a_fact_is_counted_once_and_another_one_under_its_key_is_refused() -> None:
    books = Books()
    same, other = Fact(METER, 2, "e", NOW), Fact(METER, 3, "e", NOW)
    [[first, again, different]] = books.run([Record(1, [same, same, other], NOW)], limit=9)
    assert (first, again) == (True, False)
    assert isinstance(different, Conflict)
    assert books.used == 2


def test_a_fact_after_the_close_is_late() -> None:
    books = Books()
    books.gate.is_closed = True
    books.run([Record(1, [Fact(METER, 2, "e", NOW)], NOW)], limit=9)
    assert books.events[0][7] is True


def test_what_is_missing_is_asked_for() -> None:
    books = Books()
    later = END + timedelta(days=1)
    [need] = books.run([Record(1, [Fact(METER, 1, "a", NOW), Fact(METER, 1, "b", later)], NOW)], limit=9)
    assert need == NeedsPeriod(1, later)
    assert books.events == [], "a command is planned whole or not at all"
    books.phase.plan_id = uuid4()
    [need] = books.run([reserve("k")], limit=9)
    assert need == NeedsTerms(books.phase.plan_id)
    books.account.ended_at = to_micros(NOW)
    [refusal] = books.run([reserve("k")], limit=9)
    assert isinstance(refusal, SubscriptionInactive)
