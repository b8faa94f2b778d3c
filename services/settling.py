"""Settling: operations that have no answer are ended by asking SignNow what became of them.

Nothing is ever sent twice. What was made is found by its file name or its name, which carry the operation's id; what
was done to a document by the document as it is now; a download or a link has no effect and is given up. What SignNow
cannot tell any more ends as "no" for the tenant, and as a discrepancy for the operator.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from inkmeter.errors import InkmeterError, SignNowRefused
from integrations.protocols import NOT_FOUND, SignNow, SignNowDocument
from services import (
    discrepancies,
    documents,
    group_invites,
    groups,
    identities,
    invites,
    made_documents,
    operations,
    sent_invites,
    upstream_costs,
)
from services.discrepancies import Discrepancy, DiscrepancyState
from services.invites import InviteKind
from services.operations import StoredOperation, UnitKind
from services.platform import Platform
from storage.documents import Document
from storage.operations import Operation, OperationKind, OperationState, as_stored
from storage.tenants import Tenant

log = logging.getLogger("inkmeter.settling")

UNKNOWABLE: Final = "SIGNNOW_UNKNOWABLE"
"""A discrepancy: SignNow may have charged a unit that we cannot ask about any more."""


async def settle_open_operations(platform: Platform, *, limit: int = 50) -> int:
    """Settle what is older than `terms.settle_delay`; answers how many were settled.

    One that cannot be settled now comes behind all others the next time.
    """
    now = platform.clock.now()
    before = now - platform.terms.settle_delay
    waiting = Operation.filter(state__in=operations.OPEN, created_at__lt=before)
    rows = await waiting.order_by("asked_at", "created_at").limit(limit)
    settled = 0
    for operation in map(as_stored, rows):
        try:
            await settle(platform, operation)
            settled += 1
        except InkmeterError as error:
            log.warning("operation %s stays reserved: %s", operation.id, error)
            await Operation.filter(tenant_id=operation.tenant_id, id=operation.id).update(asked_at=now)
    return settled


async def settle(platform: Platform, operation: StoredOperation) -> None:
    """End one operation by what SignNow says. Raises what the gateway raises; the units then stay reserved."""
    await _SETTLERS[OperationKind(operation.kind)](platform, operation)


async def _settle_upload(platform: Platform, operation: StoredOperation) -> None:
    tenant = await Tenant.get(id=operation.tenant_id)
    folder_id = documents.require_folder(tenant)
    found = await _find_upload(identities.signnow_for(platform, tenant), folder_id, operation)
    if found is None:
        await operations.give_up(platform, operation)
    else:
        await documents.finish_upload(platform, operation, found.id)


async def _find_upload(signnow: SignNow, folder_id: str, operation: StoredOperation) -> SignNowDocument | None:
    file_name = f"{operation.id}.pdf"
    try:
        return await signnow.find_document(folder_id=folder_id, file_name=file_name)
    except SignNowRefused:  # the folder is gone; where its documents went is not documented
        return await signnow.find_document(folder_id=None, file_name=file_name)


async def _settle_making(platform: Platform, operation: StoredOperation) -> None:
    row = await Operation.get(tenant_id=operation.tenant_id, id=operation.id)
    signnow = await identities.signnow_of(platform, operation.tenant_id)
    if operation.kind == OperationKind.UPLOAD_TAGGED:
        found = await signnow.find_document(folder_id=None, file_name=f"{operation.id}.pdf")
    else:
        since = row.created_at - made_documents.SKEW
        found = await signnow.find_document_named(folder_id=None, name=str(operation.id), since=since)
    if found is None:
        await operations.give_up(platform, operation)
    else:
        await made_documents.finish_making(platform, operation, found.id)


async def _settle_invite(platform: Platform, operation: StoredOperation) -> None:
    theirs = await _look(platform, operation)
    if theirs is None:
        kind = UnitKind.FREE_FORM_SIGNER if _kind(operation) is InviteKind.FREE_FORM else UnitKind.FIELD_INVITE
        await _give_up_unknown(platform, operation, kind if platform.terms.is_signnow_live else None)
    elif await _is_invited(theirs, operation):
        await invites.finish_invite(platform, operation, operation.reserved["api_calls"])
    else:
        await operations.give_up(platform, operation)


def _kind(operation: StoredOperation) -> InviteKind:
    return InviteKind(operation.request["kind"])


async def _is_invited(theirs: SignNowDocument, operation: StoredOperation) -> bool:
    """Cancelled field invites leave no trace, so that one which is there is this one. Free-form invites stay, so that
    there must be more of them than were counted.
    """
    match _kind(operation):
        case InviteKind.FREE_FORM:
            of_document = Operation.filter(tenant_id=operation.tenant_id, document_id=operation.document_id)
            sent = await of_document.filter(kind=OperationKind.INVITE, state=OperationState.SUCCEEDED)
            counted = sum(row.request["kind"] == InviteKind.FREE_FORM for row in sent)
            return len(theirs.free_form_invites) > counted
        case InviteKind.EMBEDDED:
            return any(invite.is_embedded for invite in theirs.field_invites)
        case InviteKind.FIELD:
            return any(not invite.is_embedded for invite in theirs.field_invites)


async def _settle_cancel(platform: Platform, operation: StoredOperation) -> None:
    theirs = await _look(platform, operation)
    if theirs is None or theirs.invites:
        await operations.give_up(platform, operation)
    else:
        await sent_invites.finish(platform, operation)


async def _settle_resend(platform: Platform, operation: StoredOperation) -> None:
    """A mail that was sent again leaves no trace."""
    is_charged = sent_invites.may_be_charged(platform, OperationKind.RESEND)
    await _give_up_unknown(platform, operation, UnitKind.FIELD_INVITE if is_charged else None)


async def _settle_replacement(platform: Platform, operation: StoredOperation) -> None:
    """What was begun is finished: otherwise a role would be left without a signer."""
    theirs = await _look(platform, operation)
    role, email = str(operation.request["role"]), str(operation.request["email"])
    signnow = await identities.signnow_of(platform, operation.tenant_id)
    if theirs is None:
        is_charged = sent_invites.may_be_charged(platform, OperationKind.REPLACE)
        await _give_up_unknown(platform, operation, UnitKind.FIELD_INVITE if is_charged else None)
        return
    invite = sent_invites.invite_of(theirs, role)
    if invite is not None and invite.email.lower() != email.lower():
        await operations.give_up(platform, operation)
        return
    if invite is None or invite.status in sent_invites.WAITS:
        try:
            await signnow.replace_signer(theirs.id, role=role, email=email)
        except SignNowRefused as refusal:
            await operations.fail(platform, operation, refusal)
            return
    await sent_invites.finish(platform, operation)


async def _settle_deletion(platform: Platform, operation: StoredOperation) -> None:
    if await _look(platform, operation) is None:
        await sent_invites.finish(platform, operation)
    else:
        await operations.give_up(platform, operation)


async def _settle_group_resend(platform: Platform, operation: StoredOperation) -> None:
    """The same as with a document's."""
    is_charged = sent_invites.may_be_charged(platform, OperationKind.GROUP_RESEND)
    await _give_up_unknown(platform, operation, UnitKind.FIELD_INVITE if is_charged else None)


