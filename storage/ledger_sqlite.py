"""The ledger on SQLite."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, Final

import orjson

from storage import ledger_columns as columns
from storage import ledger_tables as tables
from storage.ledger import Conflicted, Known, Plan, Wanted, Writes
from storage.ledger_queries import METER_COUNT

BATCHES_PER_CHECKPOINT: Final = 32
EVENTS_PER_STATEMENT: Final = 250
_MARKS = f"({', '.join('?' * len(columns.EVENT))})"
_ONE_EVENT = f"INSERT INTO usage_event ({', '.join(columns.EVENT)}) VALUES {_MARKS}"
_MANY_EVENTS = _ONE_EVENT + f", {_MARKS}" * (EVENTS_PER_STATEMENT - 1)
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "wal_autocheckpoint = 0",
    "cache_size = -65536",  # KiB: keys are random, and the two megabytes that are usual do not hold their index
)
_TAKEN = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)


class SqliteLedger:
    """A connection and a thread of its own: a batch is one hop; one per statement would cost more than the rest.

    Checkpoints of the write-ahead log have another: in the writer's own thread everybody would wait for them.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._copying = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._connection: sqlite3.Connection | None = None
        self._batches = 0

    async def transact(self, wanted: Wanted, plan: Plan) -> Writes:
        return await asyncio.get_running_loop().run_in_executor(self._writing, self._transact, wanted, plan)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writing, self._close)
        self._writing.shutdown()
        await asyncio.get_running_loop().run_in_executor(None, self._copying.shutdown)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=10)
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            self._connection = connection
        return self._connection

    def _checkpoint(self) -> None:
        """Copy the log's pages into the database; PASSIVE waits for nobody, and leaves to the next what is in use."""
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _transact(self, wanted: Wanted, plan: Plan) -> Writes:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            writes = plan(_know(connection, wanted))
            _write(connection, writes)
            connection.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            connection.execute("ROLLBACK")
            if error.sqlite_errorcode not in _TAKEN:
                raise
            raise Conflicted from error
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        self._batches += 1
        if self._batches % BATCHES_PER_CHECKPOINT == 0:
            self._copying.submit(self._checkpoint)
        return writes


def _know(connection: sqlite3.Connection, wanted: Wanted) -> Known:
    gates = tables.read_gates(
        row
        for tenant_id, (first, last) in wanted.moments.items()
        for row in connection.execute(
            f"SELECT {tables.GATE} FROM billing_period p WHERE p.tenant_id = ? AND p.ends_at > ? AND p.starts_at <= ?",
            (tenant_id, first, last),
        )
    )
    found: dict[str, Any] = {}
    for name, (query, keys) in tables.keys_of(wanted, gates).items():
        found[name] = connection.execute(query.on_sqlite, (orjson.dumps(keys).decode(),)).fetchall() if keys else ()
    (meter_count,) = connection.execute(METER_COUNT).fetchone()
    return tables.read_known(gates, found, meter_count)


def _write(connection: sqlite3.Connection, writes: Writes) -> None:
    def insert(table: str, names: Iterable[str], rows: Iterable[Sequence[Any]], more: str = "") -> None:
        names = list(names)
        marks = ", ".join("?" * len(names))
        connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) {more}", rows)

    _insert_events(connection, writes.events)
    # The table's checks hold for what is inserted too: a counter that goes down must be there before.
    insert("usage_counter", ("tenant_id", "period_starts_at", "meter"), writes.counters, "ON CONFLICT DO NOTHING")
    connection.executemany(
        "UPDATE usage_counter SET used = used + ?, reserved = reserved + ?, credited = credited + ?, "
        "pledged = pledged + ? WHERE tenant_id = ? AND period_starts_at = ? AND meter = ?",
        [(*delta, *key) for key, delta in writes.counters.items()],
    )
    connection.executemany(
        "DELETE FROM operation WHERE tenant_id = ? AND id = ?", [(t, str(i)) for t, i in writes.deleted_operations]
    )
    ended = [tables.ended_row(*entry) for entry in writes.ended_operations]
    connection.executemany(tables.END_OPERATION.format(*"?????"), ended)
    insert("operation", columns.OPERATION, map(tables.operation_row, writes.new_operations))
    insert("document", columns.DOCUMENT, writes.documents)
    connection.executemany(
        tables.CHANGE_DOCUMENT.format(*("?1", "?2", "?3", "?4")),
        [(state, at, t, str(i)) for state, at, t, i in writes.changed_documents],
    )
    _write_rare(connection, writes, insert)


def _insert_events(connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Many rows per statement: between two statements the interpreter's lock is given up and waited for, and beside a
    busy event loop that wait costs more than the row.
    """
    full = len(rows) - len(rows) % EVENTS_PER_STATEMENT
    for start in range(0, full, EVENTS_PER_STATEMENT):
        connection.execute(_MANY_EVENTS, [*chain.from_iterable(rows[start : start + EVENTS_PER_STATEMENT])])
    connection.executemany(_ONE_EVENT, rows[full:])


def _write_rare(connection: sqlite3.Connection, writes: Writes, insert: Any) -> None:
    """Everything that most batches have nothing of."""
    if writes.values:
        insert("usage_value", columns.VALUE, [(*key, 0) for key in writes.values], "ON CONFLICT DO NOTHING")
        connection.executemany(
            "UPDATE usage_value SET events = events + ? "
            "WHERE tenant_id = ? AND period_starts_at = ? AND meter = ? AND value = ?",
            [(delta, *key) for key, delta in writes.values.items()],
        )
    if writes.grants:
        insert("credit_grant", columns.GRANT, map(tables.grant_row, writes.grants))
    connection.executemany(
        "UPDATE credit_grant SET remaining = remaining + ? WHERE tenant_id = ? AND id = ?",
        [(delta, tenant_id, str(key)) for (tenant_id, key), delta in writes.drawn.items()],
    )
    for table, names, rows in (
        ("credit_entry", columns.CREDIT_ENTRY, writes.credit_entries),
        ("charge", columns.CHARGE, writes.charges),
        ("phase", columns.PHASE, writes.phases),
        ("top_up_order", columns.ORDER, writes.orders),
        ("job", columns.JOB, writes.jobs),
    ):
        if rows:
            insert(table, names, rows)
    for row in writes.alerts:
        marks = ", ".join("?" * len(row))
        fired = connection.execute(
            f"INSERT INTO alert ({', '.join(columns.ALERT)}) VALUES ({marks}) ON CONFLICT DO NOTHING", row
        )
        if fired.rowcount:
            writes.fired.add(row[1])
