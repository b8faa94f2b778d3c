"""The one pure function that decides what is written to the ledger.

`plan` takes commands in the order of their arrival and what is stored, and answers each command and what to write. It
does no I/O and reads no clock, so the same decisions are made on SQLite and on PostgreSQL, and a test can try them all.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, assert_never
from uuid import UUID

from inkmeter.errors import Conflict, Refused, SubscriptionInactive
from inkmeter.periods import BillingPeriod
from services.commands import Command, Commit, Fact, Missing, NeedsPeriod, NeedsTerms, Record, Release, Reserve
from services.decisions import check_may_sign, decide
from services.terms import PlanTerms
from storage.fields import from_micros, to_micros
from storage.ids import new_id, new_ids
from storage.ledger import Account, Gate, Known, StoredEvent, StoredOperation, StoredPhase, Writes
from storage.operations import OperationKind
from storage.usage import Counter

OPEN: Final = ("RESERVED", "UNKNOWN")


def plan(commands: Sequence[Command], known: Known, terms: Mapping[UUID, PlanTerms]) -> tuple[list[Any], Writes]:
    """Decide every command in order. An answer is a value, an exception to raise, or what is missing to decide."""
    planner = _Planner(known, terms)
    answers = []
    for command in commands:
        try:
            answers.append(planner.decide(command))
        except Missing as missing:
            answers.append(missing.need)
        except Exception as error:  # one command's trouble is its own: a plugin's bug, a refusal
            answers.append(error)
    return answers, planner.writes


class _Planner:
    """The state of a batch: what is known, with everything that was decided so far applied to it."""

    def __init__(self, known: Known, terms: Mapping[UUID, PlanTerms]) -> None:
        self.known, self.terms, self.writes = known, terms, Writes()

    def decide(self, command: Command) -> Any:
        match command:
            case Reserve():
                return self._reserve(command)
            case Commit():
                return self._commit(command)
            case Release():
                return self._release(command)
            case Record():
                return self._record(command)
            case unreachable:
                assert_never(unreachable)

    def _reserve(self, command: Reserve) -> tuple[StoredOperation, bool]:
        tenant_id, intent = command.tenant_id, command.intent
        existing = self.known.operations.get((tenant_id, intent.idempotency_key))
        if existing is not None:
            return existing, False
        account = self.known.accounts[tenant_id]
        now = to_micros(command.now)
        grace_until = from_micros(account.grace_until) if account.grace_until is not None else None
        check_may_sign(account.state, grace_until, command.now)
        phase = self._phase(account, now)
        terms = self._terms(phase)
        gate = self._gate(account, now)
        if intent.kind is OperationKind.INVITE and (tenant_id, intent.document_id) in self.known.invited:
            raise Conflict("the document is being sent already, or was sent", path=("documentId",))
        meters = {*intent.units, *(entry.meter for entry, _ in terms.prices)}
        counters = {meter: self._counter(tenant_id, gate, meter) for meter in meters}
        span = BillingPeriod(from_micros(gate.starts_at), from_micros(gate.ends_at))
        decision = decide(terms, phase.seats, span, counters, intent.units)
        operation = StoredOperation(
            tenant_id=tenant_id,
            id=new_id(),
            idempotency_key=intent.idempotency_key,
            kind=intent.kind,
            request=dict(intent.request),
            request_hash=command.request_hash,
            state="RESERVED",
            period_starts_at=gate.starts_at,
            reserved=dict(intent.units),
            decision={
                "reason": decision.reason,
                "price_minor": decision.price.minor,
                "currency": decision.price.currency,
            },
            document_id=intent.document_id,
            refusal=None,
            created_at=now,
        )
        self.known.operations[tenant_id, intent.idempotency_key] = operation
        if intent.kind is OperationKind.INVITE:
            self.known.invited.add((tenant_id, intent.document_id))
        self.writes.new_operations.append(operation)
        for meter, units in intent.units.items():
            self._add(tenant_id, gate.starts_at, meter, reserved=units)
        return operation, True

    def _commit(self, command: Commit) -> str | None:
        operation = self._ending(command)
        if operation is None or operation.state == "SUCCEEDED":
            return None
        tenant_id, starts_at = command.tenant_id, operation.period_starts_at
        for meter in {*operation.reserved, *command.used}:
            # A "yes" after a settled "no" has nothing reserved any more, and still counts.
            reserved = operation.reserved.get(meter, 0) if operation.state in OPEN else 0
            self._add(tenant_id, starts_at, meter, used=command.used.get(meter, 0), reserved=-reserved)
        is_late = any(g.is_closed for g in self.known.gates.get(tenant_id, ()) if g.starts_at == starts_at)
        for meter in sorted(command.used):
            self.writes.events.append(
                (
                    tenant_id,
                    str(new_id()),
                    f"op:{operation.id}:{meter}",
                    meter,
                    command.used[meter],
                    # When it was reserved: the period that it was decided in is the period that it is billed in.
                    operation.created_at,
                    to_micros(command.now),
                    is_late,
                    "operation",
                    str(operation.document_id) if operation.document_id else None,
                    command.upstream_units.get(meter, 0),
                )
            )
        self._end(operation, "SUCCEEDED", command.now, None)
        self._keep_document(command, operation)
        return self.known.accounts[tenant_id].public_id

    def _keep_document(self, command: Commit, operation: StoredOperation) -> None:
        if command.uploaded is not None:
            self.writes.documents.append(
                (
                    command.tenant_id,
                    str(operation.document_id),
                    command.uploaded.name,
                    "UPLOADED",
                    command.uploaded.signnow_document_id,
                    operation.created_at,
                )
            )
        if command.is_sent and operation.document_id is not None:
            self.writes.sent_documents.append((to_micros(command.now), command.tenant_id, operation.document_id))

    def _release(self, command: Release) -> bool:
        operation = self._ending(command)
        if operation is None or operation.state not in OPEN:
            return False
        for meter, units in operation.reserved.items():
            self._add(command.tenant_id, operation.period_starts_at, meter, reserved=-units)
        if operation.kind == OperationKind.INVITE and operation.document_id is not None:
            self.known.invited.discard((operation.tenant_id, operation.document_id))
        if command.refusal is None:
            self.writes.deleted_operations.append((operation.tenant_id, operation.id))
            del self.known.operations[operation.tenant_id, operation.idempotency_key]
        else:
            refusal = {"message": command.refusal.message, "upstream_code": command.refusal.upstream_code}
            self._end(operation, "FAILED", command.now, refusal)
        return True

    def _ending(self, command: Commit | Release) -> StoredOperation | None:
        """The command's operation; None if it was undone, also if its key stands for a later one."""
        operation = self.known.operations.get((command.tenant_id, command.idempotency_key))
        return operation if operation is not None and operation.id == command.operation_id else None

    def _end(self, operation: StoredOperation, state: str, now: datetime, refusal: dict[str, Any] | None) -> None:
        operation.state, operation.refusal = state, refusal
        self.writes.ended_operations.append((operation, to_micros(now)))

    def _record(self, command: Record) -> list[bool | Refused]:
        account = self.known.accounts[command.tenant_id]
        # Everything that is missing is asked for before anything is planned: a command is planned whole or not at all.
        moments = [to_micros(fact.occurred_at) for fact in command.facts]
        gates = {moment: self._gate_or_refusal(account, moment) for moment in set(moments)}
        return [
            self._count(command, fact, moment, gates[moment], event_id)
            for fact, moment, event_id in zip(command.facts, moments, new_ids(len(moments)), strict=True)
        ]

    def _gate_or_refusal(self, account: Account, moment: int) -> Gate | Refused:
        try:
            return self._gate(account, moment)
        except Refused as refusal:
            return refusal

    def _count(
        self, command: Record, fact: Fact, occurred_at: int, gate: Gate | Refused, event_id: str
    ) -> bool | Refused:
        key = (command.tenant_id, fact.idempotency_key)
        first = self.known.events.get(key)
        if first is not None:
            same_moment = not fact.is_moment_given or first.occurred_at == occurred_at
            if (first.meter, first.quantity) == (fact.meter, fact.quantity) and same_moment:
                return False
            return Conflict("this idempotency key was used for another event", path=("idempotencyKey",))
        if isinstance(gate, Refused):
            return gate
        self.known.events[key] = StoredEvent(fact.meter, fact.quantity, occurred_at)
        self._add(command.tenant_id, gate.starts_at, fact.meter, used=fact.quantity)
        self.writes.events.append(
            (
                command.tenant_id,
                event_id,
                fact.idempotency_key,
                fact.meter,
                fact.quantity,
                occurred_at,
                to_micros(command.now),
                gate.is_closed,
                command.source,
                str(command.document_id) if command.document_id else None,
                0,
            )
        )
        return True

    def _phase(self, account: Account, moment: int) -> StoredPhase:
        phases = self.known.phases.get(account.tenant_id, ())
        begun = [phase for phase in phases if phase.starts_at <= moment]
        if not phases or (account.ended_at is not None and moment >= account.ended_at):
            raise SubscriptionInactive("the tenant has no running subscription; call subscribeTenant first")
        return begun[-1] if begun else phases[0]

    def _terms(self, phase: StoredPhase) -> PlanTerms:
        if phase.plan_id not in self.terms:
            raise Missing(NeedsTerms(phase.plan_id))
        return self.terms[phase.plan_id]

    def _gate(self, account: Account, moment: int) -> Gate:
        for gate in self.known.gates.get(account.tenant_id, ()):
            if gate.starts_at <= moment < gate.ends_at:
                return gate
        raise Missing(NeedsPeriod(account.tenant_id, from_micros(moment)))

    def _counter(self, tenant_id: int, gate: Gate, meter: str) -> Counter:
        return Counter(*self.known.counters.get((tenant_id, gate.starts_at, meter), (0, 0)))

    def _add(self, tenant_id: int, starts_at: int, meter: str, *, used: int = 0, reserved: int = 0) -> None:
        key = (tenant_id, starts_at, meter)
        for sums in (self.known.counters.setdefault(key, [0, 0]), self.writes.counters.setdefault(key, [0, 0])):
            sums[0] += used
            sums[1] += reserved
