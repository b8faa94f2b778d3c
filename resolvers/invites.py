"""Embedded invites, and what is done to invites that are out."""

from resolvers.context import Info
from resolvers.documents import decision_type, document_type, fields_of
from resolvers.fields import mutation
from resolvers.permissions import acting_tenant
from schema import invites as types
from schema.connections import uuid_of
from services import documents, embedded_invites, sent_invites
from services.embedded_invites import CreateEmbeddedInvite, CreateEmbeddedLink, EmbeddedSigner


@mutation("Ask people to sign a document in your own page.")
async def create_embedded_invite(
    info: Info, input: types.CreateEmbeddedInviteInput
) -> types.CreateEmbeddedInvitePayload:
    command = CreateEmbeddedInvite(
        tenant=await acting_tenant(info, input.tenant_id),
        document_id=uuid_of(input.document_id, "Document", path=("documentId",)),
        signers=[
            EmbeddedSigner(s.email, s.role, s.order, s.first_name, s.last_name, s.redirect_uri, s.language)
            for s in input.signers
        ],
        idempotency_key=input.idempotency_key,
        fields=fields_of(input.fields),
    )
    document, operation = await embedded_invites.create_embedded_invite(info.context.platform, command)
    return types.CreateEmbeddedInvitePayload(
        document=document_type(document), decision=await decision_type(info, operation)
    )


@mutation("A link for a signer of an embedded invite, whose turn it is.")
async def create_embedded_signing_link(
    info: Info, input: types.CreateEmbeddedSigningLinkInput
) -> types.CreateEmbeddedSigningLinkPayload:
    tenant = await acting_tenant(info, input.tenant_id)
    document_id = uuid_of(input.document_id, "Document", path=("documentId",))
    command = CreateEmbeddedLink(tenant, document_id, input.role, input.idempotency_key, input.minutes)
    link, operation = await embedded_invites.create_embedded_link(info.context.platform, command)
    document = await documents.find_document(tenant.id, document_id)
    return types.CreateEmbeddedSigningLinkPayload(
        document=document_type(document), link=link, decision=await decision_type(info, operation)
    )


@mutation("Cancel the invite of a document, for all signers.")
async def cancel_invite(info: Info, input: types.CancelInviteInput) -> types.CancelInvitePayload:
    tenant = await acting_tenant(info, input.tenant_id)
    document_id = uuid_of(input.document_id, "Document", path=("documentId",))
    document, operation = await sent_invites.cancel_invite(
        info.context.platform, tenant, document_id, input.idempotency_key, input.reason
    )
    return types.CancelInvitePayload(document=document_type(document), decision=await decision_type(info, operation))


@mutation("Mail the invite again to a signer who is waited for.")
async def resend_invite(info: Info, input: types.ResendInviteInput) -> types.ResendInvitePayload:
    tenant = await acting_tenant(info, input.tenant_id)
    document_id = uuid_of(input.document_id, "Document", path=("documentId",))
    document, operation = await sent_invites.resend_invite(
        info.context.platform, tenant, document_id, input.role, input.idempotency_key
    )
    return types.ResendInvitePayload(document=document_type(document), decision=await decision_type(info, operation))


@mutation("Give the role of a signer who has not signed to somebody else.")
async def replace_signer(info: Info, input: types.ReplaceSignerInput) -> types.ReplaceSignerPayload:
    tenant = await acting_tenant(info, input.tenant_id)
    document_id = uuid_of(input.document_id, "Document", path=("documentId",))
    document, operation = await sent_invites.replace_signer(
        info.context.platform, tenant, document_id, input.role, input.email, input.idempotency_key
    )
    return types.ReplaceSignerPayload(document=document_type(document), decision=await decision_type(info, operation))
