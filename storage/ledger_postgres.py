"""The ledger on PostgreSQL."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import orjson

from storage import ledger_columns as columns
from storage import ledger_tables as tables
from storage.ledger import Conflicted, Known, Plan, Wanted, Writes
from storage.ledger_queries import METER_COUNT

Rows = Sequence[Sequence[Any]]
MANY: Final = 8
"""Rows of a table that are worth a round trip of their own, for a COPY: PostgreSQL reads it in half the time."""


class PostgresLedger:
    """One connection, kept, and three round trips per batch between BEGIN and COMMIT: lock, read all, write all."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._connection: Any = None

    async def close(self) -> None:
        """Give the connection back to the pool, which is not ours."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._pool.release(connection)

    async def transact(self, wanted: Wanted, plan: Plan) -> Writes:
        connection = await self._open()
        try:
            async with connection.transaction():
                writes = plan(await _know(connection, wanted))
                await _write(connection, writes)
        except (asyncpg.UniqueViolationError, asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
            raise Conflicted from error
        return writes

    async def _open(self) -> Any:
        """A connection of our own: its prepared statements stay, and each is planned once for all keys, because
        planning them takes longer than running them.
        """
        if self._connection is not None and self._connection.is_closed():
            await self.close()
        if self._connection is None:
            self._connection = await self._pool.acquire(timeout=10)
            await self._connection.execute("SET plan_cache_mode = force_generic_plan")
            # Every statement looks up a few keys: what was planned while a table was small must not read all of it.
            await self._connection.execute("SET enable_seqscan = off")
        return self._connection


async def _know(connection: Any, wanted: Wanted) -> Known:
    tenants = sorted(wanted.moments)
    # The tenant too: what is left of its credits is shared by its periods.
    gates = tables.read_gates(
        await connection.fetch(
            f"SELECT {tables.GATE} FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS w (tenant_id, first, last) "
            "JOIN tenant t ON t.id = w.tenant_id "
            "JOIN billing_period p ON p.tenant_id = w.tenant_id AND p.ends_at > w.first AND p.starts_at <= w.last "
            "ORDER BY p.tenant_id, p.starts_at FOR NO KEY UPDATE OF t, p",
            tenants,
            [wanted.moments[tenant_id][0] for tenant_id in tenants],
            [wanted.moments[tenant_id][1] for tenant_id in tenants],
        )
    )
    if without := [tenant_id for tenant_id in tenants if tenant_id not in gates]:
        # Whoever has no period at that moment may have credits all the same.
        await connection.execute(
            "SELECT 1 FROM tenant WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE", without
        )
    found: dict[str, Any] = {}
    names: list[str] = []
    parts = [f"({METER_COUNT})"]
    values: list[Any] = []
    for name, (query, keys) in tables.keys_of(wanted, gates).items():
        if keys:
            names.append(name)
            parts.append(query.on_postgres(len(values) + 1))
            values += map(list, zip(*keys, strict=True))
        else:
            found[name] = ()
    meter_count, *answers = await connection.fetchrow(f"SELECT {', '.join(parts)}", *values)
    found.update(zip(names, map(orjson.loads, answers), strict=True))
    return tables.read_known(gates, found, meter_count)


class _Statement:
    """Several changes in one statement: PostgreSQL runs them all against the state before it."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.values: list[str] = []

    def _rows(self, names: dict[str, str], rows: Rows) -> str:
        # As JSON: of arrays asyncpg looks at each element, which takes twice as long.
        self.values.append(orjson.dumps([dict(zip(names, row, strict=True)) for row in rows]).decode())
        columns = ", ".join(f"{name} {kind}" for name, kind in names.items())
        return f"json_to_recordset(${len(self.values)}::json) AS w ({columns})"

    def insert(self, table: str, names: dict[str, str], rows: Rows, more: str = "") -> None:
        if rows:
            given = self._rows(names, rows)
            self.parts.append(f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM {given} {more}")

    def change(self, sql: str, names: dict[str, str], rows: Rows) -> None:
        """`sql` has the rows as table `w`, where it says {rows}."""
        if rows:
            self.parts.append(sql.format(rows=self._rows(names, rows)))

    async def run(self, connection: Any, answer: str = "1") -> list[Any]:
        if not self.parts:
            return []
        steps = ", ".join(f"w{number} AS ({part})" for number, part in enumerate(self.parts))
        return list(await connection.fetch(f"WITH {steps} SELECT {answer}", *self.values))


async def _write(connection: Any, writes: Writes) -> None:
    first, then = _Statement(), _Statement()
    ends = _changes(writes)
    # What ends may make room for what begins: a key, a document that may be changed again.
    begun = {(o.tenant_id, o.document_id) for o in writes.new_operations}
    makes_room = writes.deleted_operations or any(
        (o.tenant_id, o.document_id) in begun for o, _ in writes.ended_operations
    )
    for sql, names, rows in ends:
        (first if makes_room else then).change(sql, names, rows)
    await first.run(connection)
    operations = [tables.operation_row(operation) for operation in writes.new_operations]
    for table, names, given in (
        ("usage_event", columns.EVENT, writes.events),
        ("operation", columns.OPERATION, operations),
        ("document", columns.DOCUMENT, writes.documents),
    ):
        if len(given) < MANY:
            then.insert(table, names, given)
        else:
            await connection.copy_records_to_table(table, records=given, columns=[*names])
    _count(then, writes)
    then.insert("credit_grant", columns.GRANT, [tables.grant_row(grant) for grant in writes.grants])
    then.insert("credit_entry", columns.CREDIT_ENTRY, writes.credit_entries)
    then.insert("charge", columns.CHARGE, writes.charges)
    then.insert("phase", columns.PHASE, writes.phases)
    then.insert("top_up_order", columns.ORDER, writes.orders)
    then.insert("job", columns.JOB, writes.jobs)
    answer = "1"
    if writes.alerts:
        answer = f"id FROM w{len(then.parts)}"
        then.insert("alert", columns.ALERT, writes.alerts, "ON CONFLICT DO NOTHING RETURNING id")
    answers = await then.run(connection, answer)
    writes.fired = {str(row[0]) for row in answers} if writes.alerts else set()


_OPERATION = {"state": "text", "ended_at": "bigint", "refusal": "text", "tenant_id": "bigint", "id": "uuid"}
_ID = {"tenant_id": "bigint", "id": "uuid"}


def _changes(writes: Writes) -> list[tuple[str, dict[str, str], Rows]]:
    """Changes of rows that were there before the batch."""
    by_id = "WHERE {0}.tenant_id = w.tenant_id AND {0}.id = w.id"
    return [
        (
            "DELETE FROM operation USING {rows} " + by_id.format("operation"),
            _ID,
            [(tenant_id, str(key)) for tenant_id, key in writes.deleted_operations],
        ),
        (
            "UPDATE operation SET state = w.state, ended_at = w.ended_at, refusal = w.refusal FROM {rows} "
            + by_id.format("operation"),
            _OPERATION,
            [tables.ended_row(*entry) for entry in writes.ended_operations],
        ),
        (
            "UPDATE document SET state = w.state, sent_at = coalesce(w.sent_at, document.sent_at) FROM {rows} "
            + by_id.format("document")
            + " AND (document.state NOT IN ('COMPLETED', 'DELETED') OR w.state = 'DELETED')",
            {"state": "text", "sent_at": "bigint", **_ID},
            [(state, at, tenant_id, str(key)) for state, at, tenant_id, key in writes.changed_documents],
        ),
        (
            "UPDATE credit_grant SET remaining = remaining + w.units FROM {rows} " + by_id.format("credit_grant"),
            {"units": "bigint", **_ID},
            [(delta, tenant_id, str(key)) for (tenant_id, key), delta in writes.drawn.items()],
        ),
    ]


def _count(statement: _Statement, writes: Writes) -> None:
    # The table's checks hold for what is inserted too: what goes down is there already, and is updated.
    counters = sorted(writes.counters.items())
    statement.insert(
        "usage_counter",
        columns.COUNTER,
        [(*key, *delta) for key, delta in counters if min(delta) >= 0],
        "ON CONFLICT (tenant_id, period_starts_at, meter) DO UPDATE SET used = usage_counter.used + excluded.used, "
        "reserved = usage_counter.reserved + excluded.reserved, "
        "credited = usage_counter.credited + excluded.credited, pledged = usage_counter.pledged + excluded.pledged",
    )
    statement.change(
        "UPDATE usage_counter c SET used = c.used + w.used, reserved = c.reserved + w.reserved, "
        "credited = c.credited + w.credited, pledged = c.pledged + w.pledged FROM {rows} WHERE "
        "c.tenant_id = w.tenant_id AND c.period_starts_at = w.period_starts_at AND c.meter = w.meter",
        columns.COUNTER,
        [(*key, *delta) for key, delta in counters if min(delta) < 0],
    )
    values = sorted(writes.values.items())
    statement.insert(
        "usage_value",
        columns.VALUE,
        [(*key, delta) for key, delta in values if delta >= 0],
        "ON CONFLICT (tenant_id, period_starts_at, meter, value) "
        "DO UPDATE SET events = usage_value.events + excluded.events",
    )
    statement.change(
        "UPDATE usage_value v SET events = v.events + w.events FROM {rows} WHERE v.tenant_id = w.tenant_id "
        "AND v.period_starts_at = w.period_starts_at AND v.meter = w.meter AND v.value = w.value",
        columns.VALUE,
        [(*key, delta) for key, delta in values if delta < 0],
    )
