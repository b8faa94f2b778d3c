"""Webhooks in, through one door: verify the raw bytes, store once, answer; apply once, later, from a fresh look.

Deliveries come late, twice and out of order. So an event only says where to look: the object is fetched anew, and
its effect and the mark on the event are one commit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from inkmeter.errors import InkmeterError, SignNowNotConnected, SignNowRefused, WebhookRejected
from integrations.protocols import NOT_FOUND, SignNowCallback, SignNowDocument, StripeEvent
from services import identities, jobs, recorded, signing, stripe_events
from services.platform import Platform
from storage.documents import Document
from storage.jobs import APPLY as APPLY
from storage.jobs import Job
from storage.tenants import Tenant, TenantState
from storage.webhooks import NewDelivery, WebhookEvent, WebhookSource, WebhookState

PATIENCE: Final = 3
"""How often a SignNow document that we do not know is looked up again: its upload may be about to be committed."""

FOREIGN_NOTE: Final = "not a document of ours: it was not made through Inkmeter, and counts for nobody"
NO_DOCUMENT_NOTE: Final = "it tells of no document"
GONE_NOTE: Final = "the document is not in SignNow any more; what the callback says of signing is counted"

MAX_WORD: Final = 500
"""Characters of an id or a type; theirs have some dozens."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delivery. `is_new` is False for one that was stored before."""

    event_id: UUID
    is_new: bool


async def receive_stripe(platform: Platform, payload: bytes, signature: str | None) -> Receipt:
    """Verify and store a delivery of Stripe. Raises WebhookRejected; nothing is stored then."""
    event = _verified(platform.verify_stripe, payload, signature)
    return await store_stripe(platform, event, payload)


async def store_stripe(platform: Platform, event: StripeEvent, payload: bytes) -> Receipt:
    """Store an event that is known to be Stripe's, once. Raises WebhookRejected."""
    # Decided on arrival: of all that an endpoint may be subscribed to, most concerns nobody.
    note = None if event.type in stripe_events.HANDLERS else _why_nothing(event.type)
    facts = {"object_id": event.object_id}
    delivery = _delivery(
        platform, WebhookSource.STRIPE, event.id, event.type, payload, event.object_id, facts, event.api_version, note
    )
    return await _store(platform, delivery)


async def receive_signnow(platform: Platform, payload: bytes, signature: str | None) -> Receipt:
    """Verify and store a delivery of SignNow. Raises WebhookRejected; nothing is stored then."""
    return await store_signnow(platform, _verified(platform.verify_signnow, payload, signature))


async def store_signnow(platform: Platform, callback: SignNowCallback) -> Receipt:
    """Store a callback that is known to be SignNow's, once. Raises WebhookRejected."""
    about = callback.document_id
    facts = {"document_id": about, "occurred_at": callback.occurred_at.isoformat()}
    source = WebhookSource.SIGNNOW
    return await _store(
        platform, _delivery(platform, source, callback.key, callback.event, callback.body, about, facts)
    )


def _verified(verify: Callable[[bytes, str | None], T], payload: bytes, signature: str | None) -> T:
    try:
        return verify(payload, signature)
    except RecursionError:
        raise WebhookRejected("the body is nested too deeply") from None


def _delivery(
    platform: Platform,
    source: WebhookSource,
    key: str,
    kind: str,
    payload: bytes,
    about: str | None,
    facts: Mapping[str, str | None],
    api_version: str | None = None,
    note: str | None = None,
) -> NewDelivery:
    try:
        text = payload.decode()  # JSON may also be UTF-16, which nobody sends
    except UnicodeDecodeError:
        raise WebhookRejected("the body is not UTF-8") from None
    if not all(word.isprintable() and len(word) <= MAX_WORD for word in (key, kind, about or "", api_version or "")):
        raise WebhookRejected("an id or the type is not printable text, or too long")
    return NewDelivery(source, key, kind, text, api_version, platform.clock.now(), facts, note)


