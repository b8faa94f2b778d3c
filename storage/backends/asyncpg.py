"""Tortoise's asyncpg backend with transactions that survive cancellation and a limit to waiting for a connection."""

import asyncio
from typing import Any, Final

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import TransactionalDBClient, TransactionContext, TransactionContextPooled
from tortoise.connection import get_connections
from tortoise.exceptions import TransactionManagementError

from storage.backends.cancellation import OwnedTransaction, finish

ACQUIRE_TIMEOUT_S: Final = 10
"""Rather a clear error than a process that waits for ever for a connection of its own pool."""


class _Connection(asyncpg.Connection):
    """A connection whose COMMIT succeeds only if it commits.

    After a failed or interrupted statement PostgreSQL answers COMMIT with ROLLBACK, and asyncpg does not look: what
    was written before would be acknowledged and lost.
    """

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109
        status: str = await super().execute(query, *args, timeout=timeout)
        if status == "ROLLBACK" and query.startswith("COMMIT"):
            raise TransactionManagementError("nothing was committed: a statement of the transaction had failed")
        return status


async def _connect(*args: Any, **options: Any) -> Any:
    """Connect; if the caller is cancelled meanwhile, the connection is closed once it is there.

    asyncpg's own way out leaves an exception behind that nobody retrieves.
    """
    connecting = asyncio.ensure_future(asyncpg.connect(*args, **options))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        connecting.add_done_callback(_discard)
        raise


def _discard(connecting: "asyncio.Future[Any]") -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().terminate()


class _Transaction(OwnedTransaction, TransactionWrapper):
    pass


class _Context(TransactionContextPooled):
    async def __aenter__(self) -> TransactionalDBClient:
        await self.ensure_connection()
        client: Any = self.client
        client._connection = await client._parent._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
        try:
            await finish(client.begin())
        except BaseException:
            await finish(self._leave(failed=True))
            raise
        client.owner = asyncio.current_task()
        self.token = get_connections().set(self.connection_name, client)
        return self.client

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            await finish(self._leave(failed=kind is not None))
        finally:
            get_connections().reset(self.token)

    async def _leave(self, *, failed: bool) -> None:
        client: Any = self.client
        try:
            if not failed:
                await client.commit()
            elif client._connection.is_in_transaction():
                await client.rollback()
        finally:
            await client._parent._pool.release(client._connection)


class Client(AsyncpgDBClient):
    """The client that `{"engine": "storage.backends.asyncpg"}` names."""

    connection_class: Any = _Connection

    async def create_pool(self, **options: Any) -> Any:
        return await super().create_pool(connect=_connect, **options)

    def _in_transaction(self) -> TransactionContext:
        return _Context(_Transaction(self), self._pool_init_lock)

    async def execute_many(self, query: str, values: list[Any]) -> None:
        async with self._in_transaction() as transaction:
            await transaction.execute_many(query, values)


client_class = Client
