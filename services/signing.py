"""Signing: what SignNow says has become of a document, counted once however often and however we hear of it."""

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from inkmeter.errors import Refused, SignNowNotConnected, SignNowRefused, SubscriptionInactive
from inkmeter.events import DocumentCompleted
from integrations.protocols import SignNowDocument
from services import identities, jobs, operations
from services.commands import Fact, Record
from services.platform import Platform
from storage.documents import Document, DocumentState, members_of
from storage.jobs import Job
from storage.tenants import Tenant

FOLLOW: Final = "document.follow"
FOLLOW_EVERY: Final = timedelta(days=1)
"""How often SignNow is asked about a document that is out, at first; ever more seldom as it grows older. Callbacks are
faster; one that was lost is made up for."""
FOLLOW_FOR: Final = timedelta(days=180)
"""How long a document is followed; after that its callbacks still count."""


async def note_signing(platform: Platform, document: Document, theirs: SignNowDocument, occurred_at: datetime) -> None:
    """Count each signature and the completion, and mark the document. Doing it again adds nothing.

    Outside of every subscription the document is only marked.
    """
    facts = [
        Fact("signatures", 1, f"signnow:signed:{invite.id}", occurred_at, is_moment_given=False)
        for invite in (*theirs.field_invites, *theirs.free_form_invites)
        if invite.status == "fulfilled"
    ]
    if theirs.is_completed:
        key = f"signnow:complete:{theirs.id}"
        facts.append(Fact("documents_completed", 1, key, occurred_at, is_moment_given=False))
    await _count(platform, document, facts)
    if theirs.is_completed:
        await _complete(platform, document, occurred_at)


async def note_told(platform: Platform, document: Document, key: str, occurred_at: datetime) -> None:
    """Count what a callback says of a document that SignNow has deleted since: there is nothing left to look at. It is
    the same fact under the same key as what a look would have found.
    """
    what = key.partition(":")[0]
    meter = {"signed": "signatures", "complete": "documents_completed"}.get(what)
    if meter is not None:
        await _count(platform, document, [Fact(meter, 1, f"signnow:{key}", occurred_at, is_moment_given=False)])
    if what == "complete":
        await _complete(platform, document, occurred_at)


async def _count(platform: Platform, document: Document, facts: Sequence[Fact]) -> None:
    if not facts:
        return
    command = Record(document.tenant_id, facts, platform.clock.now(), "signnow", document.id)
    # Signed, or heard of, when no subscription runs: it is nobody's usage, and looking again would not change that.
    with contextlib.suppress(SubscriptionInactive):
        for answer in await operations.submit(platform, command):
            if isinstance(answer, Refused):
                raise answer


async def _complete(platform: Platform, document: Document, occurred_at: datetime) -> None:
    mine = Document.filter(tenant_id=document.tenant_id, id=document.id)
    # What was deleted stays deleted, though it was signed before.
    await mine.exclude(state=DocumentState.DELETED).update(state=DocumentState.COMPLETED)
    changed = await mine.filter(completed_at=None).update(completed_at=occurred_at)
    if document.group_id is not None:
        await _complete_group_of(document, occurred_at)
    if changed:
        tenant = await Tenant.get(id=document.tenant_id)
        await platform.plugins.publish(DocumentCompleted(str(tenant.public_id), platform.clock.now(), str(document.id)))


async def _complete_group_of(document: Document, occurred_at: datetime) -> None:
    """Everybody has signed a group when nobody is waited for at any of its documents."""
    group = await Document.get(tenant_id=document.tenant_id, id=document.group_id)
    members = await members_of(document.tenant_id, group.id)
    if group.state is DocumentState.SENT and all(m.completed_at or not m.sent_at for m in members):
        await complete_group(group, occurred_at)


async def complete_group(group: Document, occurred_at: datetime) -> None:
    """Mark a group that is out as signed by everybody. Doing it again adds nothing."""
    mine = Document.filter(tenant_id=group.tenant_id, id=group.id, state=DocumentState.SENT)
    await mine.update(state=DocumentState.COMPLETED, completed_at=occurred_at)


async def follow_document(platform: Platform, job: Job) -> None:
    """The job: look at a document that was sent until everybody has signed, in case a callback was lost."""
    document = await Document.get(tenant_id=job.tenant_id, id=job.dedup)
    now = platform.clock.now()
    age = now - job.created_at
    if document.completed_at is None and age < FOLLOW_FOR:
        try:
            signnow = await identities.signnow_of(platform, document.tenant_id)
            theirs = await signnow.document(document.signnow_document_id)
        except SignNowNotConnected as refusal:
            raise jobs.NotYet(refusal.message, FOLLOW_EVERY) from None
        except SignNowRefused:
            theirs = None  # it is gone there: nobody will sign it
        if theirs is not None:
            # SignNow does not say when they signed: it counts when we learn of it, in a period that is open.
            await note_signing(platform, document, theirs, now)
            if not theirs.is_completed:
                raise jobs.NotYet("not everybody has signed", max(FOLLOW_EVERY, age / 4))
    async with jobs.completing(job):
        pass
