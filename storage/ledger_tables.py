"""Rows of the ledger's tables into values and back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from storage import ledger_queries as queries
from storage.ids import read_id
from storage.ledger import (
    Account,
    Gate,
    Known,
    Spent,
    StoredDocument,
    StoredEvent,
    StoredGrant,
    StoredOperation,
    StoredOrder,
    StoredPhase,
    Wanted,
)
from storage.ledger_columns import OPERATION
from storage.ledger_queries import Query

GATE: Final = "p.tenant_id, p.id, p.starts_at, p.ends_at, p.state = 'CLOSED', p.subscription_id"
CHANGE_DOCUMENT: Final = (
    "UPDATE document SET state = {0}, sent_at = coalesce({1}, sent_at) WHERE tenant_id = {2} AND id = {3} "
    "AND (state NOT IN ('COMPLETED', 'DELETED') OR {0} = 'DELETED')"
)
END_OPERATION: Final = (
    "UPDATE operation SET state = {0}, ended_at = {1}, refusal = {2} WHERE tenant_id = {3} AND id = {4}"
)

Rows = Iterable[Sequence[Any]]


def _uuid(value: Any) -> Any:
    return read_id(value) if type(value) is str else value


def keys_of(wanted: Wanted, gates: Mapping[int, Sequence[Gate]]) -> dict[str, tuple[Query, list[tuple[Any, ...]]]]:
    """What to ask, by name: each query with its keys; one without keys need not be asked."""
    tenants = [(tenant_id,) for tenant_id in sorted(wanted.moments)]
    periods = [(tenant_id, gate.starts_at) for tenant_id, found in gates.items() for gate in found]

    def within(keys: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Each key in every period of its tenant."""
        return [(key[0], gate.starts_at, *key[1:]) for key in dict.fromkeys(keys) for gate in gates.get(key[0], ())]

    return {
        "accounts": (queries.ACCOUNTS, tenants),
        "phases": (queries.PHASES, tenants),
        "counters": (queries.COUNTERS, periods),
        "pledges": (queries.PLEDGES, tenants),
        "operations": (queries.OPERATIONS, wanted.operations),
        "events": (queries.EVENTS, wanted.events),
        "documents": (queries.DOCUMENTS, [(tenant_id, str(document)) for tenant_id, document in wanted.documents]),
        "values": (queries.VALUES, within(wanted.values)),
        "all_values": (queries.ALL_VALUES, within(wanted.all_values)),
        "open_grants": (queries.OPEN_GRANTS, tenants),
        "grants_by_key": (queries.GRANTS_BY_KEY, wanted.grants),
        "grants_by_id": (queries.GRANTS_BY_ID, [(tenant_id, str(key)) for tenant_id, key in wanted.taken_grants]),
        "taken": (queries.TAKEN, wanted.taken),
        "consumed": (queries.CONSUMED, periods if wanted.is_reversing else []),
        "bought": (queries.BOUGHT, periods),
        "orders": (queries.ORDERS, tenants),
    }


def read_gates(rows: Rows) -> dict[int, list[Gate]]:
    """The billing periods by tenant, of rows with the columns `GATE`."""
    gates: dict[int, list[Gate]] = {}
    for tenant_id, key, starts_at, ends_at, is_closed, subscription_id in rows:
        gates.setdefault(tenant_id, []).append(
            Gate(_uuid(key), starts_at, ends_at, bool(is_closed), _uuid(subscription_id))
        )
    return gates


