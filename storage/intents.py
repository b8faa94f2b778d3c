"""Calls that change Stripe, each noted under its idempotency key before it is made."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.database import rows, rows_unawaited
from storage.fields import InstantField, to_micros
from storage.ids import new_id


class IntentState(StrEnum):
    """SENT until an answer is noted; CONFIRMED and REFUSED are certain, UNKNOWN is not."""

    SENT = "SENT"
    CONFIRMED = "CONFIRMED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


class Intent(Model):
    """One key. Keys are unique in a Stripe account, not per tenant; `tenant_id` is 0 where none is known."""

    idempotency_key = TextField()
    id = UUIDField(primary_key=True, default=new_id)
    tenant_id = BigIntField()
    method = TextField()
    path = TextField()
    parameters = TextField()
    """A hash of what was asked for."""
    state = CharEnumField(IntentState)
    request_id = TextField(null=True)
    object_id = TextField(null=True)
    attempts = BigIntField()
    last_error = TextField(null=True)
    created_at = InstantField()
    """Since when Stripe may know the key."""
    sent_at = InstantField()
    settled_at = InstantField(null=True)

    class Meta:
        table = "intent"


async def send_intent(
    *, key: str, tenant_id: int, method: str, path: str, parameters: str, now: datetime, forgotten_before: datetime
) -> bool:
    """Note a call that is about to be made, again if it was made before.

    Answers False, and notes nothing, if the key stands for another call that Stripe may still know. What was confirmed
    stays so.
    """
    noted = await rows(
        "INSERT INTO intent (idempotency_key, id, tenant_id, method, path, parameters, state, attempts, created_at, "
        "sent_at) VALUES (?, ?, ?, ?, ?, ?, 'SENT', 1, ?, ?) ON CONFLICT (idempotency_key) DO UPDATE SET "
        "method = excluded.method, path = excluded.path, parameters = excluded.parameters, "
        "attempts = intent.attempts + 1, sent_at = excluded.sent_at, "
        "state = CASE WHEN intent.state = 'CONFIRMED' AND intent.created_at >= ? THEN intent.state ELSE 'SENT' END, "
        "created_at = CASE WHEN intent.created_at >= ? THEN intent.created_at ELSE excluded.created_at END "
        "WHERE intent.created_at < ? OR (intent.method = excluded.method AND intent.path = excluded.path "
        "AND intent.parameters = excluded.parameters) RETURNING 1 AS ok",
        key,
        str(new_id()),
        tenant_id,
        method,
        path,
        parameters,
        *[to_micros(now)] * 2,
        *[to_micros(forgotten_before)] * 3,
    )
    return bool(noted)


async def settle_intent(
    *,
    key: str,
    state: IntentState,
    request_id: str | None,
    object_id: str | None,
    error: str | None,
    settled_at: datetime | None,
) -> None:
    """Note what came of a call; an answer that is less certain than the one before changes nothing.

    The disk is not waited for: lost in a power cut, the call stands as sent, and its object is looked up.
    """
    await rows_unawaited(
        "UPDATE intent SET state = ?, request_id = COALESCE(?, request_id), object_id = COALESCE(?, object_id), "
        "last_error = ?, settled_at = ? WHERE idempotency_key = ? AND (state <> 'CONFIRMED' OR ? = 'CONFIRMED')",
        state.value,
        request_id,
        object_id,
        error,
        None if settled_at is None else to_micros(settled_at),
        key,
        state.value,
    )


async def remove_intents(before: datetime) -> int:
    """Forget what was settled before; answers how many.

    So is what has no answer and no key of ours, which all have a colon: it put an object into a state, or reported
    usage that has a row of its own, and whoever still wanted that has asked again under another key.
    """
    removed = await rows(
        "DELETE FROM intent WHERE settled_at < ? OR (settled_at IS NULL AND sent_at < ? "
        "AND idempotency_key NOT LIKE '%:%') RETURNING 1 AS ok",
        *[to_micros(before)] * 2,
    )
    return len(removed)


async def list_intents(state: IntentState | None, after: UUID | None, limit: int) -> Sequence[Intent]:
    """In the order in which they were first made, after the given one."""
    query = Intent.all() if state is None else Intent.filter(state=state)
    if after is not None:
        query = query.filter(id__gt=after)
    return await query.order_by("id").limit(limit)
