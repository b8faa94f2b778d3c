"""Durable jobs: an outbox row in the transaction of what makes it necessary, claimed by a lease, completed in the
transaction of its effect. A worker that dies leaves a lease that expires, and any other worker takes over.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import orjson

from storage.database import lock, rows, rows_unawaited
from storage.fields import from_micros, to_micros
from storage.ids import new_id

LEASE: Final = timedelta(seconds=60)
APPLY: Final = "webhook.apply"
"""The topic of the jobs that apply deliveries of webhooks."""
SYSTEM: Final = 0
"""The tenant key of jobs that belong to no tenant."""


class JobState(StrEnum):
    """FAILED after too many attempts: it waits for someone to look."""

    WAITING = "WAITING"
    DONE = "DONE"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. `attempts` counts this one; `created_at` is when it was first wanted."""

    tenant_id: int
    id: UUID
    topic: str
    dedup: str
    payload: dict[str, Any]
    attempts: int
    created_at: datetime
    lease_token: str


async def enqueue_job(
    *,
    tenant_id: int,
    topic: str,
    dedup: str,
    payload: dict[str, Any],
    now: datetime,
    run_at: datetime | None = None,
) -> bool:
    """Add a job unless (tenant, topic, dedup) exists; in the transaction of its reason. Answers whether it is new."""
    inserted = await rows(
        "INSERT INTO job (tenant_id, id, topic, dedup, payload, state, run_at, created_at) "
        "VALUES (?, ?, ?, ?, ?, 'WAITING', ?, ?) ON CONFLICT (tenant_id, topic, dedup) DO NOTHING RETURNING 1 AS ok",
        tenant_id,
        str(new_id()),
        topic,
        dedup,
        orjson.dumps(payload).decode(),
        to_micros(run_at or now),
        to_micros(now),
    )
    return bool(inserted)


async def wake_job(tenant_id: int, topic: str, dedup: str, now: datetime) -> None:
    """Make a waiting job due now."""
    await rows(
        "UPDATE job SET run_at = ? "
        "WHERE tenant_id = ? AND topic = ? AND dedup = ? AND state = 'WAITING' AND run_at > ?",
        to_micros(now),
        tenant_id,
        topic,
        dedup,
        to_micros(now),
    )


async def claim_due_jobs(
    now: datetime, limit: int, topics: Sequence[str] = (), *, but_of: Sequence[int] = ()
) -> list[Job]:
    """Take up to `limit` due jobs, of these topics if any are named, and of none of the tenants `but_of`; nobody else
    gets them until the lease ends.
    """
    named = f" AND topic IN ({', '.join('?' * len(topics))})" if topics else ""
    # In words of an index of its own: at a month end thousands of one side are due before the first of the other.
    if set(topics) == {APPLY}:
        named += f" AND topic = '{APPLY}'"
    elif topics and APPLY not in topics:
        named += f" AND topic <> '{APPLY}'"
    if but_of:
        named += f" AND tenant_id NOT IN ({', '.join('?' * len(but_of))})"
    # A delivery has its effect here alone: its lease may be lost in a power cut. Other jobs change something elsewhere,
    # and know by their attempts that it may have been done before.
    run = rows_unawaited if set(topics) == {APPLY} else rows
    return await _claim(f"run_at <= ?{named}", (to_micros(now), *topics, *but_of), now, limit, run)


async def revive_job(tenant_id: int, topic: str, dedup: str, now: datetime) -> None:
    """Have a job tried again that was given up: what stood in its way is mended."""
    await rows(
        "UPDATE job SET state = 'WAITING', attempts = 0, run_at = ? "
        "WHERE tenant_id = ? AND topic = ? AND dedup = ? AND state = 'FAILED'",
        to_micros(now),
        tenant_id,
        topic,
        dedup,
    )


async def claim_job(tenant_id: int, topic: str, dedup: str, now: datetime) -> Job | None:
    """Take one job whether it is due or not; None if it is done, failed or in other hands."""
    found = await _claim("tenant_id = ? AND topic = ? AND dedup = ?", (tenant_id, topic, dedup), now, 1)
    return found[0] if found else None


