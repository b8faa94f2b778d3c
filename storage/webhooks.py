"""Deliveries of Stripe and SignNow, kept raw: each is stored once and applied once."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import orjson
from tortoise.fields import CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.database import is_postgres, raw_pool, rows, transact_sqlite
from storage.fields import InstantField, to_micros
from storage.ids import new_id
from storage.jobs import APPLY, SYSTEM


class WebhookSource(StrEnum):
    """Who sent it."""

    STRIPE = "STRIPE"
    SIGNNOW = "SIGNNOW"


class WebhookState(StrEnum):
    """IGNORED with a reason in `note`: there is nothing to do. FOREIGN: of a document that did not come through us.
    FAILED is not stored: its job was given up.
    """

    RECEIVED = "RECEIVED"
    APPLIED = "APPLIED"
    IGNORED = "IGNORED"
    FOREIGN = "FOREIGN"
    FAILED = "FAILED"


class WebhookEvent(Model):
    """One delivery by its key: Stripe's event id, or for SignNow, which has none, the fact that it states."""

    source = CharEnumField(WebhookSource)
    key = TextField()
    id = UUIDField(primary_key=True, default=new_id)
    type = TextField()
    payload = TextField()
    api_version = TextField(null=True)
    state = CharEnumField(WebhookState)
    note = TextField(null=True)
    received_at = InstantField()
    applied_at = InstantField(null=True)

    class Meta:
        table = "webhook_event"


@dataclass(slots=True)
class NewDelivery:
    """An event to be stored with the job that applies it, and what that job is told (`facts`). One that is decided on
    arrival, by `note`, has a job that is done, so that it can be replayed like any other.
    """

    source: WebhookSource
    key: str
    type: str
    payload: str
    api_version: str | None
    received_at: datetime
    facts: Mapping[str, str | None]
    note: str | None = None
    id: UUID = field(default_factory=new_id)

    def rows(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The values of EVENT_COLUMNS and of JOB_COLUMNS."""
        event_id, at = str(self.id), to_micros(self.received_at)
        told = orjson.dumps(self.facts).decode()
        is_new = self.note is None
        state, job_state = ("RECEIVED", "WAITING") if is_new else ("IGNORED", "DONE")
        event = (self.source.value, self.key, event_id, self.type, self.payload, self.api_version, state, self.note, at)
        return (*event, None if is_new else at), (SYSTEM, str(new_id()), APPLY, event_id, told, job_state, at, at)


EVENT_COLUMNS: Final = "source, key, id, type, payload, api_version, state, note, received_at, applied_at"
JOB_COLUMNS: Final = "tenant_id, id, topic, dedup, payload, state, run_at, created_at"
_EVENT: Final = f"INSERT INTO webhook_event ({EVENT_COLUMNS}) VALUES ({', '.join('?' * 10)}) ON CONFLICT DO NOTHING"
_JOB: Final = f"INSERT INTO job ({JOB_COLUMNS}) VALUES ({', '.join('?' * 8)}) ON CONFLICT DO NOTHING"
_BOTH: Final = f"""WITH event AS (
  INSERT INTO webhook_event ({EVENT_COLUMNS})
  SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::bigint[], $10::bigint[])
  ON CONFLICT (source, key) DO NOTHING RETURNING id)
INSERT INTO job ({JOB_COLUMNS})
SELECT new.* FROM unnest($11::bigint[], $12::uuid[], $13::text[], $14::text[], $15::text[], $16::text[], $17::bigint[],
  $18::bigint[]) AS new (tenant_id, id, topic, dedup, payload, state, run_at, created_at)
JOIN event ON event.id::text = new.dedup
ON CONFLICT (tenant_id, topic, dedup) DO NOTHING RETURNING dedup"""


async def store_deliveries(new: Sequence[NewDelivery]) -> set[UUID]:
    """Store each whose key is not taken with its job, all in one transaction of its own and one round trip. Answers the
    ids of those that were stored.
    """
    events, jobs = zip(*(delivery.rows() for delivery in new), strict=True)
    if is_postgres():
        columns = [list(column) for column in (*zip(*events, strict=True), *zip(*jobs, strict=True))]
        return {UUID(found["dedup"]) for found in await raw_pool().fetch(_BOTH, *columns)}

    def insert(connection: sqlite3.Connection) -> set[UUID]:
        stored = set()
        for delivery, event, job in zip(new, events, jobs, strict=True):
            if connection.execute(_EVENT, event).rowcount:
                connection.execute(_JOB, job)
                stored.add(delivery.id)
        return stored

    return await transact_sqlite(insert)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery with the job that applies it: how often it was tried, and what went wrong last."""

    event: WebhookEvent
    attempts: int
    last_error: str | None


async def list_deliveries(
    state: WebhookState | None, source: WebhookSource | None, after: UUID | None, limit: int
) -> Sequence[Delivery]:
    """In the order in which they came, after the given one. FAILED ones are told by their job."""
    given_up = "EXISTS (SELECT 1 FROM job WHERE job.tenant_id = 0 AND job.topic = 'webhook.apply' "
    given_up += "AND job.dedup = CAST(webhook_event.id AS TEXT) AND job.state = 'FAILED')"
    conditions: list[str] = []
    values: list[Any] = []
    if state is WebhookState.FAILED:
        conditions.append(f"state = 'RECEIVED' AND {given_up}")
    elif state is not None:
        conditions.append(f"state = ? AND NOT {given_up}")
        values.append(state.value)
    if source is not None:
        conditions.append("source = ?")
        values.append(source.value)
    if after is not None:
        conditions.append("id > ?")
        values.append(str(after))
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    found = await rows(f"SELECT id FROM webhook_event{where} ORDER BY id LIMIT ?", *values, limit)
    return await _deliveries([UUID(str(entry["id"])) for entry in found])


async def find_delivery(event_id: UUID) -> Delivery | None:
    """The delivery that is stored under that id."""
    found = await _deliveries([event_id])
    return found[0] if found else None


async def _deliveries(ids: Sequence[UUID]) -> list[Delivery]:
    if not ids:
        return []
    events = await WebhookEvent.filter(id__in=ids).order_by("id")
    found = await rows(
        "SELECT dedup, state, attempts, last_error FROM job WHERE tenant_id = 0 AND topic = 'webhook.apply' "
        f"AND dedup IN ({', '.join('?' * len(ids))})",
        *map(str, ids),
    )
    jobs = {entry["dedup"]: entry for entry in found}
    listed = []
    for event in events:
        job = jobs[str(event.id)]
        if job["state"] == "FAILED":
            event.state = WebhookState.FAILED
        listed.append(Delivery(event, job["attempts"], job["last_error"]))
    return listed
