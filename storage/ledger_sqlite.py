"""The ledger on SQLite."""

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from storage import ledger_tables as tables
from storage.ledger import Conflicted, Known, Plan, Wanted, Writes

_TAKEN = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)


class SqliteLedger:
    """A connection and a thread of its own: a batch is one hop; one per statement would cost more than the rest."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._connection: sqlite3.Connection | None = None

    async def transact(self, wanted: Wanted, plan: Plan) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, wanted, plan)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=10)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                connection.execute(f"PRAGMA {pragma}")
            self._connection = connection
        return self._connection

    def _transact(self, wanted: Wanted, plan: Plan) -> None:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._write(connection, plan(self._know(connection, wanted)))
            connection.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            connection.execute("ROLLBACK")
            if error.sqlite_errorcode not in _TAKEN:
                raise
            raise Conflicted from error
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    @staticmethod
    def _know(connection: sqlite3.Connection, wanted: Wanted) -> Known:
        def each(sql: str, keys: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
            return [row for key in keys for row in connection.execute(sql, key)]

        gates = each(
            tables.GATES + "WHERE p.tenant_id = ? AND p.ends_at > ? AND p.starts_at <= ?",
            [(tenant_id, first, last) for tenant_id, (first, last) in wanted.moments.items()],
        )
        by_key = "tenant_id = ? AND idempotency_key = ?"
        return tables.read_known(
            each(tables.ACCOUNTS + "t.id = ?", [(tenant_id,) for tenant_id in wanted.moments]),
            each(tables.PHASES + "p.tenant_id = ?" + tables.IN_ORDER, [(tenant_id,) for tenant_id in wanted.moments]),
            gates,
            each(tables.COUNTERS + "tenant_id = ? AND period_starts_at = ?", [(gate[0], gate[2]) for gate in gates]),
            each(tables.OPERATIONS + by_key, wanted.operations),
            each(tables.EVENTS + by_key, wanted.events),
            each(tables.INVITED + "tenant_id = ? AND document_id = ?", [(t, str(d)) for t, d in wanted.invited]),
        )

    @staticmethod
    def _write(connection: sqlite3.Connection, writes: Writes) -> None:
        def insert(table: str, columns: dict[str, str], rows: Iterable[Sequence[Any]], more: str = "") -> None:
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) {more}", rows)

        insert("usage_event", tables.EVENT, writes.events)
        # The table's checks hold for what is inserted too: a counter that goes down must be there before.
        insert(
            "usage_counter",
            {k: v for k, v in tables.COUNTER.items() if k not in ("used", "reserved")},
            writes.counters,
            "ON CONFLICT DO NOTHING",
        )
        connection.executemany(
            "UPDATE usage_counter SET used = used + ?, reserved = reserved + ? "
            "WHERE tenant_id = ? AND period_starts_at = ? AND meter = ?",
            [(*delta, *key) for key, delta in writes.counters.items()],
        )
        connection.executemany(
            "DELETE FROM operation WHERE tenant_id = ? AND id = ?", [(t, str(i)) for t, i in writes.deleted_operations]
        )
        ended = [tables.ended_row(*entry) for entry in writes.ended_operations]
        connection.executemany(tables.END_OPERATION.format(*"?????"), ended)
        insert("operation", tables.OPERATION, map(tables.operation_row, writes.new_operations))
        insert("document", tables.DOCUMENT, writes.documents)
        connection.executemany(
            tables.SEND_DOCUMENT.format(*"???"), [(at, t, str(i)) for at, t, i in writes.sent_documents]
        )
