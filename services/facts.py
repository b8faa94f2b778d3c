"""Facts inside a batch: recorded once per key, and taken back by events that reverse them."""

from collections.abc import Mapping
from uuid import UUID

from inkmeter.errors import Conflict, NotFound, Refused
from services.batch import Batch
from services.commands import NO_PROPERTIES, Correct, Correction, Fact, Record, keys_of
from services.counting import count
from storage.fields import to_micros
from storage.ids import new_ids
from storage.ledger import Account, Gate, StoredEvent


def record(batch: Batch, command: Record) -> list[bool | Refused]:
    """Count facts. Everything that is missing is asked for first: a command is planned whole or not at all."""
    account = batch.known.accounts[command.tenant_id]
    moments = [to_micros(fact.occurred_at) for fact in command.facts]
    gates = {moment: _gate(batch, account, moment) for moment in set(moments)}
    batch.require_meters()
    recorder = _Recorder(batch, command, account)
    for gate in gates.values():
        if isinstance(gate, Gate):
            batch.terms_of(account, gate)
    answers = [
        recorder.record(fact, moment, gates[moment], event_id)
        for fact, moment, event_id in zip(command.facts, moments, new_ids(len(moments)), strict=True)
    ]
    recorder.count_plain()
    return answers


class _Recorder:
    """Records the facts of one command. There may be thousands: what most of them need is done once for all."""

    def __init__(self, batch: Batch, command: Record, account: Account) -> None:
        self.batch, self.command, self.account = batch, command, account
        self.document_id = str(command.document_id) if command.document_id else None
        self.gates: dict[int, Gate] = {}
        self.plain: dict[tuple[int, str], int] = {}
        """Sums by start of the period and meter, where nothing hangs on the single event."""
        self.special: set[tuple[int, str]] = set()

    def record(self, fact: Fact, moment: int, gate: Gate | Refused, event_id: str) -> bool | Refused:
        batch, command = self.batch, self.command
        key = (command.tenant_id, fact.idempotency_key)
        if (first := batch.known.events.get(key)) is not None:
            return _again(first.meter, first.quantity, first.occurred_at, first.properties, fact, moment)
        if (seen := batch.seen.get(key)) is not None:
            return _again(seen.meter, seen.quantity, to_micros(seen.occurred_at), seen.properties, fact, moment)
        if isinstance(gate, Refused):
            return gate
        batch.seen[key] = fact
        properties = fact.properties
        batch.writes.events.append(
            (
                command.tenant_id,
                event_id,
                fact.idempotency_key,
                fact.meter,
                fact.quantity,
                moment,
                batch.now,
                gate.is_closed,
                command.source,
                self.document_id,
                0,
                batch.text(properties) if properties else None,
                None,
                None,
                None,
            )
        )
        counter = (gate.starts_at, fact.meter)
        if counter in self.plain:
            self.plain[counter] += fact.quantity
        elif counter not in self.special and self._is_plain(gate, fact.meter):
            self.gates[gate.starts_at] = gate
            self.plain[counter] = fact.quantity
        else:  # each unit that a credit pays for is linked to its event
            self.special.add(counter)
            count(batch, self.account, gate, fact.meter, fact.quantity, properties, event_id)
        return True

    def _is_plain(self, gate: Gate, meter: str) -> bool:
        return self.batch.meters.is_plain(meter) and not self.batch.is_credited(self.account, gate, meter)

    def count_plain(self) -> None:
        for (starts_at, meter), quantity in self.plain.items():
            count(self.batch, self.account, self.gates[starts_at], meter, quantity, NO_PROPERTIES, None)


def _again(
    meter: str,
    quantity: int,
    occurred_at: int,
    properties: Mapping[str, str] | None,
    fact: Fact,
    moment: int,
) -> bool | Refused:
    """The key is known: False if it stands for the same fact."""
    is_same = (meter, quantity, dict(properties or {})) == (fact.meter, fact.quantity, dict(fact.properties))
    if is_same and (occurred_at == moment or not fact.is_moment_given):
        return False
    return Conflict("this idempotency key was used for another event", path=("idempotencyKey",))


def _gate(batch: Batch, account: Account, moment: int) -> Gate | Refused:
    try:
        return batch.gate(account, moment)
    except Refused as refusal:
        return refusal


def correct(batch: Batch, command: Correct) -> list[bool | Refused]:
    """Take events back, each once, and put others in their place."""
    account = batch.known.accounts[command.tenant_id]
    moments = {to_micros(correction.original.occurred_at) for correction in command.corrections}
    gates = {moment: batch.gate(account, moment) for moment in moments}
    batch.require_meters()
    for gate in gates.values():
        batch.terms_of(account, gate)
    answers: list[bool | Refused] = []
    for correction in command.corrections:
        try:
            answers.append(_correct(batch, account, gates[to_micros(correction.original.occurred_at)], correction))
        except Refused as refusal:
            answers.append(refusal)
    return answers


def _correct(batch: Batch, account: Account, gate: Gate, correction: Correction) -> bool:
    tenant_id, known = account.tenant_id, batch.known.events
    was = known.get((tenant_id, correction.original.idempotency_key))
    if was is None or was.id is None or was.occurred_at != to_micros(correction.original.occurred_at):
        raise NotFound("no such event", path=("eventKey",))
    properties = (was.properties or {}) if correction.properties is None else dict(correction.properties)
    reversal_key, replacement_key = keys_of(correction)
    reversal = known.get((tenant_id, reversal_key))
    if reversal is not None:
        _require_same(reversal, known.get((tenant_id, replacement_key)), was.id, correction.quantity, properties)
        return False
    if was.reverses is not None:
        raise Conflict("it is a correction itself; correct what it replaced the event with", path=("eventKey",))
    if was.is_reversed:
        raise Conflict("it was corrected already; correct its replacement instead", path=("eventKey",))
    _write(batch, account, gate, reversal_key, was, -was.quantity, was.properties or {}, correction.note, was.id)
    was.is_reversed = True
    if correction.quantity:
        _write(batch, account, gate, replacement_key, was, correction.quantity, properties, correction.note)
    return True


def _write(
    batch: Batch,
    account: Account,
    gate: Gate,
    key: str,
    was: StoredEvent,
    quantity: int,
    properties: Mapping[str, str],
    note: str | None,
    reverses: UUID | None = None,
) -> None:
    event_id = batch.event(
        account.tenant_id,
        key,
        was.meter,
        quantity,
        occurred_at=was.occurred_at,
        is_late=gate.is_closed,
        source="correction",
        properties=properties,
        reverses=reverses,
        note=note,
    )
    stored = StoredEvent(was.meter, quantity, was.occurred_at, dict(properties), UUID(event_id), reverses)
    batch.known.events[account.tenant_id, key] = stored
    sign = 1 if reverses is None else -1
    count(batch, account, gate, was.meter, abs(quantity), properties, event_id, sign=sign)


def _require_same(
    reversal: StoredEvent,
    replacement: StoredEvent | None,
    event_id: UUID,
    quantity: int | None,
    properties: Mapping[str, str],
) -> None:
    """The same key again must ask for the same correction."""
    is_same = reversal.reverses == event_id and (replacement is None) == (not quantity)
    if replacement is not None:
        is_same = is_same and (replacement.quantity, replacement.properties or {}) == (quantity, properties)
    if not is_same:
        raise Conflict("this idempotency key was used for another correction", path=("idempotencyKey",))
