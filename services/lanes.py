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
    platform: Platform, handlers: Mapping[str, jobs.Handler], wake: asyncio.Event, *, lanes: int, pause_s: float
) -> None:
    """Run due jobs of these topics until cancelled, at most `lanes` at once; looks when woken, else each `pause_s`.

    A job is claimed only when a lane is free for it: the lease of one that waits would end before it has begun. Who is
    cancelled leaves its jobs to the end of their leases.
    """
    running: set[asyncio.Task[None]] = set()

    def end(task: asyncio.Task[None]) -> None:
        running.discard(task)
        wake.set()

    try:
        while True:
            wake.clear()
            try:
                while len(running) < lanes and (job := await jobs.claim_next(platform, handlers)):
                    task = asyncio.create_task(_run(platform, job, handlers[job.topic]))
                    running.add(task)
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
