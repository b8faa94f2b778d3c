"""The ledger on PostgreSQL."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from storage import ledger_tables as tables
from storage.ledger import Conflicted, Known, Plan, TenantKey, Wanted, Writes


class PostgresLedger:
    """A connection of the pool per batch; arrays in, one statement per table."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def close(self) -> None:
        """The pool is not ours."""

    async def transact(self, wanted: Wanted, plan: Plan) -> None:
        try:
            async with self._pool.acquire(timeout=10) as connection, connection.transaction():
                await self._write(connection, plan(await self._know(connection, wanted)))
        except asyncpg.UniqueViolationError as error:
            raise Conflicted from error
        except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
            raise Conflicted from error

    @staticmethod
    async def _know(connection: Any, wanted: Wanted) -> Known:
        async def keyed(sql: str, keys: Sequence[TenantKey]) -> list[Any]:
            if not keys:
                return []
            condition = "(tenant_id, idempotency_key) IN (SELECT * FROM unnest($1::bigint[], $2::text[]))"
            return list(await connection.fetch(sql + condition, [k[0] for k in keys], [k[1] for k in keys]))

        tenants = sorted(wanted.moments)
        gates = await connection.fetch(
            tables.GATES + "JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS w (tenant_id, first, last) "
            "ON p.tenant_id = w.tenant_id AND p.ends_at > w.first AND p.starts_at <= w.last "
            "ORDER BY p.tenant_id, p.starts_at FOR NO KEY UPDATE OF p",
            tenants,
            [wanted.moments[tenant_id][0] for tenant_id in tenants],
            [wanted.moments[tenant_id][1] for tenant_id in tenants],
        )
        invited = wanted.invited and await connection.fetch(
            tables.INVITED + "(tenant_id, document_id) IN (SELECT * FROM unnest($1::bigint[], $2::uuid[]))",
            [tenant_id for tenant_id, _ in wanted.invited],
            [str(document_id) for _, document_id in wanted.invited],
        )
        return tables.read_known(
            await connection.fetch(tables.ACCOUNTS + "t.id = ANY($1::bigint[])", tenants),
            await connection.fetch(tables.PHASES + "p.tenant_id = ANY($1::bigint[])" + tables.IN_ORDER, tenants),
            gates,
            await connection.fetch(
                tables.COUNTERS + "(tenant_id, period_starts_at) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[]))",
                [gate[0] for gate in gates],
                [gate[2] for gate in gates],
            ),
            await keyed(tables.OPERATIONS, wanted.operations),
            await keyed(tables.EVENTS, wanted.events),
            invited,
        )

    @staticmethod
    async def _write(connection: Any, writes: Writes) -> None:
        async def insert(table: str, columns: dict[str, str], rows: Sequence[Sequence[Any]], more: str = "") -> None:
            if rows:
                arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(columns.values(), start=1))
                sql = f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({arrays}) {more}"
                await connection.execute(sql, *map(list, zip(*rows, strict=True)))

        async def change(sql: str, rows: Sequence[Sequence[Any]]) -> None:
            if rows:
                await connection.executemany(sql, rows)

        ended = [tables.ended_row(*entry) for entry in writes.ended_operations]
        operations = [tables.operation_row(operation) for operation in writes.new_operations]
        await insert("usage_event", tables.EVENT, sorted(writes.events, key=lambda row: (row[0], row[2])))
        counters = sorted(writes.counters.items())
        up = [(*key, *delta) for key, delta in counters if min(delta) >= 0]
        await insert("usage_counter", tables.COUNTER, up, tables.ADD_COUNTERS)
        down = [(*delta, *key) for key, delta in counters if min(delta) < 0]
        await change(
            "UPDATE usage_counter SET used = used + $1, reserved = reserved + $2 "
            "WHERE tenant_id = $3 AND period_starts_at = $4 AND meter = $5",
            down,
        )
        await change("DELETE FROM operation WHERE tenant_id = $1 AND id = $2", writes.deleted_operations)
        await change(tables.END_OPERATION.format("$1", "$2", "$3", "$4", "$5"), ended)
        await insert("operation", tables.OPERATION, operations)
        await insert("document", tables.DOCUMENT, writes.documents)
        await change(tables.SEND_DOCUMENT.format("$1", "$2", "$3"), writes.sent_documents)
