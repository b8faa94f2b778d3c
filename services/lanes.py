"""Jobs side by side: a bounded number at once, so that a slow one does not hold the others."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from services import jobs
from services.platform import Platform
from storage.jobs import Job

log = logging.getLogger("inkmeter.lanes")


async def run_in_lanes(
    platform: Platform,
    handlers: Mapping[str, jobs.Handler],
    wake: asyncio.Event,
    *,
    lanes: int,
    pause_s: float,
    is_by_tenant: bool = False,
) -> None:
    """Run due jobs of these topics until cancelled, at most `lanes` at once; looks when woken, else each `pause_s`.

    A job is claimed only when a lane is free for it: the lease of one that waits would end before it has begun. With
    `is_by_tenant` a tenant has one lane at most. Who is cancelled leaves its jobs to the end of their leases.
    """
    running: dict[asyncio.Task[None], int] = {}

    def end(task: asyncio.Task[None]) -> None:
        running.pop(task, None)
        wake.set()

    async def claim() -> list[Job]:
        if is_by_tenant:
            return await jobs.claim_next(platform, handlers, but_of=sorted(running.values()))
        return await jobs.claim_next(platform, handlers, limit=lanes - len(running))

    try:
        while True:
            wake.clear()
            try:
                while len(running) < lanes and (claimed := await claim()):
                    for job in claimed:
                        task = asyncio.create_task(_run(platform, job, handlers[job.topic]))
                        running[task] = job.tenant_id
                        task.add_done_callback(end)
            except Exception:
                # A database that is down comes back.
                log.exception("the lanes go on after an error")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await wake.wait()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _run(platform: Platform, job: Job, handler: jobs.Handler) -> None:
    try:
        await jobs.run_claimed(platform, job, handler)
    except Exception:
        log.exception("what became of %s %s could not be noted; it runs again after its lease", job.topic, job.dedup)
