"""Tortoise's SQLite backend with BEGIN IMMEDIATE and transactions that survive cancellation.

IMMEDIATE, since a deferred transaction that reads first and writes later fails with "database is locked" as soon as
another process wrote in between; waiting for the lock at BEGIN loses nothing.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from tortoise.backends.base.client import TransactionalDBClient, TransactionContext
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionContext, SqliteTransactionWrapper
from tortoise.connection import get_connections
from tortoise.exceptions import OperationalError

from storage.backends.cancellation import OwnedTransaction, finish

T = TypeVar("T")


class _Transaction(OwnedTransaction, SqliteTransactionWrapper):
    async def begin(self) -> None:
        try:
            await self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise OperationalError(error) from error

    async def execute_script(self, query: str) -> None:
        # sqlite3's own `executescript` would commit what is open.
        statement = ""
        for part in query.split(";"):
            statement += f"{part};"
            if sqlite3.complete_statement(statement):
                await self.execute_query(statement)
                statement = ""


class _Context(SqliteTransactionContext):
    async def __aenter__(self) -> TransactionalDBClient:
        await self._trxlock.acquire()
        has_begun = False

        async def begin() -> None:
            nonlocal has_begun
            await self.ensure_connection()
            await self.connection.begin()
            has_begun = True

        try:
            await finish(begin())
        except BaseException:
            try:
                if has_begun:
                    await finish(self.connection.rollback())
            finally:
                self._trxlock.release()
            raise
        self.connection.owner = asyncio.current_task()
        self.token = get_connections().set(self.connection_name, self.connection)
        return self.connection  # type: ignore[no-any-return]

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if not self.connection._finalized:
                await finish(self._leave(failed=kind is not None))
        finally:
            get_connections().reset(self.token)
            self._trxlock.release()

    async def _leave(self, *, failed: bool) -> None:
        if failed:
            await self.connection.rollback()
            return
        try:
            await self.connection.commit()
        except BaseException:
            await self.connection.rollback()
            raise


class Client(SqliteClient):
    """The client that `{"engine": "storage.backends.sqlite"}` names."""

    async def transact(self, work: Callable[[sqlite3.Connection], T], *, is_awaited: bool = True) -> T:
        """Run `work` in a transaction of its own, in the connection's thread: one hop instead of one per statement.

        Unless `is_awaited`, the disk is not waited for: after a power cut, but not after a crash of this process, all
        of it may be missing, unless a later transaction was waited for.
        """
        async with self._lock:
            connection: Any = self._connection
            done: T = await finish(connection._execute(_transact, connection._conn, work, is_awaited))
            return done

    def _in_transaction(self) -> TransactionContext:
        return _Context(_Transaction(self), self._lock)

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        async with self._in_transaction() as transaction:
            await transaction.execute_many(query, values)


def _transact(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], is_awaited: bool) -> T:
    if not is_awaited:
        connection.execute("PRAGMA synchronous = NORMAL")
    try:
        connection.execute("BEGIN IMMEDIATE")
        done = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    finally:
        if not is_awaited:
            connection.execute("PRAGMA synchronous = FULL")
    return done


client_class = Client
