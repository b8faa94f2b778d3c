"""Deliveries wait for the disk together: those that come while one transaction is written share the next."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from storage.database import transaction

MOST_AT_ONCE: Final = 50

Insert = Callable[[], Awaitable[bool]]


class Inbox:
    """One per process. Whoever is answered is stored durably."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Insert, asyncio.Future[bool]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def store(self, insert: Insert) -> bool:
        """Run `insert` in a transaction with others, and answer what it does. If one of them fails, all fail: nothing
        of them is stored, and the sender repeats.
        """
        stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((insert, stored))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await stored

    async def _write(self) -> None:
        while batch := self._waiting[:MOST_AT_ONCE]:
            del self._waiting[:MOST_AT_ONCE]
            try:
                async with transaction():
                    answers = [await insert() for insert, _ in batch]
            except Exception as error:
                for _, stored in batch:
                    if not stored.done():  # a caller that is gone has given up its future
                        stored.set_exception(error)
                continue
            for (_, stored), answer in zip(batch, answers, strict=True):
                if not stored.done():
                    stored.set_result(answer)
