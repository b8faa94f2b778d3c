"""Settling: operations that have no answer are ended by asking SignNow what became of them.

Nothing is ever sent twice. An upload is found by its file name, which carries the operation's id; an invite by the
document's invites; a download has no effect and is given up.
"""

import logging
from typing import assert_never

from inkmeter.errors import InkmeterError, SignNowRefused
from integrations.protocols import SignNow, SignNowDocument
from services import documents, identities, invites, operations
from services.operations import StoredOperation
from services.platform import Platform
from storage.documents import Document
from storage.operations import Operation, OperationKind, as_stored
from storage.tenants import Tenant

log = logging.getLogger("inkmeter.settling")


async def settle_open_operations(platform: Platform, *, limit: int = 50) -> int:
    """Settle what is older than `terms.settle_delay`; answers how many were settled."""
    before = platform.clock.now() - platform.terms.settle_delay
    rows = await Operation.filter(state__in=operations.OPEN, created_at__lt=before).order_by("created_at").limit(limit)
    settled = 0
    for operation in map(as_stored, rows):
        try:
            await settle(platform, operation)
            settled += 1
        except InkmeterError as error:
            log.warning("operation %s stays reserved: %s", operation.id, error)
    return settled


async def settle(platform: Platform, operation: StoredOperation) -> None:
    """End one operation by what SignNow says. Raises what the gateway raises; the units then stay reserved."""
    match OperationKind(operation.kind):
        case OperationKind.UPLOAD:
            tenant = await Tenant.get(id=operation.tenant_id)
            found = await _find_upload(
                identities.signnow_for(platform, tenant), documents.require_folder(tenant), operation
            )
            if found is None:
                await operations.give_up(platform, operation)
            else:
                await documents.finish_upload(platform, operation, found.id)
        case OperationKind.INVITE:
            document = await Document.get(tenant_id=operation.tenant_id, id=operation.document_id)
            signnow = await identities.signnow_of(platform, operation.tenant_id)
            theirs = await signnow.document(document.signnow_document_id)
            if theirs.is_invited:
                await invites.finish_invite(platform, operation, operation.reserved["api_calls"])
            else:
                await operations.give_up(platform, operation)
        case OperationKind.DOWNLOAD:
            await operations.give_up(platform, operation)
        case unreachable:
            assert_never(unreachable)


async def _find_upload(signnow: SignNow, folder_id: str, operation: StoredOperation) -> SignNowDocument | None:
    file_name = f"{operation.id}.pdf"
    try:
        return await signnow.find_document(folder_id=folder_id, file_name=file_name)
    except SignNowRefused:  # the folder is gone; where its documents went is not documented
        return await signnow.find_document(folder_id=None, file_name=file_name)
