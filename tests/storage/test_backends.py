"""Transactions under cancellation: nothing hangs, nothing acknowledged is lost, nothing is half done."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine, Generator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from tortoise.exceptions import BaseORMException, IntegrityError, TransactionManagementError

from storage.backends.cancellation import finish
from storage.database import Database, connection_config, lock, open_database, row, rows, transaction
from storage.webhooks import WebhookEvent, WebhookSource, WebhookState
from tests.processes import run_at_once
from tests.storage.conftest import Look

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("database")]

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
PATIENCE_S = 30
Writer = Callable[[int], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
async def _pairs(database: Database) -> None:
    await rows("CREATE TABLE pair (number BIGINT NOT NULL, half BIGINT NOT NULL, PRIMARY KEY (number, half))")


async def write_pair(number: int) -> None:
    """Two rows that only make sense together."""
    async with transaction():
        await rows("INSERT INTO pair (number, half) VALUES (?, 1)", number)
        await rows("INSERT INTO pair (number, half) VALUES (?, 2)", number)


async def write_nested_pair(number: int) -> None:
    """The same, with the second row in a nested transaction that is done again if it is interrupted."""
    async with transaction():
        await rows("INSERT INTO pair (number, half) VALUES (?, 1)", number)
        async with transaction():
            await rows("INSERT INTO pair (number, half) VALUES (?, 2)", number)


async def write_in_bulk(number: int) -> None:
    """Two rows in one statement of the ORM, without a transaction of our own."""
    await WebhookEvent.bulk_create(
        WebhookEvent(
            source=WebhookSource.STRIPE,
            key=f"{number}-{half}",
            type="test",
            payload="{}",
            state=WebhookState.RECEIVED,
            received_at=NOW,
        )
        for half in (1, 2)
    )


class Interrupted:
    """Awaits `work`, and cancels its task at its n-th suspension, while what it waits for is under way.

    `again`: and at each later one too.
    """

    def __init__(self, work: Coroutine[Any, Any, None], at: int, *, again: bool) -> None:
        self._work, self._at, self._again = work, at, again

    def __await__(self) -> Generator[Any, Any, None]:
        task = asyncio.current_task()
        assert task is not None
        steps, suspensions = self._work.__await__(), 0
        try:
            waits_for = next(steps)
            while True:
                suspensions += 1
                if suspensions == self._at or (self._again and suspensions > self._at):
                    task.cancel()
                try:
                    given = yield waits_for
                except BaseException as error:
                    waits_for = steps.throw(error)
                else:
                    waits_for = steps.send(given)
        except StopIteration:
            return


async def interrupt(work: Coroutine[Any, Any, None], at: int, *, again: bool = False) -> bool:
    """Run `work` in a task, cancelled at its n-th suspension; answers whether it was acknowledged nevertheless."""

    async def run() -> None:
        await Interrupted(work, at, again=again)

    task = asyncio.create_task(run())
    await asyncio.wait([task])
    if task.cancelled():
        return False
    task.result()
    return True


async def halves(look: Look, writer: Writer) -> dict[int, int]:
    """How many rows of each number are committed."""
    if writer is write_in_bulk:
        found = [str(key).split("-") for (key,) in await look("SELECT key FROM webhook_event")]
    else:
        found = [[str(number), str(half)] for number, half in await look("SELECT number, half FROM pair")]
    return {int(number): sum(1 for other, _ in found if other == number) for number, _ in found}


async def use_every_connection(database_url: str) -> None:
    """Hold as many transactions at once as there are connections: hangs if one was lost."""
    size = connection_config(database_url)["credentials"].get("maxsize", 1)
    everybody = asyncio.Barrier(size)

    async def hold() -> None:
        async with transaction():
            await rows("SELECT 1 AS one")
            await everybody.wait()

    await asyncio.gather(*(hold() for _ in range(size)))


@pytest.mark.parametrize("again", [False, True], ids=["once", "again and again"])
@pytest.mark.parametrize("writer", [write_pair, write_nested_pair, write_in_bulk])
async def test_a_writer_cancelled_at_each_of_its_steps(
    writer: Writer, again: bool, look: Look, database_url: str
) -> None:
    async with asyncio.timeout(PATIENCE_S):
        acknowledged, step = set(), 0
        numbers = count(1)
        for _ in range(3):  # thrice, so that a connection lost at each step would exhaust the pool
            for step in count(1):
                number = next(numbers)
                is_acknowledged = await interrupt(writer(number), step, again=again)
                undisturbed = next(numbers)
                await writer(undisturbed)
                acknowledged |= {undisturbed, number} if is_acknowledged else {undisturbed}
                if is_acknowledged:
                    break
        await use_every_connection(database_url)
    stored = await halves(look, writer)
    assert step > 3, "the work was never interrupted"
    assert set(stored.values()) == {2}, "a transaction was committed by half"
    assert acknowledged <= set(stored), "an acknowledged row is lost"


@pytest.mark.parametrize("writer", [write_pair, write_nested_pair, write_in_bulk])
async def test_a_storm_of_cancelled_tasks(writer: Writer, look: Look, database_url: str) -> None:
    chance = random.Random(20260310)  # noqa: S311 - a storm that can be repeated
    acknowledged: set[int] = set()

    async def write(number: int) -> None:
        await writer(number)
        acknowledged.add(number)

    async def trouble(task: asyncio.Task[None]) -> None:
        for _ in range(chance.choice([1, 1, 2])):
            await asyncio.sleep(chance.choice([0, chance.uniform(0, 0.02)]))
            task.cancel()

    async with asyncio.timeout(PATIENCE_S):
        for wave in range(12):
            tasks = [asyncio.create_task(write(number)) for number in range(wave * 16, wave * 16 + 16)]
            await asyncio.gather(*(trouble(task) for task in tasks[::2] + tasks[1::4]))
            await asyncio.wait(tasks)
            failures = [t.exception() for t in tasks if not t.cancelled() and t.exception()]
            assert failures == []
        await use_every_connection(database_url)
    stored = await halves(look, writer)
    assert set(stored.values()) == {2}, "a transaction was committed by half"
    assert acknowledged <= set(stored), "an acknowledged row is lost"
    assert len(acknowledged) < 12 * 16, "the storm was none"


@pytest.mark.parametrize("delay", [0, 0.001, 0.003])
async def test_a_time_out_inside_a_transaction(delay: float, look: Look, database_url: str) -> None:
    """Whatever the database makes of the interrupted statement: what is acknowledged is stored, and whole."""
    acknowledged = set()
    async with asyncio.timeout(PATIENCE_S):
        for number in range(15):
            with contextlib.suppress(BaseORMException):
                async with transaction():
                    await rows("INSERT INTO pair (number, half) VALUES (?, 1)", number)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(delay):
                            while True:
                                await rows("SELECT COUNT(*) AS n FROM pair")
                    if number % 2:
                        await rows("INSERT INTO pair (number, half) VALUES (?, 2)", number)
                acknowledged.add(number)
        await use_every_connection(database_url)
    stored = await halves(look, write_pair)
    assert stored == {number: 1 + number % 2 for number in acknowledged}


async def test_a_failure_caught_inside_is_never_a_silent_rollback(look: Look) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK after any failed statement; that must not look like success."""
    is_acknowledged = False
    await write_pair(1)
    with contextlib.suppress(BaseORMException):
        async with transaction():
            await rows("INSERT INTO pair (number, half) VALUES (2, 1)")
            with contextlib.suppress(IntegrityError):
                await rows("INSERT INTO pair (number, half) VALUES (1, 1)")
        is_acknowledged = True
    assert ((2, 1) in await look("SELECT number, half FROM pair")) is is_acknowledged


