"""A ledger in memory: gives out what is known and takes in what is written, as the databases do, and checks itself."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson

from inkmeter.periods import BillingPeriod, Interval
from inkmeter.usage import METERS
from plugins.manager import load_plugins
from services.commands import Command, Commit, Correct, Correction, Fact, Intent, Release, Reserve
from services.ledger import plan
from services.measures import MeterBook
from services.terms import PlanTerms
from storage.fields import to_micros
from storage.ledger import (
    CREDITED,
    PLEDGED,
    RESERVED,
    USED,
    Account,
    Gate,
    Known,
    Spent,
    StoredDocument,
    StoredEvent,
    StoredGrant,
    StoredOperation,
    StoredPhase,
    Writes,
)
from storage.ledger_tables import in_order
from storage.operations import OperationKind
from storage.plans import LimitPolicy, Plan, Price, Quota

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
PLAN_ID = uuid4()
METER = "documents_created"
MODEL = load_plugins(blocked=("event-log",)).billing_models.get("per-document")


def terms(limit: int, policy: LimitPolicy = LimitPolicy.HARD, plan_id: UUID = PLAN_ID, **quota: Any) -> PlanTerms:
    """A plan with one price, 2.00 for each document, and one quota; `successor_id` among `quota` is the plan's."""
    successor_id = quota.pop("successor_id", None)
    row = Plan(
        id=plan_id,
        code=f"p-{limit}",
        version=1,
        name="P",
        currency="USD",
        interval=Interval.MONTH,
        content_hash="",
        successor_id=successor_id,
        created_at=NOW,
    )
    price = Price(plan_id=plan_id, position=0, meter=METER, model="per-document", config={"unitPrice": "2.00"})
    limits = Quota(plan_id=plan_id, meter=METER, units=limit, policy=policy, **quota)
    prices = ((price, MODEL.configure({"unitPrice": "2.00"})),)
    return PlanTerms(row, prices, {METER: limits}, {METER: METERS[METER]})


def span() -> BillingPeriod:
    """The period of the books."""
    return BillingPeriod(START, END)