def read_known(gates: dict[int, list[Gate]], found: Mapping[str, Rows], meter_count: int) -> Known:
    """Make values of the rows that the queries of `keys_of` answer."""
    known = Known(gates=gates, meter_count=meter_count)
    for tenant_id, public_id, state, grace, subscription, ended_at, budget, alerts_at in found["accounts"]:
        known.accounts[tenant_id] = Account(
            tenant_id,
            str(public_id),
            state,
            grace,
            _uuid(subscription),
            ended_at,
            budget,
            tuple(orjson.loads(alerts_at)) if budget is not None else (),
        )
    for tenant_id, key, starts_at, plan, seats, reason, is_paused in found["phases"]:
        phase = StoredPhase(_uuid(key), starts_at, _uuid(plan), seats, reason, bool(is_paused))
        known.phases.setdefault(tenant_id, []).append(phase)
    for tenant_id, starts_at, meter, *sums in (*found["counters"], *found["pledges"]):
        known.counters[tenant_id, starts_at, meter] = sums
    for values in found["operations"]:
        row = dict(zip(OPERATION, values, strict=True))
        row["id"], row["document_id"] = _uuid(row["id"]), _uuid(row["document_id"])
        for name in ("request", "reserved", "decision", "refusal"):
            row[name] = orjson.loads(row[name]) if row[name] is not None else None
        known.operations[row["tenant_id"], row["idempotency_key"]] = StoredOperation(**row)
    for tenant_id, key, meter, quantity, occurred_at, properties, event_id, reverses, is_reversed in found["events"]:
        known.events[tenant_id, key] = StoredEvent(
            meter,
            quantity,
            occurred_at,
            orjson.loads(properties) if properties is not None else None,
            _uuid(event_id),
            _uuid(reverses),
            bool(is_reversed),
        )
    for tenant_id, document_id, state, is_busy in found["documents"]:
        known.documents[tenant_id, _uuid(document_id)] = StoredDocument(state, bool(is_busy))
    for tenant_id, starts_at, meter, value, events in (*found["values"], *found["all_values"]):
        known.values[tenant_id, starts_at, meter, value] = events
    _read_credits(known, found)
    return known


def _read_credits(known: Known, found: Mapping[str, Rows]) -> None:
    grants = {}
    for values in (*found["open_grants"], *found["grants_by_key"], *found["grants_by_id"]):
        grant = StoredGrant(*values)
        grant.id = _uuid(grant.id)
        grants[grant.tenant_id, grant.id] = grant
    known.grants = sorted(grants.values(), key=in_order)
    known.taken = {(tenant_id, note) for tenant_id, note in found["taken"]}
    for tenant_id, starts_at, meter, grant_id, units in found["consumed"]:
        if units:
            known.consumed.setdefault((tenant_id, starts_at, meter), []).append((_uuid(grant_id), int(units)))
    for tenant_id, starts_at, meter, times, amount in found["bought"]:
        known.bought[tenant_id, starts_at, meter] = Spent(int(times), int(amount))
    for tenant_id, order_id, *rest in found["orders"]:
        known.orders.append(StoredOrder(tenant_id, _uuid(order_id), *rest))


def in_order(grant: StoredGrant) -> tuple[Any, ...]:
    """Which grant is consumed first: the lower priority, then the one that expires first, then the older one."""
    never = grant.expires_at is None
    return grant.priority, never, grant.expires_at or 0, grant.created_at, grant.id


def _text(value: Any) -> str | None:
    return orjson.dumps(value).decode() if value is not None else None


def operation_row(operation: StoredOperation) -> tuple[Any, ...]:
    """An operation's values in the order of its columns, as both databases take them."""
    return (
        operation.tenant_id,
        str(operation.id),
        operation.idempotency_key,
        operation.kind,
        _text(operation.request),
        operation.request_hash,
        operation.state,
        operation.period_starts_at,
        _text(operation.reserved),
        _text(operation.decision),
        str(operation.document_id) if operation.document_id else None,
        _text(operation.refusal),
        operation.created_at,
        operation.ended_at,
    )


def grant_row(grant: StoredGrant) -> tuple[Any, ...]:
    """A grant's values in the order of its columns."""
    return (
        grant.tenant_id,
        str(grant.id),
        grant.idempotency_key,
        grant.meter,
        grant.source,
        grant.units,
        grant.remaining,
        grant.priority,
        grant.expires_at,
        grant.note,
        grant.created_at,
        grant.balance,
    )


def ended_row(operation: StoredOperation, ended_at: int) -> tuple[Any, ...]:
    """The parameters of END_OPERATION."""
    return operation.state, ended_at, _text(operation.refusal), operation.tenant_id, str(operation.id)