async def test_a_nested_failure_takes_back_only_itself(look: Look) -> None:
    async with transaction():
        await rows("INSERT INTO pair (number, half) VALUES (1, 1)")
        with contextlib.suppress(IntegrityError):
            async with transaction():
                await rows("INSERT INTO pair (number, half) VALUES (1, 2)")
                await rows("INSERT INTO pair (number, half) VALUES (1, 1)")
        await rows("INSERT INTO pair (number, half) VALUES (1, 3)")
    assert sorted(await look("SELECT number, half FROM pair")) == [(1, 1), (1, 3)]


async def write_alone() -> None:
    await rows("INSERT INTO pair (number, half) VALUES (7, 7)")


@pytest.mark.parametrize("child", [write_alone, lambda: write_pair(7)], ids=["statement", "nested transaction"])
async def test_a_child_task_cannot_use_the_transaction_of_its_parent(
    child: Callable[[], Awaitable[None]], look: Look
) -> None:
    async with asyncio.timeout(PATIENCE_S):
        async with transaction():
            await rows("INSERT INTO pair (number, half) VALUES (1, 1)")
            with pytest.raises(TransactionManagementError):
                await asyncio.gather(child())
        assert await look("SELECT number, half FROM pair") == [(1, 1)]


async def test_a_child_task_cannot_write_after_the_end_of_its_parents_transaction(look: Look) -> None:
    has_ended = asyncio.Event()

    async def write_later() -> None:
        await has_ended.wait()
        await write_alone()

    async with asyncio.timeout(PATIENCE_S):
        async with transaction():
            await rows("INSERT INTO pair (number, half) VALUES (1, 1)")
            child = asyncio.create_task(write_later())
        has_ended.set()
        with pytest.raises(TransactionManagementError):
            await child
        assert await look("SELECT number, half FROM pair") == [(1, 1)]


async def count_up(database_url: str, times: int) -> None:
    """Read, think, write: what is lost without a lock from the first read on."""
    async with open_database(database_url, migrate=False):
        for _ in range(times):
            async with transaction():
                found = await row(f"SELECT half FROM pair WHERE number = 0{lock()}")  # noqa: S608
                assert found is not None
                await asyncio.sleep(0)
                await rows("UPDATE pair SET half = ? WHERE number = 0", found["half"] + 1)


async def test_processes_that_read_and_then_write_lose_nothing(database_url: str, look: Look) -> None:
    await rows("INSERT INTO pair (number, half) VALUES (0, 0)")
    await run_at_once(count_up, [(database_url, 40)] * 3)
    assert await look("SELECT half FROM pair") == [(120,)]


async def test_a_cancellation_is_not_lost_that_comes_as_the_work_ends() -> None:
    """A loop around such work would go on for ever: it is cancelled once."""
    was_cancelled = 0
    for turns in range(8):
        may_end = asyncio.Event()
        caller = asyncio.create_task(finish(may_end.wait()))
        await asyncio.sleep(0.01)
        may_end.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        if caller.cancel():
            was_cancelled += 1
            with pytest.raises(asyncio.CancelledError):
                await caller
    assert 2 <= was_cancelled < 8, "before the work ends, while it ends, and not after it"
