"""Jobs as an operator sees them: listed, and revived after they were given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from storage.database import rows
from storage.fields import from_micros, to_micros
from storage.jobs import JobState

_COLUMNS = "tenant_id, id, topic, dedup, state, attempts, last_error, created_at, run_at"


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job as it is stored. `attempts` counts since it was added or revived."""

    tenant_id: int
    id: UUID
    topic: str
    dedup: str
    state: JobState
    attempts: int
    last_error: str | None
    created_at: datetime
    run_at: datetime


def _job(entry: dict[str, Any]) -> ListedJob:
    return ListedJob(
        **{name: entry[name] for name in ("tenant_id", "topic", "dedup", "attempts", "last_error")},
        id=UUID(str(entry["id"])),
        state=JobState(entry["state"]),
        created_at=from_micros(entry["created_at"]),
        run_at=from_micros(entry["run_at"]),
    )


async def list_jobs(state: JobState | None, after: UUID | None, limit: int) -> Sequence[ListedJob]:
    """In the order in which they were added, after the given one."""
    wanted = [("state = ?", state and state.value), ("id > ?", after and str(after))]
    conditions = [condition for condition, value in wanted if value]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    values = [value for _, value in wanted if value]
    found = await rows(f"SELECT {_COLUMNS} FROM job{where} ORDER BY id LIMIT ?", *values, limit)
    return [_job(entry) for entry in found]


async def find_job(job_id: UUID) -> ListedJob | None:
    """The job with that id."""
    found = await rows(f"SELECT {_COLUMNS} FROM job WHERE id = ?", str(job_id))
    return _job(found[0]) if found else None


async def revive_jobs(now: datetime, job_id: UUID | None = None) -> int:
    """Give a job that was given up, or all of them, a fresh budget of attempts, from now on; answers how many."""
    only, values = (" AND id = ?", [str(job_id)]) if job_id else ("", [])
    revived = await rows(
        f"UPDATE job SET state = 'WAITING', attempts = 0, run_at = ? WHERE state = 'FAILED'{only} RETURNING 1 AS ok",
        to_micros(now),
        *values,
    )
    return len(revived)


async def restart_job(tenant_id: int, topic: str, dedup: str, now: datetime) -> bool:
    """Run a job again that is done or was given up, with a fresh budget; False if it waits to be run anyway."""
    restarted = await rows(
        "UPDATE job SET state = 'WAITING', attempts = 0, run_at = ? "
        "WHERE tenant_id = ? AND topic = ? AND dedup = ? AND state <> 'WAITING' RETURNING 1 AS ok",
        to_micros(now),
        tenant_id,
        topic,
        dedup,
    )
    return bool(restarted)
