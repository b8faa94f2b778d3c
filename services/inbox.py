"""Deliveries wait for the disk together: those that come while one transaction is written share the next."""

import asyncio
from typing import Final
from uuid import UUID

from storage.webhooks import NewDelivery, store_deliveries

MOST_AT_ONCE: Final = 50


class Inbox:
    """One per process. Whoever is answered is stored durably."""

    def __init__(self) -> None:
        self._waiting: list[tuple[NewDelivery, asyncio.Future[set[UUID]]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def store(self, delivery: NewDelivery) -> bool:
        """Store a delivery in a transaction with others, and answer whether it is new. If one of them fails, all fail:
        nothing of them is stored, and the sender repeats.
        """
        stored: asyncio.Future[set[UUID]] = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, stored))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return delivery.id in await stored

    async def _write(self) -> None:
        while batch := self._waiting[:MOST_AT_ONCE]:
            del self._waiting[:MOST_AT_ONCE]
            try:
                new = await store_deliveries([delivery for delivery, _ in batch])
            except Exception as error:
                for _, stored in batch:
                    if not stored.done():  # a caller that is gone has given up its future
                        stored.set_exception(error)
                continue
            for _, stored in batch:
                if not stored.done():
                    stored.set_result(new)