async def _store(platform: Platform, delivery: NewDelivery) -> Receipt:
    is_new = await platform.inbox.store(delivery)
    if delivery.note is None:
        platform.work_waits.set()
    if is_new:
        return Receipt(delivery.id, is_new)
    return Receipt((await WebhookEvent.get(source=delivery.source, key=delivery.key)).id, is_new)


async def apply_webhook(platform: Platform, job: Job) -> None:
    """The job: fetch the object that an event speaks of, and take over how it stands now."""
    event = await WebhookEvent.get(id=job.dedup)
    if event.source is WebhookSource.STRIPE:
        await _apply_stripe(platform, job, event)
    else:
        await _apply_signnow(platform, job, event)


async def _apply_stripe(platform: Platform, job: Job, event: WebhookEvent) -> None:
    handler = stripe_events.HANDLERS.get(event.type)
    object_id = event.key if event.type in stripe_events.SAID_BY_EVENT else job.payload["object_id"]
    if handler is None or object_id is None:
        await _finish(platform, job, event, _why_nothing(event.type))
        return
    async with platform.turns.take(object_id):
        effect = await recorded.find_recorded(event.type, object_id) or await handler(platform, object_id)
        async with jobs.completing(job):
            applied = await effect()
            await _mark(platform, event, applied.why_ignored)
    for heard in applied.events:
        await platform.plugins.publish(heard)


def _why_nothing(event_type: str) -> str:
    reason = stripe_events.IGNORED.get(event_type, "Inkmeter does not know such events")
    return f"nothing to do on {event_type}: {reason}"


async def _apply_signnow(platform: Platform, job: Job, event: WebhookEvent) -> None:
    signnow_id = job.payload["document_id"]
    document = await Document.get_or_none(signnow_document_id=signnow_id) if signnow_id else None
    if document is None:
        if signnow_id and job.attempts <= PATIENCE and not event.type.endswith("document.create"):
            raise UnknownDocument(f"no document of ours is {signnow_id} in SignNow yet")
        await _finish(
            platform, job, event, FOREIGN_NOTE if signnow_id else NO_DOCUMENT_NOTE, is_foreign=bool(signnow_id)
        )
        return
    tenant = await Tenant.get(id=document.tenant_id)
    theirs: SignNowDocument | None
    try:
        theirs = await identities.signnow_for(platform, tenant).document(document.signnow_document_id)
    except SignNowNotConnected as refusal:
        if tenant.state is TenantState.DEPROVISIONED:
            await _finish(platform, job, event, "its tenant has left")
            return
        raise jobs.NotYet(refusal.message, timedelta(hours=1)) from None
    except SignNowRefused as refusal:
        if refusal.upstream_code != NOT_FOUND:
            raise
        theirs = None
    occurred_at = datetime.fromisoformat(job.payload["occurred_at"])
    # Before the delivery is marked as applied: killed in between, the same is noted again, which adds nothing.
    if theirs is not None:
        await signing.note_signing(platform, document, theirs, occurred_at)
    else:
        await signing.note_told(platform, document, event.key, occurred_at)
    async with jobs.completing(job):
        await _mark(platform, event, None if theirs is not None else GONE_NOTE)


async def _finish(
    platform: Platform, job: Job, event: WebhookEvent, why_ignored: str, *, is_foreign: bool = False
) -> None:
    async with jobs.completing(job):
        await _mark(platform, event, why_ignored, is_foreign=is_foreign)


async def _mark(platform: Platform, event: WebhookEvent, why_ignored: str | None, *, is_foreign: bool = False) -> None:
    ignored = WebhookState.FOREIGN if is_foreign else WebhookState.IGNORED
    await WebhookEvent.filter(id=event.id).update(
        state=ignored if why_ignored else WebhookState.APPLIED,
        note=why_ignored,
        applied_at=platform.clock.now(),
    )


class UnknownDocument(InkmeterError):
    """SignNow speaks of a document before we know it; looked up again a few times."""

    code = "UNKNOWN_DOCUMENT"
