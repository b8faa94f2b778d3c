"""Where a document stands in SignNow, its history, and its end."""

from typing import Annotated

import strawberry
from strawberry import relay

from resolvers.context import Info
from resolvers.documents import decision_type, document_type
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant
from schema import looks as types
from schema.connections import uuid_of
from schema.nodes import TenantId
from services import looks, sent_invites
from services.looks import SignNowInvite

DocumentId = Annotated[relay.GlobalID, strawberry.argument(description="Which document.")]


@query("Where a document stands in SignNow now. Each look counts as a call.")
async def document_status(info: Info, document_id: DocumentId, tenant_id: TenantId = None) -> types.DocumentStatus:
    tenant = await acting_tenant(info, tenant_id)
    key = uuid_of(document_id, "Document", path=("documentId",))
    look = await looks.look_at(info.context.platform, tenant.id, key)
    return types.DocumentStatus(
        document=document_type(look.document),
        status=types.SigningStatus[look.status.name],
        signers=[_signer_status(invite) for invite in look.invites],
    )


def _signer_status(invite: SignNowInvite) -> types.SignerStatus:
    return types.SignerStatus(
        email=invite.email,
        role=invite.role or None,
        status=invite.status,
        is_declined=invite.is_declined,
        is_embedded=invite.is_embedded,
        expires_at=invite.expires_at,
    )


@query("SignNow's audit trail of a document, oldest first. Each look counts as a call.")
async def document_history(info: Info, document_id: DocumentId, tenant_id: TenantId = None) -> list[types.HistoryEntry]:
    tenant = await acting_tenant(info, tenant_id)
    key = uuid_of(document_id, "Document", path=("documentId",))
    entries = await looks.history_of(info.context.platform, tenant.id, key)
    return [types.HistoryEntry(event=e.event, email=e.email, occurred_at=e.occurred_at) for e in entries]


@mutation("Delete a document in SignNow; an invite that is out is cancelled.")
async def delete_document(info: Info, input: types.DeleteDocumentInput) -> types.DeleteDocumentPayload:
    tenant = await acting_tenant(info, input.tenant_id)
    document_id = uuid_of(input.document_id, "Document", path=("documentId",))
    document, operation = await sent_invites.delete_document(
        info.context.platform, tenant, document_id, input.idempotency_key
    )
    return types.DeleteDocumentPayload(document=document_type(document), decision=await decision_type(info, operation))
