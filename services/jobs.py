"""Running durable jobs: claim, work, and either complete in the transaction of the effect or come back later.

A handler does its network calls first and commits its effect inside `completing(job)`. Whatever it raises is kept on
the job and tried again with growing pauses; after `MAX_ATTEMPTS` the job is FAILED and waits for someone to look.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Final

from inkmeter.errors import InkmeterError, UpstreamRateLimited
from services.platform import Platform
from storage.database import transaction
from storage.jobs import (
    SYSTEM,
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

log = logging.getLogger("inkmeter.jobs")

MAX_ATTEMPTS: Final = 20
FIRST_TRY_IS_OURS: Final = timedelta(seconds=60)
"""How long a worker leaves a job alone that the request which added it runs itself."""

acting_for: ContextVar[int] = ContextVar("acting_for", default=SYSTEM)
"""The tenant whose job runs here; SYSTEM outside of jobs."""

Handler = Callable[[Platform, Job], Awaitable[None]]


class NotYet(Exception):
    """Raised by a handler that only waits for something: tried again after `pause`, and not counted as an attempt."""

    def __init__(self, reason: str, pause: timedelta = timedelta(minutes=1)) -> None:
        super().__init__(reason)
        self.pause = pause


@contextlib.asynccontextmanager
async def completing(job: Job) -> AsyncIterator[None]:
    """A transaction that also marks the job done: effect and mark stand or fall together."""
    async with transaction():
        yield
        await complete_job(job)


async def add_job(
    platform: Platform,
    *,
    tenant_id: int,
    topic: str,
    dedup: str,
    run_in: timedelta = timedelta(),
    payload: dict[str, Any] | None = None,
) -> bool:
    """Add a job in the current transaction, once per (tenant, topic, dedup)."""
    now = platform.clock.now()
    added = await enqueue_job(
        tenant_id=tenant_id, topic=topic, dedup=dedup, payload=payload or {}, now=now, run_at=now + run_in
    )
    platform.work_waits.set()
    return added


async def wake(platform: Platform, tenant_id: int, topic: str, dedup: str) -> None:
    """Make a waiting job due now."""
    await wake_job(tenant_id, topic, dedup, platform.clock.now())
    platform.work_waits.set()


async def run_now(platform: Platform, tenant_id: int, topic: str, dedup: str, handler: Handler) -> None:
    """Run one job at once, if nobody else has it. A failure is kept on the job, as a worker would keep it."""
    job = await claim_job(tenant_id, topic, dedup, platform.clock.now())
    if job is not None:
        await run_claimed(platform, job, handler)


async def claim_next(
    platform: Platform, handlers: Mapping[str, Handler], *, limit: int = 1, but_of: Sequence[int] = ()
) -> list[Job]:
    """Take the jobs that have been due for longest and have a handler here, but none of these tenants."""
    return await claim_due_jobs(platform.clock.now(), limit, tuple(handlers), but_of=but_of)


async def run_due_jobs(platform: Platform, handlers: Mapping[str, Handler], *, limit: int = 20) -> int:
    """Claim and run what is due, one after the other; answers how many jobs were run."""
    for count in range(limit):
        # One at a time: the lease of a job that waits behind a slow one would end before it has begun.
        claimed = await claim_next(platform, handlers)
        if not claimed:
            return count
        await run_claimed(platform, claimed[0], handlers[claimed[0].topic])
    return limit


async def run_claimed(platform: Platform, job: Job, handler: Handler) -> None:
    """Run a job that this worker holds. What it raises is kept on the job."""
    now = platform.clock.now()
    acting = acting_for.set(job.tenant_id)
    try:
        try:
            await handler(platform, job)
        except LeaseLost:
            raise
        except NotYet as wait:
            await postpone_job(job, now + wait.pause, str(wait), is_attempt=False)
        except Exception as error:
            expected = isinstance(error, InkmeterError)
            log.warning("job %s %s failed: %s", job.topic, job.dedup, error, exc_info=None if expected else error)
            if job.attempts >= MAX_ATTEMPTS:
                await fail_job(job, _reason(error))
            else:
                await postpone_job(job, now + _pause(job, error), _reason(error))
    except LeaseLost:
        log.warning("job %s %s was taken over by another worker", job.topic, job.dedup)
    finally:
        acting_for.reset(acting)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _pause(job: Job, error: Exception) -> timedelta:
    """Ever longer, and no shorter than the upstream asks for: "in a second" alone would soon use up all attempts."""
    pause = min(timedelta(seconds=2 ** min(job.attempts, 12)), timedelta(hours=1))
    if isinstance(error, UpstreamRateLimited) and error.retry_after is not None:
        return max(pause, timedelta(seconds=error.retry_after))
    return pause