class Books:
    """One tenant, one period, one meter."""

    def __init__(self, *plans: PlanTerms) -> None:
        self.plans = {plan.plan.id: plan for plan in plans}
        self.account = Account(1, str(uuid4()), "ACTIVE", None, uuid4(), None)
        self.gate = Gate(uuid4(), to_micros(START), to_micros(END), False, self.account.subscription_id)
        self.phases = [StoredPhase(uuid4(), to_micros(START), plans[0].plan.id, 1)] if plans else []
        self.operations: dict[tuple[int, str], StoredOperation] = {}
        self.events: list[tuple[Any, ...]] = []
        self.counters: dict[tuple[int, int, str], list[int]] = {}
        self.grants: dict[UUID, StoredGrant] = {}
        self.entries: list[tuple[Any, ...]] = []
        self.charges: list[tuple[Any, ...]] = []
        self.alerts: list[tuple[Any, ...]] = []

    def run(self, *commands: Command, now: datetime = NOW) -> list[Any]:
        """Plan and write one batch; the answers."""
        planned = plan(commands, self._known(), self.plans, MeterBook(), to_micros(now))
        self._write(planned.writes)
        self.check()
        return planned.answers

    def _known(self) -> Known:
        reversed_ids = {row[12] for row in self.events if row[12]}
        events = {
            (row[0], row[2]): StoredEvent(
                row[3],
                row[4],
                row[5],
                orjson.loads(row[11]) if row[11] else None,
                UUID(row[1]),
                UUID(row[12]) if row[12] else None,
                row[1] in reversed_ids,
            )
            for row in self.events
        }
        auto = [row for row in self.charges if row[3] == "AUTO_TOP_UP"]
        key = (1, self.gate.starts_at, METER)
        return Known(
            accounts={1: self.account},
            phases={1: [replace(phase) for phase in self.phases]},
            gates={1: [self.gate]},
            counters={key: list(sums) for key, sums in self.counters.items()},
            operations=dict(self.operations),
            events=events,
            documents=self._documents(),
            grants=sorted((replace(grant) for grant in self.grants.values()), key=in_order),
            consumed={key: self._consumed()},
            bought={key: Spent(len(auto), sum(row[7] for row in auto))},
        )

    def _documents(self) -> dict[tuple[int, UUID], StoredDocument]:
        """Every document exists; what was done with it, the operations say."""
        documents: dict[tuple[int, UUID], StoredDocument] = defaultdict(lambda: StoredDocument("UPLOADED"))
        for operation in self.operations.values():
            if operation.kind == "INVITE" and operation.document_id is not None:
                document = documents[operation.tenant_id, operation.document_id]
                document.is_busy |= operation.state in ("RESERVED", "UNKNOWN")
                document.state = "SENT" if operation.state == "SUCCEEDED" else document.state
        return documents

    def _consumed(self) -> list[tuple[UUID, int]]:
        sums: Counter[UUID] = Counter()
        for row in self.entries:
            if row[3 + 1] in ("CONSUMED", "RETURNED"):
                sums[UUID(row[2])] -= row[5]
        return [(grant, units) for grant, units in reversed(sums.items()) if units]

    def _write(self, writes: Writes) -> None:
        keys = [(row[0], row[2]) for row in self.events + writes.events]
        assert len(set(keys)) == len(keys), "an event's key is written twice"
        self.events += writes.events
        for key, delta in writes.counters.items():
            before = self.counters.get(key, [0, 0, 0, 0])
            self.counters[key] = [a + b for a, b in zip(before, delta, strict=True)]
        deleted = {identity for _, identity in writes.deleted_operations}
        self.operations = {key: o for key, o in self.operations.items() if o.id not in deleted}
        for operation in writes.new_operations:
            if operation.id not in deleted:
                assert (1, operation.idempotency_key) not in self.operations
                self.operations[1, operation.idempotency_key] = operation
        for (_, grant_id), units in writes.drawn.items():
            self.grants[grant_id].remaining += units
        self.grants.update({grant.id: replace(grant) for grant in writes.grants})
        self.entries += writes.credit_entries
        self.charges += writes.charges
        self.phases += [StoredPhase(UUID(row[1]), row[3], UUID(row[4]), row[5], row[6]) for row in writes.phases]
        self.alerts += writes.alerts

    def check(self) -> None:
        """The books agree: events, operations, credits."""
        used, reserved, credited, pledged = self.sums
        assert min(used, reserved, credited, pledged) >= 0
        assert used == sum(row[4] for row in self.events)
        open_operations = [o for o in self.operations.values() if o.state in ("RESERVED", "UNKNOWN")]
        assert reserved == sum(o.reserved[METER] for o in open_operations)
        assert credited == -sum(row[5] for row in self.entries if row[4] in ("CONSUMED", "RETURNED"))
        left = Counter({grant.id: 0 for grant in self.grants.values()})
        for row in self.entries:
            left[UUID(row[2])] += row[5]
        assert left == {grant.id: grant.remaining for grant in self.grants.values()}
        assert all(0 <= grant.remaining <= grant.units for grant in self.grants.values())
        assert pledged <= min(reserved, sum(grant.remaining for grant in self.grants.values()))

    @property
    def sums(self) -> list[int]:
        return self.counters.get((1, self.gate.starts_at, METER), [0, 0, 0, 0])

    @property
    def used(self) -> int:
        return self.sums[USED]

    @property
    def reserved(self) -> int:
        return self.sums[RESERVED]

    @property
    def credited(self) -> int:
        return self.sums[CREDITED]

    @property
    def pledged(self) -> int:
        return self.sums[PLEDGED]


def reserve(
    key: str, units: int = 1, kind: OperationKind = OperationKind.UPLOAD, document: UUID | None = None
) -> Reserve:
    return Reserve(1, Intent(kind, key, {}, {METER: units}, document or uuid4()), "hash", NOW)


def commit(operation: StoredOperation, units: int | None = None) -> Commit:
    used = {METER: operation.reserved[METER] if units is None else units}
    return Commit(1, operation.id, operation.idempotency_key, NOW, NOW, used)


def release(operation: StoredOperation, refusal: Any = None) -> Release:
    return Release(1, operation.id, operation.idempotency_key, NOW, NOW, refusal)


def take_back(key: str, quantity: int, correction: str, instead: int | None = None) -> Correct:
    return Correct(1, [Correction(Fact(METER, quantity, key, NOW), correction, instead)], NOW)
