"""Deliveries of Stripe and SignNow, kept raw: each is stored once and applied once."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from tortoise.fields import CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.database import rows
from storage.fields import InstantField
from storage.ids import new_id


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
