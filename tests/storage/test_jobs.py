"""Durable jobs: added once, held by one worker at a time, and done together with their effect."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from inkmeter.errors import UpstreamError, UpstreamRateLimited
from services import jobs
from services.platform import Platform
from storage.database import Database, open_database, row, rows, transaction
from storage.fields import from_micros
from storage.jobs import (
    LEASE,
    Job,
    LeaseLost,
    claim_due_jobs,
    claim_job,
    complete_job,
    enqueue_job,
    fail_job,
    postpone_job,
    wake_job,
)
from tests.processes import run_at_once
from tests.world import START, World

pytestmark = pytest.mark.anyio

TENANT, TOPIC = 7, "test.topic"
SECOND = timedelta(seconds=1)


async def enqueue(dedup: str = "one", **changes: object) -> bool:
    values = {"tenant_id": TENANT, "topic": TOPIC, "dedup": dedup, "payload": {"of": dedup}, "now": START, **changes}
    return await enqueue_job(**values)  # type: ignore[arg-type]


async def claim(dedup: str = "one", *, after: timedelta = timedelta()) -> Job:
    job = await claim_job(TENANT, TOPIC, dedup, START + after)
    assert job is not None
    return job


async def stored(dedup: str = "one") -> tuple[str, int, str | None]:
    """A job's state, its attempts and its last error."""
    found = await row("SELECT state, attempts, last_error FROM job WHERE dedup = ?", dedup)
    assert found is not None
    return found["state"], found["attempts"], found["last_error"]


class TestQueue:
    """The table alone."""

    pytestmark = pytest.mark.usefixtures("database")

    async def test_a_job_is_added_once(self) -> None:
        assert await enqueue() is True
        assert await enqueue(payload={"of": "another"}, run_at=START + SECOND) is False
        [job] = await claim_due_jobs(START, 10)
        assert (job.tenant_id, job.topic, job.dedup, job.payload) == (TENANT, TOPIC, "one", {"of": "one"})
        assert (job.attempts, job.created_at) == (1, START)

    async def test_a_job_that_is_done_is_not_added_again(self) -> None:
        await enqueue()
        await complete_job(await claim())
        assert await enqueue() is False
        assert await claim_due_jobs(START + LEASE * 2, 10) == []
        assert await claim_job(TENANT, TOPIC, "one", START + LEASE * 2) is None

    async def test_the_same_name_is_another_job_for_another_tenant_or_topic(self) -> None:
        assert await enqueue()
        assert await enqueue(tenant_id=8)
        assert await enqueue(topic="test.other")
        assert len(await claim_due_jobs(START, 10)) == 3

    async def test_a_job_goes_with_the_transaction_that_adds_it(self) -> None:
        async def add_and_fail() -> None:
            async with transaction():
                await enqueue()
                raise RuntimeError("after all")

        with pytest.raises(RuntimeError, match="after all"):
            await add_and_fail()
        assert await claim_due_jobs(START, 10) == []

    async def test_a_job_is_due_at_its_time(self) -> None:
        await enqueue(run_at=START + SECOND)
        assert await claim_due_jobs(START, 10) == []
        assert len(await claim_due_jobs(START + SECOND, 10)) == 1

    async def test_a_job_can_be_woken(self) -> None:
        await enqueue(run_at=START + timedelta(days=30))
        await wake_job(TENANT, TOPIC, "one", START + SECOND)
        assert await claim_due_jobs(START, 10) == []
        assert len(await claim_due_jobs(START + SECOND, 10)) == 1

    async def test_the_longest_waiting_are_claimed_first(self) -> None:
        for age in (2, 0, 3, 1):
            await enqueue(f"{age}", run_at=START - SECOND * age)
        assert {job.dedup for job in await claim_due_jobs(START, 2)} == {"3", "2"}
        assert {job.dedup for job in await claim_due_jobs(START, 2)} == {"1", "0"}

    async def test_workers_in_one_process_never_hold_the_same_job(self) -> None:
        for number in range(30):
            await enqueue(f"{number}")
        claimed = await asyncio.gather(*(claim_due_jobs(START, 4) for _ in range(12)))
        held = [job.id for jobs_of_one in claimed for job in jobs_of_one]
        assert len(held) == len(set(held))
        held += [job.id for job in await claim_due_jobs(START, 100)]
        assert len(held) == len(set(held)) == 30

    async def test_a_job_is_held_until_its_lease_ends(self) -> None:
        await enqueue()
        first = await claim()
        assert await claim_due_jobs(START + LEASE, 10) == []
        assert await claim_job(TENANT, TOPIC, "one", START + LEASE) is None
        [second] = await claim_due_jobs(START + LEASE + SECOND, 10)
        assert (first.id, first.attempts) == (second.id, second.attempts - 1)
        assert first.lease_token != second.lease_token

    @pytest.mark.parametrize(
        "end",
        [
            complete_job,
            lambda job: postpone_job(job, START, "too late"),
            lambda job: postpone_job(job, START, None, is_attempt=False),
            lambda job: fail_job(job, "too late"),
        ],
        ids=["complete", "postpone", "wait", "fail"],
    )
    async def test_who_lost_the_lease_changes_nothing(self, end: Callable[[Job], Awaitable[None]]) -> None:
        await enqueue()
        late, present = await claim(), await claim(after=LEASE + SECOND)
        with pytest.raises(LeaseLost):
            await end(late)
        assert await stored() == ("WAITING", 2, None)
        await complete_job(present)
        assert await stored() == ("DONE", 2, None)
        with pytest.raises(LeaseLost):
            await end(present)

    async def test_the_effect_of_who_lost_the_lease_is_rolled_back(self) -> None:
        await enqueue()
        late = await claim()
        await claim(after=LEASE + SECOND)

        async def finish() -> None:
            async with jobs.completing(late):
                await enqueue("effect")

        with pytest.raises(LeaseLost):
            await finish()
        assert await row("SELECT 1 AS one FROM job WHERE dedup = 'effect'") is None

    async def test_an_effect_that_fails_leaves_the_job_waiting(self) -> None:
        await enqueue()
        job = await claim()

        async def finish() -> None:
            async with jobs.completing(job):
                await enqueue("effect")
                raise RuntimeError("the effect failed")

        with pytest.raises(RuntimeError, match="the effect failed"):
            await finish()
        assert await row("SELECT 1 AS one FROM job WHERE dedup = 'effect'") is None
        assert await stored() == ("WAITING", 1, None)


