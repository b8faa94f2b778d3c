"""Jobs that were given up: seen, and run again with a fresh budget of attempts."""

from collections.abc import Sequence
from uuid import UUID

from inkmeter.errors import Conflict, NotFound
from services.platform import Platform
from storage.job_list import ListedJob as ListedJob
from storage.job_list import find_job, revive_jobs
from storage.job_list import list_jobs as stored_jobs
from storage.jobs import JobState as JobState


async def list_jobs(state: JobState | None, after: UUID | None, limit: int) -> Sequence[ListedJob]:
    """Jobs of all tenants in the order in which they were added, after the given one."""
    return await stored_jobs(state, after, limit)


async def retry_job(platform: Platform, job_id: UUID) -> ListedJob:
    """Have a job run again that was given up. Raises NotFound, or Conflict if it was not given up."""
    is_revived = await revive_jobs(platform.clock.now(), job_id)
    job = await find_job(job_id)
    if job is None:
        raise NotFound("There is no such Job", path=("jobId",))
    if not is_revived:
        raise Conflict(f"the job is {job.state}, not FAILED", path=("jobId",))
    platform.work_waits.set()
    return job


async def retry_all(platform: Platform) -> int:
    """Have every job run again that was given up; answers how many."""
    count = await revive_jobs(platform.clock.now())
    platform.work_waits.set()
    return count
