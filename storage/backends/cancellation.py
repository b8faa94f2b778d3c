"""Transactions that survive a cancelled task, for both databases.

A task that is cancelled while it enters or leaves one of Tortoise's own transactions leaks the lock (SQLite) or the
connection (PostgreSQL): the whole process then waits for ever, or acknowledged rows are never committed. A GraphQL
client that closes its WebSocket, and every time-out, cancels tasks. So the database work of entering and leaving is
always run to its end first.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tortoise.backends.base.client import NestedTransactionContext
from tortoise.exceptions import TransactionManagementError

T = TypeVar("T")


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end even if the caller is cancelled meanwhile; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error  # also if the work has ended at the same moment
        except BaseException:  # noqa: S110 - the task has failed: `result()` below raises it
            pass
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result


class OwnedTransaction:
    """Mixed into a transaction: only the task that opened it may use it, and only while it is open.

    A child task inherits the transaction through its context, and could otherwise write into it after its end, or
    have its work committed although it was rolled back. Such use raises TransactionManagementError.
    """

    owner: "asyncio.Task[Any] | None" = None
    _finalized: bool

    def acquire_connection(self) -> Any:
        self._check_owner()
        return super().acquire_connection()  # type: ignore[misc]

    def _in_transaction(self) -> Any:
        self._check_owner()
        nested: Any = type(self)(self)  # type: ignore[call-arg]
        nested.owner = self.owner
        return NestedTransactionContext(nested)

    def _check_owner(self) -> None:
        if self._finalized or (self.owner is not None and asyncio.current_task() is not self.owner):
            raise TransactionManagementError("a transaction was used after its end, or by another task")
