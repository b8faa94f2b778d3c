"""Group commit: metering commands queue up, and each transaction takes all that wait.

A row that many callers change holds everybody up for as long as a commit takes to reach the disk. Taken together, they
wait once. A command is answered when its transaction is durable, never before.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextvars import Context
from itertools import count
from typing import Any, Final
from uuid import UUID

from inkmeter.clock import Clock
from inkmeter.events import Event
from services.commands import Command, Record, wanted
from services.ledger import HalfDone, Planned, plan
from services.measures import MeterBook
from services.terms import PlanTerms
from storage.fields import to_micros
from storage.ledger import Conflicted, Known, LedgerStore, Writes

log = logging.getLogger("inkmeter.metering")

MAX_BATCH: Final = 256
MAX_FACTS: Final = 500
"""Facts enough to make a transaction worth its while: more would only keep their senders from sending the next ones."""
MAX_ATTEMPTS: Final = 8

Waiting = tuple[Command, "asyncio.Future[Any]"]


class Metering:
    """One queue and one writer per process. `terms` are the plans that were loaded, `meters` all that are known;
    neither ever changes, but there may be more of them by now.
    """

    def __init__(self, store: LedgerStore, clock: Clock, publish: Callable[[Event], Coroutine[Any, Any, None]]) -> None:
        self.terms: dict[UUID, PlanTerms] = {}
        self.meters = MeterBook()
        self._store, self._clock, self._publish = store, clock, publish
        self._telling: set[asyncio.Task[None]] = set()
        self._queue: list[Waiting] = []
        self._filled = asyncio.Event()
        self._is_ending = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Metering"]:
        """Write while the block runs; what waits at its end is still written."""
        # A context of its own: it must not inherit a transaction of whoever opens the platform.
        writer = asyncio.get_running_loop().create_task(self._write(), context=Context())
        try:
            yield self
        finally:
            self._is_ending = True
            self._filled.set()
            await writer
            await asyncio.gather(*self._telling)
            await self._store.close()

    async def submit(self, command: Command) -> Any:
        """The command's answer, or what is missing to decide it. Raises what was decided to raise.

        Not inside a transaction: on SQLite the two would wait for each other. A caller who is cancelled here may yet
        have been committed, and repeats the command with the same key.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append((command, answer))
        self._filled.set()
        decided = await answer
        if isinstance(decided, Exception):
            raise decided
        return decided

    async def _write(self) -> None:
        while self._queue or not self._is_ending:
            await self._filled.wait()
            size = _batch_size(self._queue)
            batch, self._queue = self._queue[:size], self._queue[size:]
            if not self._queue and not self._is_ending:
                self._filled.clear()
            if batch:  # none at the end
                await self._commit(batch)

    async def _commit(self, batch: Sequence[Waiting]) -> None:
        try:
            answers = await self._transact([command for command, _ in batch])
        except Exception as error:
            if len(batch) > 1:
                for waiting in batch:  # alone, only the one that is the trouble fails
                    await self._commit([waiting])
                return
            if isinstance(error, HalfDone):  # rolled back: it is answered, and nothing of it is written
                answers = [error.answer]
            else:
                log.exception("a metering command could not be written")
                answers = [error]
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _transact(self, commands: Sequence[Command]) -> list[Any]:
        planned: Planned | None = None

        def decide(known: Known) -> Writes:
            nonlocal planned
            planned = plan(commands, known, self.terms, self.meters, to_micros(self._clock.now()))
            return planned.writes

        for attempt in count(1):
            want = wanted(commands, self.meters, with_events=attempt > 1)
            try:
                await self._store.transact(want, decide)
                break
            except Conflicted:
                if attempt == MAX_ATTEMPTS:
                    raise
                await asyncio.sleep(0.005 * 2**attempt)
        assert planned is not None  # noqa: S101 - transact has called decide
        for event in planned.news():
            self._tell(event)
        return planned.answers

    def _tell(self, event: Event) -> None:
        """Tell the plugins beside everything else: a slow one must not hold up the writer."""
        telling = asyncio.get_running_loop().create_task(self._publish(event))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)


def _batch_size(queue: Sequence[Waiting]) -> int:
    """How many of the commands that wait go into one transaction."""
    facts = 0
    for size, (command, _) in enumerate(queue[:MAX_BATCH], start=1):
        facts += len(command.facts) if isinstance(command, Record) else 0
        if facts >= MAX_FACTS:
            return size
    return min(len(queue), MAX_BATCH)
