"""Tortoise's asyncpg backend with transactions that survive cancellation and a limit to waiting for a connection."""

import asyncio
from typing import Any, Final

from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import TransactionalDBClient, TransactionContext, TransactionContextPooled
from tortoise.connection import get_connections

from storage.backends.cancellation import OwnedTransaction, finish

ACQUIRE_TIMEOUT_S: Final = 10
"""Rather a clear error than a process that waits for ever for a connection of its own pool."""


class _Transaction(OwnedTransaction, TransactionWrapper):
    pass


class _Context(TransactionContextPooled):
    async def __aenter__(self) -> TransactionalDBClient:
        await self.ensure_connection()
        client: Any = self.client
        pool = client._parent._pool
        connection = await pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
        try:
            client._connection = connection
            await client.begin()
        except BaseException:
            await finish(_release(pool, connection))
            raise
        client.owner = asyncio.current_task()
        self.token = get_connections().set(self.connection_name, client)
        return self.client

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        client: Any = self.client
        try:
            if not client._finalized:
                await finish(client.rollback() if kind else client.commit())
        finally:
            get_connections().reset(self.token)
            await finish(_release(client._parent._pool, client._connection))


async def _release(pool: Any, connection: Any) -> None:
    await pool.release(connection)  # asyncpg resets the connection, which rolls back what is still open


class Client(AsyncpgDBClient):
    """The client that `{"engine": "storage.backends.asyncpg"}` names."""

    def _in_transaction(self) -> TransactionContext:
        return _Context(_Transaction(self), self._pool_init_lock)


client_class = Client
