"""Background work: what was given up, and running it again."""

from uuid import UUID

from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import require_operator
from schema import jobs as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size, uuid_of
from schema.nodes import global_id
from services import retrying, tenants
from services.retrying import JobState, ListedJob


@query("Background work, in the order in which it was added. Operator only.", name="jobs")
async def jobs_list(
    info: Info, state: types.JobFilter = None, first: First = DEFAULT_PAGE, after: After = None
) -> Connection[types.Job]:
    require_operator(info)
    size = page_size(first)
    rows = await retrying.list_jobs(JobState[state.name] if state else None, decode_cursor(after, UUID), size + 1)
    owners = await tenants.public_ids(row.tenant_id for row in rows)
    return page_of(rows, size, key=lambda row: str(row.id), node=lambda row: job_type(row, owners), after=after)


@mutation("Run a job again that was given up, with a fresh budget of attempts. Operator only.")
async def retry_job(info: Info, input: types.RetryJobInput) -> types.RetryJobPayload:
    require_operator(info)
    job = await retrying.retry_job(info.context.platform, uuid_of(input.job_id, "Job", path=("jobId",)))
    return types.RetryJobPayload(job=job_type(job, await tenants.public_ids([job.tenant_id])))


def job_type(job: ListedJob, owners: dict[int, UUID]) -> types.Job:
    """A job as the API shows it."""
    owner = owners.get(job.tenant_id)
    return types.Job(
        id=global_id("Job", job.id),
        topic=job.topic,
        subject=job.dedup,
        tenant_id=global_id("Tenant", owner) if owner else None,
        state=types.JobState[job.state.name],
        attempts=job.attempts,
        last_error=job.last_error,
        created_at=job.created_at,
        run_at=job.run_at,
    )
