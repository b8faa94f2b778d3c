"""The one pure function that decides what is written to the ledger.

`plan` takes commands in the order of their arrival and what is stored, and answers each command and what to write. It
does no I/O and reads no clock, so the same decisions are made on SQLite and on PostgreSQL, and a test can try them all.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, assert_never
from uuid import UUID

from inkmeter.errors import InkmeterError, TopUpRequired
from inkmeter.events import Event
from services import alerting, crediting, document_changes, ordering
from services.batch import Batch, span_of
from services.commands import (
    Command,
    Commit,
    Correct,
    GrantCredits,
    Missing,
    Record,
    Release,
    Reserve,
    RestoreCredits,
    TakeCredits,
)
from services.counting import change, deltas, fed
from services.decisions import Decision, check_may_sign, check_not_paused, decide
from services.facts import correct, record
from services.measures import MeterBook
from services.plainly_included import Included
from services.terms import PlanTerms
from services.upgrading import upgrade
from storage.documents import DocumentState
from storage.fields import from_micros, to_micros
from storage.ids import new_id
from storage.ledger import RESERVED, USED, Account, Gate, Known, StoredOperation, StoredPhase, Writes

log = logging.getLogger("inkmeter.ledger")

OPEN: Final = ("RESERVED", "UNKNOWN")


def plan(
    commands: Sequence[Command],
    known: Known,
    terms: Mapping[UUID, PlanTerms],
    meters: MeterBook,
    now: int,
) -> "Planned":
    """Decide every command in order, at `now` (µs). An answer is a value, an exception to raise, or what is missing.

    Raises HalfDone; then nothing may be written.
    """
    batch = Batch(known, terms, meters, now)
    planner = _Planner(batch)
    answers: list[Any] = []
    for command in commands:
        before = batch.size()
        try:
            answers.append(planner.decide(command))
            continue
        except Missing as missing:
            answer: Any = missing.need
        except Exception as error:  # one command's trouble is its own: a plugin's bug, a refusal
            answer = error
        if batch.size() != before:
            raise HalfDone(answer)
        answers.append(answer)
    try:
        alerting.budgets_spent(batch)
    except InkmeterError:  # a billing model that breaks stops the close; it must not stop counting
        log.exception("budgets cannot be checked")
    return Planned(answers, batch)


class HalfDone(Exception):
    """A command failed after it had changed the batch: an event without its counter must never be stored.

    `answer` is what the command is answered, if nothing of it is written.
    """

    def __init__(self, answer: Any) -> None:
        super().__init__(answer)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Planned:
    """The answers in the order of the commands, and the batch with what is to be written."""

    answers: list[Any]
    batch: Batch

    @property
    def writes(self) -> Writes:
        return self.batch.writes

    def news(self) -> list[Event]:
        """What to tell the plugins, after the commit."""
        fired = self.batch.alert_news
        return [*self.batch.news, *(fired[alert_id] for alert_id in fired if alert_id in self.writes.fired)]


class _Planner:
    def __init__(self, batch: Batch) -> None:
        self.batch, self.known, self.writes = batch, batch.known, batch.writes
        self.included = Included()

    def decide(self, command: Command) -> Any:
        match command:
            case Reserve():
                return self._reserve(command)
            case Commit():
                return self._commit(command)
            case Release():
                return self._release(command)
            case Record():
                return record(self.batch, command)
            case Correct():
                return correct(self.batch, command)
            case GrantCredits():
                return crediting.grant_credits(self.batch, command)
            case TakeCredits():
                return crediting.take_credits(self.batch, command)
            case RestoreCredits():
                return crediting.restore_credits(self.batch, command)
            case unreachable:
                assert_never(unreachable)

    def _reserve(self, command: Reserve) -> tuple[StoredOperation, bool]:
        batch, tenant_id, intent = self.batch, command.tenant_id, command.intent
        existing = self.known.operations.get((tenant_id, intent.idempotency_key))
        if existing is not None:
            return existing, False
        account = self.known.accounts[tenant_id]
        now = to_micros(command.now)
        grace_until = from_micros(account.grace_until) if account.grace_until is not None else None
        check_may_sign(account.state, grace_until, command.now)
        phase = batch.phase(account, now)
        check_not_paused(phase.is_paused)
        gate = batch.gate(account, now)
        batch.require_meters()
        batch.terms_of(account, gate)  # they may have changed since the call began
        document_changes.begin_change(self.known, tenant_id, intent)
        units = dict(fed(batch, intent.units))
        decision = self._decide(account, gate, phase, units, now)
        operation = StoredOperation(
            tenant_id=tenant_id,
            id=new_id(),
            idempotency_key=intent.idempotency_key,
            kind=intent.kind,
            request=dict(intent.request),
            request_hash=command.request_hash,
            state="RESERVED",
            period_starts_at=gate.starts_at,
            reserved=units,
            decision=decision.stored(),
            document_id=intent.document_id,
            refusal=None,
            created_at=now,
        )
        self.known.operations[tenant_id, intent.idempotency_key] = operation
        if (document := document_changes.change_of(self.known, operation)) is not None:
            document.is_busy = True
        self.writes.new_operations.append(operation)
        for meter, amount in units.items():
            change(batch, account, gate, meter, None, now, reserved=amount)
        return operation, True

    def _decide(self, account: Account, gate: Gate, phase: StoredPhase, units: Mapping[str, int], now: int) -> Decision:
        batch = self.batch
        terms, seats = batch.load(phase.plan_id), batch.seats(account, gate)

        def taken(meter: str) -> int:
            sums = batch.sums(account.tenant_id, gate.starts_at, meter)
            return sums[USED] + sums[RESERVED]

        if (included := self.included.decision(terms, seats, taken, units)) is not None:
            return included
        standings = {
            meter: crediting.standing(batch, account, gate, meter, now)
            for meter in {*units, *(entry.meter for entry, _ in terms.prices)}
        }
        ordering.place_orders(batch, account, gate, terms, standings, units)
        try:
            decision = decide(terms, seats, span_of(gate), standings, units, batch.load)
        except TopUpRequired as refusal:
            raise ordering.naming_order(batch, account, refusal) from None
        if decision.terms is not terms:
            upgrade(batch, account, phase, terms, decision, now)
        for meter, purchase in decision.purchases.items():
            crediting.buy(batch, account, gate, meter, purchase)
        return decision

    def _commit(self, command: Commit) -> str | None:
        operation = self._ending(command)
        if operation is None or operation.state == "SUCCEEDED":
            return None
        batch, account = self.batch, self.known.accounts[command.tenant_id]
        gate = self._gate_of(operation)
        batch.require_meters()
        batch.terms_of(account, gate)
        # A "yes" after a settled "no" has nothing reserved any more, and still counts.
        reserved = operation.reserved if operation.state in OPEN else {}
        used: dict[str, tuple[int, str | None]] = dict.fromkeys(reserved, (0, None))
        for meter in sorted(command.used):
            event = batch.event(
                command.tenant_id,
                f"op:{operation.id}:{meter}",
                meter,
                command.used[meter],
                # When it was reserved: the period that it was decided in is the period that it is billed in.
                occurred_at=operation.created_at,
                is_late=gate.is_closed,
                source="operation",
                document_id=operation.document_id,
                upstream_units=command.upstream_units.get(meter, 0),
                upstream_kind=command.upstream_kind if meter in command.upstream_units else None,
            )
            for code, amount in deltas(batch, command.tenant_id, gate, meter, command.used[meter]):
                used[code] = (used.get(code, (0, None))[0] + amount, event)
        for meter, (amount, event_id) in used.items():
            held, promised = reserved.get(meter, 0), operation.decision.get("credits", {}).get(meter, 0)
            moment = operation.created_at
            change(batch, account, gate, meter, event_id, moment, used=amount, reserved=-held, promised=promised)
        self._end(operation, "SUCCEEDED", command.now, None)
        self._let_others_change(operation)
        self._keep_document(command, operation)
        return account.public_id

    def _gate_of(self, operation: StoredOperation) -> Gate:
        gates = self.known.gates.get(operation.tenant_id, ())
        return next(gate for gate in gates if gate.starts_at == operation.period_starts_at)

    def _keep_document(self, command: Commit, operation: StoredOperation) -> None:
        if command.uploaded is not None:
            self.writes.documents.append(
                (
                    command.tenant_id,
                    str(operation.document_id),
                    command.uploaded.name,
                    command.uploaded.state,
                    command.uploaded.signnow_document_id,
                    operation.created_at,
                    str(operation.document_id) if command.uploaded.is_group else None,
                )
            )
        if command.becomes is not None and operation.document_id is not None:
            sent_at = to_micros(command.now) if command.becomes is DocumentState.SENT else None
            self.writes.changed_documents.append((command.becomes, sent_at, command.tenant_id, operation.document_id))
            if (document := document_changes.change_of(self.known, operation)) is not None:
                document.state = command.becomes

    def _release(self, command: Release) -> bool:
        operation = self._ending(command)
        if operation is None or operation.state not in OPEN:
            return False
        account, gate = self.known.accounts[command.tenant_id], self._gate_of(operation)
        self.batch.terms_of(account, gate)
        for meter, units in operation.reserved.items():
            change(self.batch, account, gate, meter, None, operation.created_at, reserved=-units)
        self._let_others_change(operation)
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

    def _let_others_change(self, operation: StoredOperation) -> None:
        if (document := document_changes.change_of(self.known, operation)) is not None:
            document.is_busy = False

    def _end(self, operation: StoredOperation, state: str, now: datetime, refusal: dict[str, Any] | None) -> None:
        operation.state, operation.refusal = state, refusal
        self.writes.ended_operations.append((operation, to_micros(now)))
