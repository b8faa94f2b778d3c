"""The ledger's tables: their columns, the statements that both databases share, and rows into values and back."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import orjson

from storage.ledger import Account, Gate, Known, StoredEvent, StoredOperation, StoredPhase

# Columns in the order in which rows are written, with their types on PostgreSQL.
EVENT: Final = {
    "tenant_id": "bigint",
    "id": "uuid",
    "idempotency_key": "text",
    "meter": "text",
    "quantity": "bigint",
    "occurred_at": "bigint",
    "recorded_at": "bigint",
    "is_late": "boolean",
    "source": "text",
    "document_id": "uuid",
    "upstream_units": "bigint",
}
OPERATION: Final = {
    "tenant_id": "bigint",
    "id": "uuid",
    "idempotency_key": "text",
    "kind": "text",
    "request": "text",
    "request_hash": "text",
    "state": "text",
    "period_starts_at": "bigint",
    "reserved": "text",
    "decision": "text",
    "document_id": "uuid",
    "refusal": "text",
    "created_at": "bigint",
    "ended_at": "bigint",
}
DOCUMENT: Final = {
    "tenant_id": "bigint",
    "id": "uuid",
    "name": "text",
    "state": "text",
    "signnow_document_id": "text",
    "created_at": "bigint",
}
COUNTER: Final = {
    "tenant_id": "bigint",
    "period_starts_at": "bigint",
    "meter": "text",
    "used": "bigint",
    "reserved": "bigint",
}
ACCOUNTS: Final = (
    "SELECT t.id, t.public_id, t.state, t.grace_until, s.id, s.ended_at "
    "FROM tenant t LEFT JOIN subscription s ON s.tenant_id = t.id AND s.state = 'ACTIVE' WHERE "
)
PHASES: Final = (
    "SELECT p.tenant_id, p.id, p.starts_at, p.plan_id, p.seats FROM phase p "
    "JOIN subscription s ON s.tenant_id = p.tenant_id AND s.id = p.subscription_id AND s.state = 'ACTIVE' WHERE "
)
IN_ORDER: Final = " ORDER BY p.tenant_id, p.starts_at, p.id"
GATES: Final = "SELECT p.tenant_id, p.id, p.starts_at, p.ends_at, p.state = 'CLOSED' FROM billing_period p "
COUNTERS: Final = "SELECT tenant_id, period_starts_at, meter, used, reserved FROM usage_counter WHERE "
OPERATIONS: Final = f"SELECT {', '.join(OPERATION)} FROM operation WHERE "
EVENTS: Final = "SELECT tenant_id, idempotency_key, meter, quantity, occurred_at FROM usage_event WHERE "
INVITED: Final = "SELECT tenant_id, document_id FROM operation WHERE kind = 'INVITE' AND state <> 'FAILED' AND "
ADD_COUNTERS: Final = (
    "ON CONFLICT (tenant_id, period_starts_at, meter) DO UPDATE "
    "SET used = usage_counter.used + excluded.used, reserved = usage_counter.reserved + excluded.reserved"
)
END_OPERATION: Final = (
    "UPDATE operation SET state = {0}, ended_at = {1}, refusal = {2} WHERE tenant_id = {3} AND id = {4}"
)
SEND_DOCUMENT: Final = (
    "UPDATE document SET state = 'SENT', sent_at = {0} WHERE tenant_id = {1} AND id = {2} AND state = 'UPLOADED'"
)


def _uuid(value: Any) -> Any:
    return UUID(str(value)) if value is not None else None


def read_known(
    accounts: Iterable[Sequence[Any]],
    phases: Iterable[Sequence[Any]],
    gates: Iterable[Sequence[Any]],
    counters: Iterable[Sequence[Any]],
    operations: Iterable[Sequence[Any]],
    events: Iterable[Sequence[Any]],
    invited: Iterable[Sequence[Any]],
) -> Known:
    """Make values of the rows that the ledger's queries answer, each in the order of its query's columns."""
    known = Known()
    for tenant_id, public_id, state, grace_until, subscription, ended_at in accounts:
        known.accounts[tenant_id] = Account(
            tenant_id, str(public_id), state, grace_until, _uuid(subscription), ended_at
        )
    for tenant_id, key, starts_at, plan, seats in phases:
        known.phases.setdefault(tenant_id, []).append(StoredPhase(_uuid(key), starts_at, _uuid(plan), seats))
    for tenant_id, key, starts_at, ends_at, is_closed in gates:
        known.gates.setdefault(tenant_id, []).append(Gate(_uuid(key), starts_at, ends_at, bool(is_closed)))
    for tenant_id, starts_at, meter, used, reserved in counters:
        known.counters[tenant_id, starts_at, meter] = [used, reserved]
    for values in operations:
        row = dict(zip(OPERATION, values, strict=True))
        row["id"], row["document_id"] = _uuid(row["id"]), _uuid(row["document_id"])
        for name in ("request", "reserved", "decision", "refusal"):
            row[name] = orjson.loads(row[name]) if row[name] is not None else None
        known.operations[row["tenant_id"], row["idempotency_key"]] = StoredOperation(**row)
    for tenant_id, key, meter, quantity, occurred_at in events:
        known.events[tenant_id, key] = StoredEvent(meter, quantity, occurred_at)
    known.invited = {(tenant_id, _uuid(document_id)) for tenant_id, document_id in invited}
    return known


def operation_row(operation: StoredOperation) -> tuple[Any, ...]:
    """An operation's values in the order of `OPERATION`, as both databases take them."""

    def text(value: Any) -> str | None:
        return orjson.dumps(value).decode() if value is not None else None

    return (
        operation.tenant_id,
        str(operation.id),
        operation.idempotency_key,
        operation.kind,
        text(operation.request),
        operation.request_hash,
        operation.state,
        operation.period_starts_at,
        text(operation.reserved),
        text(operation.decision),
        str(operation.document_id) if operation.document_id else None,
        text(operation.refusal),
        operation.created_at,
        operation.ended_at,
    )


def ended_row(operation: StoredOperation, ended_at: int) -> tuple[Any, ...]:
    """The parameters of END_OPERATION."""
    refusal = orjson.dumps(operation.refusal).decode() if operation.refusal is not None else None
    return operation.state, ended_at, refusal, operation.tenant_id, str(operation.id)