async def _settle_group_invite(platform: Platform, operation: StoredOperation) -> None:
    """By the group; where it is gone, nobody knows whether it was charged."""
    if await group_invites.is_gone(platform, operation):
        kind = UnitKind.FIELD_INVITE if platform.terms.is_signnow_live else None
        await _give_up_unknown(platform, operation, kind)
    else:
        await group_invites.settle(platform, operation)


async def _look(platform: Platform, operation: StoredOperation) -> SignNowDocument | None:
    """The operation's document as it is now, None where SignNow does not know it (any more)."""
    document = await Document.get(tenant_id=operation.tenant_id, id=operation.document_id)
    signnow = await identities.signnow_of(platform, operation.tenant_id)
    try:
        return await signnow.document(document.signnow_document_id)
    except SignNowRefused as refusal:
        if refusal.upstream_code != NOT_FOUND:
            raise
        return None


async def _give_up_unknown(platform: Platform, operation: StoredOperation, kind: UnitKind | None) -> None:
    """Nobody can say any more what happened: the tenant does not pay for it, the operator may have to, and is told."""
    if kind is not None:
        row = await Operation.get(tenant_id=operation.tenant_id, id=operation.id)
        cost = (await upstream_costs.load_table(platform)).unit_cost(kind, row.created_at)
        found = Discrepancy(
            tenant_id=operation.tenant_id,
            kind=UNKNOWABLE,
            subject=str(operation.id),
            ours_minor=0,
            theirs_minor=cost.minor,
            currency=cost.currency,
            evidence={"operation": operation.kind, "document": str(operation.document_id), "unit": kind},
            explanation="SignNow cannot be asked any more whether it has done this, and may charge it",
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        )
        await discrepancies.open_discrepancy(platform, found)
    told = "it cannot be known any more whether SignNow has done it; use a new idempotency key"
    await operations.fail(platform, operation, SignNowRefused(told))


_SETTLERS: Final[dict[OperationKind, Callable[[Platform, StoredOperation], Awaitable[None]]]] = {
    OperationKind.UPLOAD: _settle_upload,
    OperationKind.UPLOAD_TAGGED: _settle_making,
    OperationKind.UPLOAD_URL: _settle_making,
    OperationKind.TEMPLATE: _settle_making,
    OperationKind.COPY: _settle_making,
    OperationKind.INVITE: _settle_invite,
    OperationKind.CANCEL: _settle_cancel,
    OperationKind.RESEND: _settle_resend,
    OperationKind.REPLACE: _settle_replacement,
    OperationKind.DELETE: _settle_deletion,
    OperationKind.GROUP: groups.settle_group,
    OperationKind.GROUP_INVITE: _settle_group_invite,
    OperationKind.GROUP_CANCEL: group_invites.settle,
    OperationKind.GROUP_RESEND: _settle_group_resend,
    OperationKind.GROUP_DELETE: group_invites.settle,
    OperationKind.LINK: operations.give_up,
    OperationKind.DOWNLOAD: operations.give_up,
}
