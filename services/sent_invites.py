"""Invites that are out: cancelled, sent again, given to another signer. And documents that are deleted.

None of it is an invite of its own: tenants pay for calls alone. Whether SignNow charges an invite again that is sent
again or given to another signer is not documented; `Terms.charges_again` says what we count, by default nothing.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from inkmeter.errors import Conflict, InvalidInput, Problem, SignNowRefused, UpstreamError, UpstreamTimeout
from integrations.protocols import NOT_FOUND, SignNow, SignNowDocument, SignNowInvite
from services import documents, identities, operations
from services.commands import Intent
from services.operations import StoredOperation, UnitKind
from services.platform import Platform
from services.problems import Problems
from storage.documents import Document, DocumentState
from storage.operations import OperationKind
from storage.tenants import Tenant

CALLS: Final = {
    OperationKind.CANCEL: 2,
    OperationKind.RESEND: 2,
    OperationKind.REPLACE: 4,
    OperationKind.DELETE: 2,
}
"""The look at the document, and the steps: replacing a signer has three."""
WAITS: Final = ("created", "pending")
MAX_REASON: Final = 500


async def cancel_invite(
    platform: Platform, tenant: Tenant, document_id: UUID, idempotency_key: str, reason: str | None = None
) -> tuple[Document, StoredOperation]:
    """Cancel for all signers; the document may be sent again then. What was charged for the invite stays charged.

    Raises InvalidInput, NotFound, Conflict for a document that is not out or that everybody has signed, and what
    `operations.reserve` and SignNow refuse.
    """
    problems = Problems()
    if reason is not None:
        problems.check_text(reason, "reason", longest=MAX_REASON)
    document, operation, is_new = await _reserve(
        platform, tenant, document_id, OperationKind.CANCEL, idempotency_key, {"reason": reason}, problems
    )
    if is_new:
        async with operations.calling_signnow(platform, operation):
            theirs = await _look(platform, document, operation)
            if theirs.is_completed:
                await operations.undo(platform, operation)
                raise Conflict("everybody has signed", path=("documentId",))
            async with _in_steps():
                await _cancel(identities.signnow_for(platform, tenant), theirs, reason)
        await finish(platform, operation)
    return await documents.find_document(tenant.id, document.id), operation


async def _cancel(signnow: SignNow, theirs: SignNowDocument, reason: str | None) -> None:
    if any(invite.is_embedded for invite in theirs.field_invites):
        await signnow.cancel_embedded_invites(theirs.id)
    elif theirs.field_invites:
        await signnow.cancel_field_invite(theirs.id, reason=reason)
    for invite in theirs.free_form_invites:
        if invite.status in WAITS:
            await signnow.cancel_free_form_invite(theirs.id, invite.id, reason=reason)


async def resend_invite(
    platform: Platform, tenant: Tenant, document_id: UUID, role: str, idempotency_key: str
) -> tuple[Document, StoredOperation]:
    """Mail the invite again to the signer of a role, whose turn it is.

    Raises InvalidInput, NotFound, Conflict for a document that is not out, and what `operations.reserve` and SignNow
    refuse; it limits how often.
    """
    document, operation, is_new = await _reserve(
        platform, tenant, document_id, OperationKind.RESEND, idempotency_key, {"role": role}, Problems()
    )
    if is_new:
        async with operations.calling_signnow(platform, operation):
            invite = invite_of(await _look(platform, document, operation), role)
            if invite is None or invite.is_embedded or invite.is_declined or invite.status != "pending":
                await operations.undo(platform, operation)
                raise InvalidInput([Problem(("role",), "nobody with this role is waited for by e-mail")])
            await identities.signnow_for(platform, tenant).resend_field_invite(invite.request_id or invite.id)
        await finish(platform, operation)
    return await documents.find_document(tenant.id, document.id), operation


async def replace_signer(
    platform: Platform, tenant: Tenant, document_id: UUID, role: str, email: str, idempotency_key: str
) -> tuple[Document, StoredOperation]:
    """Give a role that has not signed to another signer, who gets the mail. What was begun before goes on.

    Raises InvalidInput, NotFound, Conflict for a document that is not out, and what `operations.reserve` and SignNow
    refuse.
    """
    problems = Problems()
    problems.check_email(email, "email")
    request = {"role": role, "email": email}
    document, operation, is_new = await _reserve(
        platform, tenant, document_id, OperationKind.REPLACE, idempotency_key, request, problems
    )
    if is_new:
        async with operations.calling_signnow(platform, operation):
            theirs = await _look(platform, document, operation)
            invite = invite_of(theirs, role)
            if role not in theirs.roles or (invite and (invite.is_embedded or invite.status not in WAITS)):
                await operations.undo(platform, operation)
                raise InvalidInput([Problem(("role",), "nobody with this role is waited for by e-mail")])
            async with _in_steps():
                await identities.signnow_for(platform, tenant).replace_signer(
                    document.signnow_document_id, role=role, email=email
                )
        await finish(platform, operation)
    return await documents.find_document(tenant.id, document.id), operation


async def delete_document(
    platform: Platform, tenant: Tenant, document_id: UUID, idempotency_key: str
) -> tuple[Document, StoredOperation]:
    """Cancel what is out, and delete in SignNow. Here the document stays, as DELETED: usage is linked to it.

    Raises InvalidInput, NotFound, Conflict for one that is deleted, and what `operations.reserve` and SignNow refuse.
    """
    document, operation, is_new = await _reserve(
        platform, tenant, document_id, OperationKind.DELETE, idempotency_key, {}, Problems()
    )
    if is_new:
        async with operations.calling_signnow(platform, operation), _in_steps():
            try:
                await identities.signnow_for(platform, tenant).delete_document(document.signnow_document_id)
            except SignNowRefused as refusal:
                if refusal.upstream_code != NOT_FOUND:
                    raise
        await finish(platform, operation)
    return await documents.find_document(tenant.id, document.id), operation


def invite_of(theirs: SignNowDocument, role: str) -> SignNowInvite | None:
    """The field invite of a role, if there is one now."""
    return next((invite for invite in theirs.field_invites if invite.role == role), None)


async def finish(platform: Platform, operation: StoredOperation) -> None:
    """Commit what was done to an invite or its document."""
    kind = OperationKind(operation.kind)
    becomes = {OperationKind.CANCEL: DocumentState.CANCELLED, OperationKind.DELETE: DocumentState.DELETED}.get(kind)
    is_charged = may_be_charged(platform, kind)
    await operations.succeed(
        platform,
        operation,
        {"api_calls": CALLS[kind]},
        upstream_units={"api_calls": 1} if is_charged else None,
        upstream_kind=UnitKind.FIELD_INVITE if is_charged else None,
        becomes=becomes,
    )


def may_be_charged(platform: Platform, kind: OperationKind) -> bool:
    """Whether SignNow charges it as one more invite, by what the operator says."""
    is_again = kind in (OperationKind.RESEND, OperationKind.REPLACE, OperationKind.GROUP_RESEND)
    return is_again and platform.terms.charges_again and platform.terms.is_signnow_live


async def _reserve(
    platform: Platform,
    tenant: Tenant,
    document_id: UUID,
    kind: OperationKind,
    key: str,
    request: Mapping[str, Any],
    problems: Problems,
) -> tuple[Document, StoredOperation, bool]:
    problems.check_key(key, "idempotencyKey")
    problems.refuse()
    document = await documents.find_document(tenant.id, document_id)
    intent = Intent(kind, key, {"document_id": str(document.id), **request}, {"api_calls": CALLS[kind]}, document.id)
    operation, is_new = await operations.reserve(platform, tenant, intent)
    return document, operation, is_new


async def _look(platform: Platform, document: Document, operation: StoredOperation) -> SignNowDocument:
    async with operations.preparing(platform, operation):
        signnow = await identities.signnow_of(platform, document.tenant_id)
        return await signnow.document(document.signnow_document_id)


@asynccontextmanager
async def _in_steps() -> AsyncIterator[None]:
    """Around several calls of which each has an effect: after the first it is not true any more that nothing happened,
    whichever of them failed. SignNow is asked later, then.
    """
    try:
        yield
    except UpstreamTimeout:
        raise
    except UpstreamError as error:
        raise UpstreamTimeout(f"{error.message}; a part of it may have happened") from error
