"""Looks at a document in SignNow: where it stands, and what has happened to it. Counted as calls, never refused by a
quota: reads go on.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from inkmeter.errors import SubscriptionInactive, UpstreamError, UpstreamUnavailable
from integrations.protocols import HistoryEntry as HistoryEntry
from integrations.protocols import SigningStatus, SignNowDocument
from integrations.protocols import SignNowInvite as SignNowInvite
from services import documents, identities, operations, signing
from services.commands import Fact, Record
from services.platform import Platform
from storage.documents import Document
from storage.ids import new_id


class DocumentStatus(StrEnum):
    """Where a document stands. SignNow has no word for it: it is derived from the invites."""

    NO_INVITE = "NO_INVITE"
    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


_STATUSES = {
    SigningStatus.NOT_INVITED: DocumentStatus.NO_INVITE,
    SigningStatus.PENDING: DocumentStatus.PENDING,
    SigningStatus.COMPLETED: DocumentStatus.COMPLETED,
    SigningStatus.DECLINED: DocumentStatus.DECLINED,
    SigningStatus.EXPIRED: DocumentStatus.EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Look:
    """What SignNow shows now."""

    document: Document
    status: DocumentStatus
    invites: Sequence[SignNowInvite]


async def look_at(platform: Platform, tenant_id: int | None, document_id: UUID) -> Look:
    """Where a document stands and who is waited for; what is signed there is counted, as after a callback.

    Raises NotFound, SignNowRefused, UpstreamUnavailable.
    """
    document = await documents.find_document(tenant_id, document_id)
    async with counting(platform, document):
        signnow = await identities.signnow_of(platform, document.tenant_id)
        theirs = await signnow.document(document.signnow_document_id)
    now = platform.clock.now()
    await signing.note_signing(platform, document, theirs, now)
    document = await documents.find_document(document.tenant_id, document.id)
    status = _STATUSES[theirs.status_at(now)]
    if status is DocumentStatus.NO_INVITE and document.sent_at is not None:
        status = DocumentStatus.CANCELLED  # a cancelled field invite leaves no trace in SignNow
    return Look(document, status, _invites(theirs))


def _invites(theirs: SignNowDocument) -> Sequence[SignNowInvite]:
    return (*theirs.field_invites, *theirs.free_form_invites)


async def history_of(platform: Platform, tenant_id: int | None, document_id: UUID) -> Sequence[HistoryEntry]:
    """SignNow's audit trail, oldest first. Raises NotFound, SignNowRefused, UpstreamUnavailable."""
    document = await documents.find_document(tenant_id, document_id)
    async with counting(platform, document):
        signnow = await identities.signnow_of(platform, document.tenant_id)
        return await signnow.history(document.signnow_document_id)


@asynccontextmanager
async def counting(platform: Platform, document: Document) -> AsyncIterator[None]:
    """Around a call about a document or a group: count it once it is answered; outside of every subscription it is
    nobody's usage. Raises UpstreamUnavailable.
    """
    try:
        yield
    except UpstreamError as error:
        raise UpstreamUnavailable(f"SignNow cannot be used now ({error.message})") from error
    now = platform.clock.now()
    fact = Fact("api_calls", 1, f"look:{new_id()}", now, is_moment_given=False)
    with contextlib.suppress(SubscriptionInactive):
        await operations.submit(platform, Record(document.tenant_id, [fact], now, "operation", document.id))