async def _claim(
    condition: str, values: tuple[Any, ...], now: datetime, limit: int, run: Callable[..., Any] = rows
) -> list[Job]:
    token = secrets.token_hex(16)
    skip = lock("UPDATE SKIP LOCKED")
    # Looked up once and joined by both keys, so that either index finds the row itself: for `(tenant_id, id) IN` SQLite
    # reads all jobs of a tenant, and PostgreSQL may.
    found = await run(
        "WITH due AS MATERIALIZED (SELECT tenant_id, id, topic, dedup FROM job "
        f"WHERE state = 'WAITING' AND {condition} AND (lease_until IS NULL OR lease_until < ?) "
        f"ORDER BY run_at LIMIT ?{skip}) "
        "UPDATE job SET lease_token = ?, lease_until = ?, attempts = attempts + 1 FROM due "
        "WHERE job.tenant_id = due.tenant_id AND job.id = due.id AND job.topic = due.topic AND job.dedup = due.dedup "
        "RETURNING job.tenant_id AS tenant_id, job.id AS id, job.topic AS topic, job.dedup AS dedup, "
        "payload, attempts, created_at",
        *values,
        to_micros(now),
        limit,
        token,
        to_micros(now + LEASE),
    )
    return [
        Job(
            tenant_id=entry["tenant_id"],
            id=UUID(str(entry["id"])),
            topic=entry["topic"],
            dedup=entry["dedup"],
            payload=orjson.loads(entry["payload"]),
            attempts=entry["attempts"],
            created_at=from_micros(entry["created_at"]),
            lease_token=token,
        )
        for entry in found
    ]


class LeaseLost(Exception):
    """Someone else took the job over: what this worker did must not be committed."""


async def complete_job(job: Job) -> None:
    """Mark a job done; in the transaction of its effect. Raises LeaseLost, so that the effect rolls back."""
    await _release(job, "state = 'DONE', lease_token = NULL, lease_until = NULL, last_error = NULL")


async def postpone_job(job: Job, run_at: datetime, reason: str | None, *, is_attempt: bool = True) -> None:
    """Give a job back, to be run again at `run_at`; `is_attempt=False` if it only waits for something."""
    await _release(
        job,
        "run_at = ?, last_error = ?, attempts = attempts - ?, lease_token = NULL, lease_until = NULL",
        to_micros(run_at),
        reason,
        0 if is_attempt else 1,
    )


async def advance_job(job: Job, payload: dict[str, Any], now: datetime) -> None:
    """Note how far a long job has come and keep it for another lease; in the transaction of what was done so far.

    Raises LeaseLost, so that it rolls back.
    """
    moved = await rows(
        "UPDATE job SET payload = ?, lease_until = ? "
        "WHERE tenant_id = ? AND id = ? AND lease_token = ? AND state = 'WAITING' RETURNING 1 AS ok",
        orjson.dumps(payload).decode(),
        to_micros(now + LEASE),
        job.tenant_id,
        str(job.id),
        job.lease_token,
    )
    if not moved:
        raise LeaseLost(f"{job.topic} {job.dedup}")


async def waiting_jobs(tenant_id: int, topic: str) -> set[str]:
    """The keys of the jobs of a topic that are not done."""
    found = await rows("SELECT dedup FROM job WHERE tenant_id = ? AND topic = ? AND state <> 'DONE'", tenant_id, topic)
    return {entry["dedup"] for entry in found}


async def fail_job(job: Job, reason: str) -> None:
    """Give a job up: it stays visible and can be run again."""
    await _release(job, "state = 'FAILED', last_error = ?, lease_token = NULL, lease_until = NULL", reason)


async def _release(job: Job, changes: str, *values: Any) -> None:
    released = await rows(
        f"UPDATE job SET {changes} WHERE tenant_id = ? AND id = ? AND lease_token = ? AND state = 'WAITING' "
        "RETURNING 1 AS ok",
        *values,
        job.tenant_id,
        str(job.id),
        job.lease_token,
    )
    if not released:
        raise LeaseLost(f"{job.topic} {job.dedup}")