async def claim_all(database_url: str) -> list[UUID]:
    async with open_database(database_url, migrate=False):
        held: list[UUID] = []
        while claimed := await claim_due_jobs(START, 2):
            held += [job.id for job in claimed]
            for job in claimed[1:]:
                await complete_job(job)
        return held


async def test_workers_in_several_processes_never_hold_the_same_job(database: Database, database_url: str) -> None:
    for number in range(60):
        await enqueue(f"{number}")
    by_process = await run_at_once(claim_all, [(database_url,)] * 3)
    held = [job_id for held_by_one in by_process for job_id in held_by_one]
    assert len(held) == len(set(held)) == 60


class TestRunning:
    """What `services.jobs` makes of a handler's fate."""

    async def run(self, world: World, handler: jobs.Handler) -> int:
        return await jobs.run_due_jobs(world.platform, {TOPIC: handler})

    async def test_a_job_runs_once(self, world: World) -> None:
        await enqueue()
        ran: list[str] = []

        async def handler(_: Platform, job: Job) -> None:
            ran.append(job.dedup)
            async with jobs.completing(job):
                await enqueue("effect", run_at=START + SECOND)

        assert await self.run(world, handler) == 1
        assert await self.run(world, handler) == 0
        assert ran == ["one"]
        assert await stored() == ("DONE", 1, None)
        assert (await stored("effect"))[0] == "WAITING"

    async def test_a_failure_is_kept_and_tried_again_after_growing_pauses(self, world: World) -> None:
        await enqueue()

        async def handler(_: Platform, job: Job) -> None:
            raise UpstreamError(f"down for the {job.attempts}. time")

        pauses = []
        for attempt in range(1, jobs.MAX_ATTEMPTS):
            assert await self.run(world, handler) == 1
            assert await self.run(world, handler) == 0, "it must pause"
            assert await stored() == ("WAITING", attempt, f"UpstreamError: down for the {attempt}. time")
            [found] = await rows("SELECT run_at FROM job")
            pause = from_micros(found["run_at"]) - world.clock.now()
            pauses.append(pause)
            world.clock.travel_to(world.clock.now() + pause)
        assert pauses == sorted(pauses)
        assert pauses[0] >= SECOND
        assert pauses[-1] == timedelta(hours=1)
        assert await self.run(world, handler) == 1
        assert (await stored())[:2] == ("FAILED", jobs.MAX_ATTEMPTS)
        world.clock.travel_to(world.clock.now() + timedelta(days=1))
        assert await self.run(world, handler) == 0, "a failed job waits for someone to look"

    async def test_in_a_second_is_not_taken_at_its_word_for_ever(self, world: World) -> None:
        await enqueue()

        async def handler(_: Platform, job: Job) -> None:
            raise UpstreamRateLimited("slow down", retry_after=1)

        for _ in range(60):  # a minute of a look each second
            await self.run(world, handler)
            world.clock.travel_to(world.clock.now() + SECOND)
        state, attempts, _ = await stored()
        assert state == "WAITING"
        assert attempts < jobs.MAX_ATTEMPTS / 2

    async def test_an_upstream_that_says_when_is_believed(self, world: World) -> None:
        await enqueue()

        async def handler(_: Platform, job: Job) -> None:
            raise UpstreamRateLimited("slow down", retry_after=300)

        await self.run(world, handler)
        assert await claim_due_jobs(START + SECOND * 299, 1) == []
        assert len(await claim_due_jobs(START + SECOND * 300, 1)) == 1

    async def test_waiting_is_not_an_attempt(self, world: World) -> None:
        await enqueue()

        async def handler(_: Platform, job: Job) -> None:
            assert job.attempts == 1
            raise jobs.NotYet("not made yet", timedelta(minutes=5))

        for _ in range(jobs.MAX_ATTEMPTS + 5):
            assert await self.run(world, handler) == 1
            assert await self.run(world, handler) == 0
            world.clock.travel_to(world.clock.now() + timedelta(minutes=5))
        assert await stored() == ("WAITING", 0, "not made yet")

    async def test_one_failing_job_does_not_stop_the_others(self, world: World) -> None:
        for name in ("a", "bad", "c"):
            await enqueue(name)

        async def handler(_: Platform, job: Job) -> None:
            if job.dedup == "bad":
                raise UpstreamError("no")
            await complete_job(job)

        assert await self.run(world, handler) == 3
        assert [(await stored(name))[0] for name in ("a", "bad", "c")] == ["DONE", "WAITING", "DONE"]

    async def test_a_worker_that_lost_its_job_goes_on_quietly(self, world: World) -> None:
        await enqueue()

        async def handler(_: Platform, job: Job) -> None:
            await claim(after=LEASE + SECOND)  # somebody took it over
            async with jobs.completing(job):
                await enqueue("effect")

        assert await self.run(world, handler) == 1
        assert await stored() == ("WAITING", 2, None)
        assert await row("SELECT 1 AS one FROM job WHERE dedup = 'effect'") is None

    async def test_no_job_is_held_while_another_one_runs(self, world: World) -> None:
        for name in ("slow", "next"):
            await enqueue(name)
        ran: list[str] = []

        async def handler(_: Platform, job: Job) -> None:
            ran.append(job.dedup)
            others = await claim_due_jobs(world.clock.now(), 10)
            assert {other.dedup for other in others} == {"slow", "next"} - {job.dedup}
            await complete_job(job)

        assert await self.run(world, handler) == 1
        assert len(ran) == 1

    async def test_the_request_that_adds_a_job_may_run_it_itself(self, world: World) -> None:
        await jobs.add_job(world.platform, tenant_id=TENANT, topic=TOPIC, dedup="mine", run_in=jobs.FIRST_TRY_IS_OURS)
        ran: list[str] = []

        async def handler(_: Platform, job: Job) -> None:
            ran.append(job.dedup)
            await complete_job(job)

        assert await self.run(world, handler) == 0
        await jobs.run_now(world.platform, TENANT, TOPIC, "mine", handler)
        await jobs.run_now(world.platform, TENANT, TOPIC, "mine", handler)
        assert ran == ["mine"]

    async def test_a_cancelled_worker_leaves_the_job_to_the_next(self, world: World) -> None:
        await enqueue()
        has_begun = asyncio.Event()

        async def handler(_: Platform, job: Job) -> None:
            has_begun.set()
            await asyncio.Event().wait()

        worker = asyncio.create_task(self.run(world, handler))
        await has_begun.wait()
        worker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await worker
        assert await claim_due_jobs(START + LEASE, 1) == []
        assert len(await claim_due_jobs(START + LEASE + SECOND, 1)) == 1
