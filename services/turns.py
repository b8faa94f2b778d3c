"""Deliveries about one object take turns, and those that wait for theirs together share one look at it.

A look serves every delivery that was there before it began: what it finds is no older than what they speak of. For one
that came later the object is fetched anew. Turns hold within a process; between processes nothing depends on them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class _Object:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.came = 0  # how many have come; who comes is numbered by it
        self.turn_of = 0
        self.seen_for = 0  # the last look began when so many had come
        self.seen: Any = None


class Turns:
    """One per process."""

    def __init__(self) -> None:
        self._objects: dict[str, _Object] = {}

    @contextlib.asynccontextmanager
    async def take(self, object_id: str) -> AsyncIterator[None]:
        """Wait for one's turn with an object, and have it while the block runs."""
        about = self._objects.setdefault(object_id, _Object())
        about.users += 1
        about.came += 1
        number = about.came
        try:
            async with about.lock:
                about.turn_of = number
                yield
        finally:
            about.users -= 1
            if not about.users:
                del self._objects[object_id]

    async def look(self, object_id: str, fetch: Callable[[], Awaitable[T]]) -> T:
        """What `fetch` answers, or has answered for another whose turn came after this one had begun to wait.

        Only for who has the turn; for anybody else it is fetched.
        """
        about = self._objects.get(object_id)
        if about is None or not about.lock.locked():
            return await fetch()
        if about.turn_of > about.seen_for:
            came = about.came
            about.seen = await fetch()
            about.seen_for = came
        seen: T = about.seen
        return seen
