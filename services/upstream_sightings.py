"""What a tenant's documents look like in SignNow, held against what we have counted for each of them."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from inkmeter.errors import SignNowRefused
from integrations.protocols import SignNow, SignNowDocument, SignNowGroup
from services import identities
from services.platform import Platform
from services.upstream_gaps import Cause, GapReason
from storage.documents import Document
from storage.operations import Operation, OperationKind, OperationState
from storage.upstream import UnitKind
from storage.upstream_events import UpstreamEvent

_AT_ONCE: Final = 8
_INVITES: Final = (OperationKind.INVITE, OperationKind.GROUP_INVITE)
_OPEN: Final = (OperationState.RESERVED, OperationState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Sighting:
    """The invites that SignNow's documents show, and why they are not what we have counted."""

    units: int
    causes: Sequence[Cause]


def units_there(theirs: SignNowDocument) -> int:
    """What the invites on a document count: a field invite once, a free-form invite per signer."""
    return (1 if theirs.field_invites else 0) + len(theirs.free_form_invites)


async def look(
    platform: Platform,
    tenant_id: int,
    documents: Sequence[Document],
    events: Iterable[UpstreamEvent],
    foreign: Iterable[SignNowDocument] = (),
) -> Sighting:
    """Look at each document once. `events` are those of the documents; `foreign` ones lie in the folder and are
    not ours. Raises UpstreamError.
    """
    counted: Counter[UUID | None] = Counter()
    in_development: set[UUID | None] = set()
    for event in events:
        counted[event.document_id] += event.units
        if event.kind is UnitKind.DEVELOPMENT:
            in_development.add(event.document_id)
    limit, signnow = asyncio.Semaphore(_AT_ONCE), await identities.signnow_of(platform, tenant_id)
    seen = await asyncio.gather(*(_see(signnow, document, limit) for document in documents))
    states = await _invite_states(tenant_id, [document.id for document in documents])
    units, causes = 0, Counter[GapReason]()
    for document, theirs in zip(documents, seen, strict=True):
        there = _units_of(theirs) if theirs is not None else 0
        ours = counted[document.id]
        units += there
        if there != ours:
            is_development = document.id in in_development
            reason = _reason(theirs, there, ours, states.get(document.id, ()), is_development=is_development)
            if reason is not None:
                causes[reason] += there - ours
    elsewhere = sum(map(units_there, foreign))
    causes[GapReason.WEB_APP] += elsewhere
    return Sighting(units + elsewhere, [Cause(reason, count) for reason, count in sorted(causes.items()) if count])


def _units_of(theirs: SignNowDocument | SignNowGroup) -> int:
    """The same, and of a group that is out: one, as we assume."""
    return int(theirs.invite_id is not None) if isinstance(theirs, SignNowGroup) else units_there(theirs)


async def _see(signnow: SignNow, document: Document, limit: asyncio.Semaphore) -> SignNowDocument | SignNowGroup | None:
    async with limit:
        try:
            if document.is_group:
                return await signnow.group(document.signnow_document_id)
            return await signnow.document(document.signnow_document_id)
        except SignNowRefused:
            return None


async def _invite_states(tenant_id: int, documents: Sequence[UUID]) -> Mapping[UUID, set[OperationState]]:
    states: dict[UUID, set[OperationState]] = {}
    for start in range(0, len(documents), 500):
        part = documents[start : start + 500]
        found = Operation.filter(tenant_id=tenant_id, kind__in=_INVITES, document_id__in=part)
        for operation in await found:
            assert operation.document_id is not None  # noqa: S101 - it was asked for
            states.setdefault(operation.document_id, set()).add(operation.state)
    return states


def _reason(
    theirs: SignNowDocument | SignNowGroup | None,
    there: int,
    ours: int,
    states: Iterable[OperationState],
    *,
    is_development: bool,
) -> GapReason | None:
    """Why a document shows more or fewer invites than were counted; None where our own books are wrong."""
    if theirs is None:
        return GapReason.GONE
    if is_development and there > ours:
        return GapReason.DEVELOPMENT
    if there < ours:
        return GapReason.CANCELLED
    if any(state in _OPEN for state in states):
        return GapReason.UNKNOWN_OUTCOME
    # An operation that ended and was not counted is our own mistake; nobody else's invite explains it.
    return GapReason.WEB_APP if ours or not states else None
