"""Webhooks in, through one door: verify the raw bytes, store once, answer; apply once, later, from a fresh look.

Deliveries come late, twice and out of order. So an event only says where to look: the object is fetched anew, and
its effect and the mark on the event are one commit.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from inkmeter.errors import InkmeterError
from inkmeter.events import DocumentCompleted
from integrations.protocols import SignNowDocument
from services import invoices, jobs, subscriptions, usage
from services.platform import Platform
from storage.database import insert_new, transaction
from storage.documents import Document, DocumentState
from storage.jobs import SYSTEM, Job
from storage.subscriptions import PeriodState
from storage.tenants import Tenant
from storage.usage import UsageEvent
from storage.webhooks import WebhookEvent, WebhookSource, WebhookState

APPLY: Final = "webhook.apply"
PATIENCE: Final = 3
"""How often a SignNow document that we do not know is looked up again: its upload may be about to be committed."""

STRIPE_DRAFTS: Final = ("invoice.created",)
STRIPE_PAYMENTS: Final = ("invoice.paid", "invoice.payment_failed")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delivery. `is_new` is False for one that was stored before."""

    event_id: UUID
    is_new: bool


async def receive_stripe(platform: Platform, payload: bytes, signature: str | None) -> Receipt:
    """Verify and store a delivery of Stripe. Raises WebhookRejected; nothing is stored then."""
    event = platform.verify_stripe(payload, signature)
    stored = _event(platform, WebhookSource.STRIPE, event.id, event.type, payload)
    return await _store(platform, stored, object_id=event.object_id)


async def receive_signnow(platform: Platform, payload: bytes, signature: str | None) -> Receipt:
    """Verify and store a delivery of SignNow. Raises WebhookRejected; nothing is stored then."""
    callback = platform.verify_signnow(payload, signature)
    stored = _event(platform, WebhookSource.SIGNNOW, callback.key, callback.event, payload)
    return await _store(
        platform, stored, document_id=callback.document_id, occurred_at=callback.occurred_at.isoformat()
    )


def _event(platform: Platform, source: WebhookSource, key: str, kind: str, payload: bytes) -> WebhookEvent:
    return WebhookEvent(
        source=source,
        key=key,
        type=kind,
        payload=payload.decode(),  # verified as JSON, which is UTF-8
        state=WebhookState.RECEIVED,
        received_at=platform.clock.now(),
    )


async def _store(platform: Platform, event: WebhookEvent, **facts: str | None) -> Receipt:
    async with transaction():
        is_new = await insert_new(event, ["source", "key"])
        if is_new:
            await jobs.add_job(platform, tenant_id=SYSTEM, topic=APPLY, dedup=str(event.id), payload=dict(facts))
    stored = event if is_new else await WebhookEvent.get(source=event.source, key=event.key)
    return Receipt(stored.id, is_new)


async def apply_webhook(platform: Platform, job: Job) -> None:
    """The job: fetch the object that an event speaks of, and take over how it stands now."""
    event = await WebhookEvent.get(id=job.dedup)
    if event.source is WebhookSource.STRIPE:
        await _apply_stripe(platform, job, event)
    else:
        await _apply_signnow(platform, job, event)


async def _apply_stripe(platform: Platform, job: Job, event: WebhookEvent) -> None:
    invoice_id = job.payload["object_id"]
    if event.type not in (*STRIPE_DRAFTS, *STRIPE_PAYMENTS) or invoice_id is None:
        await _finish(platform, job, event, f"Inkmeter has nothing to do on {event.type}")
        return
    theirs = await platform.stripe.invoice(invoice_id)
    if event.type in STRIPE_DRAFTS and theirs.status == "draft" and await invoices.is_cycle_of_ours(theirs):
        # Stripe would finalize it by its own timer, whether our lines are on it or not.
        await platform.stripe.hold_invoice(theirs.id)
    note = invoices.attach_draft if event.type in STRIPE_DRAFTS else invoices.note_payment
    async with jobs.completing(job):
        why_ignored = await note(platform, theirs)
        await _mark(platform, event, why_ignored)
    if event.type in STRIPE_PAYMENTS and why_ignored is None:
        await invoices.publish_payment(platform, theirs)


async def _apply_signnow(platform: Platform, job: Job, event: WebhookEvent) -> None:
    signnow_id = job.payload["document_id"]
    document = await Document.get_or_none(signnow_document_id=signnow_id) if signnow_id else None
    if document is None:
        if signnow_id and job.attempts <= PATIENCE and not event.type.endswith("document.create"):
            raise UnknownDocument(f"no document of ours is {signnow_id} in SignNow yet")
        await _finish(platform, job, event, "not a document of ours")
        return
    theirs = await platform.signnow.document(document.signnow_document_id)
    occurred_at = datetime.fromisoformat(job.payload["occurred_at"])
    async with jobs.completing(job):
        is_completed = await _count_signing(platform, document, theirs, occurred_at)
        await _mark(platform, event, None)
    if is_completed:
        tenant = await Tenant.get(id=document.tenant_id)
        await platform.plugins.publish(DocumentCompleted(str(tenant.public_id), platform.clock.now(), str(document.id)))


async def _count_signing(
    platform: Platform, document: Document, theirs: SignNowDocument, occurred_at: datetime
) -> bool:
    """Count each signature and the completion once, however often and in whatever order we hear of them."""
    for invite in (*theirs.field_invites, *theirs.free_form_invites):
        if invite.status == "fulfilled":
            await _count(platform, document, "signatures", f"signnow:signed:{invite.id}", occurred_at)
    if not theirs.is_completed:
        return False
    await _count(platform, document, "documents_completed", f"signnow:complete:{theirs.id}", occurred_at)
    changed = await Document.filter(tenant_id=document.tenant_id, id=document.id, completed_at=None).update(
        state=DocumentState.COMPLETED, completed_at=occurred_at
    )
    return bool(changed)


async def _count(platform: Platform, document: Document, meter: str, key: str, occurred_at: datetime) -> None:
    period = await subscriptions.ensure_period(platform, document.tenant_id, occurred_at)
    await usage.count_event(
        UsageEvent(
            tenant_id=document.tenant_id,
            idempotency_key=key,
            meter=meter,
            quantity=1,
            occurred_at=occurred_at,
            recorded_at=platform.clock.now(),
            is_late=period.state is PeriodState.CLOSED,
            source="signnow",
            document_id=document.id,
            upstream_units=0,
        ),
        period.starts_at,
    )


async def _finish(platform: Platform, job: Job, event: WebhookEvent, why_ignored: str) -> None:
    async with jobs.completing(job):
        await _mark(platform, event, why_ignored)


async def _mark(platform: Platform, event: WebhookEvent, why_ignored: str | None) -> None:
    await WebhookEvent.filter(id=event.id).update(
        state=WebhookState.IGNORED if why_ignored else WebhookState.APPLIED,
        note=why_ignored,
        applied_at=platform.clock.now(),
    )


class UnknownDocument(InkmeterError):
    """SignNow speaks of a document before we know it; looked up again a few times."""

    code = "UNKNOWN_DOCUMENT"
