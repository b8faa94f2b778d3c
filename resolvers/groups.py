"""Document groups: several documents that are sent under one invite."""

from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import relay

from resolvers.context import Info
from resolvers.documents import decision_type, document_type
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant
from schema import groups as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size, uuid_of
from schema.nodes import TenantId, global_id
from schema.scalars import Base64
from services import group_invites, group_looks, groups
from services.downloads import DownloadForm
from services.group_invites import MemberSigner, SendGroupInvite
from services.groups import CreateGroup, Group

GroupId = Annotated[relay.GlobalID, strawberry.argument(description="Which group.")]


def group_type(group: Group) -> types.DocumentGroup:
    """A group as the API shows it."""
    row = group.row
    state = "CREATED" if row.state.name == "UPLOADED" else row.state.name
    return types.DocumentGroup(
        id=global_id("DocumentGroup", row.id),
        name=row.name,
        state=types.DocumentGroupState[state],
        documents=[document_type(member) for member in group.members],
        created_at=row.created_at,
        sent_at=row.sent_at,
        completed_at=row.completed_at,
    )


def _key(group_id: relay.GlobalID) -> UUID:
    return uuid_of(group_id, "DocumentGroup", path=("groupId",))


@query("A tenant's document groups, oldest first.", name="documentGroups")
async def groups_list(
    info: Info, tenant_id: TenantId = None, first: First = DEFAULT_PAGE, after: After = None
) -> Connection[types.DocumentGroup]:
    tenant = await acting_tenant(info, tenant_id)
    size = page_size(first)
    found = await groups.list_groups(tenant.id, decode_cursor(after, UUID), size + 1)
    return page_of(found, size, key=lambda group: str(group.row.id), node=group_type, after=after)


@query("Where a document group stands in SignNow now. Each look counts as a call.")
async def document_group_status(info: Info, group_id: GroupId, tenant_id: TenantId = None) -> types.DocumentGroupStatus:
    tenant = await acting_tenant(info, tenant_id)
    look = await group_looks.look_at_group(info.context.platform, tenant.id, _key(group_id))
    members = {member.signnow_document_id: document_type(member) for member in look.group.members}
    actions = [
        types.GroupActionStatus(
            email=action.email,
            document=members.get(action.document_id),
            role=action.role,
            action=action.action,
            status=action.status,
            order=action.order,
        )
        for action in look.actions
    ]
    return types.DocumentGroupStatus(group=group_type(look.group), status=look.status, actions=actions)


@mutation("Group documents, to send them under one invite.")
async def create_document_group(info: Info, input: types.CreateDocumentGroupInput) -> types.CreateDocumentGroupPayload:
    command = CreateGroup(
        tenant=await acting_tenant(info, input.tenant_id),
        name=input.name,
        document_ids=[uuid_of(each, "Document", path=("documentIds",)) for each in input.document_ids],
        idempotency_key=input.idempotency_key,
    )
    group, operation = await groups.create_group(info.context.platform, command)
    return types.CreateDocumentGroupPayload(group=group_type(group), decision=await decision_type(info, operation))


@mutation("Ask people to sign the documents of a group. One invite is counted.")
async def send_group_invite(info: Info, input: types.SendGroupInviteInput) -> types.SendGroupInvitePayload:
    command = SendGroupInvite(
        tenant=await acting_tenant(info, input.tenant_id),
        group_id=_key(input.group_id),
        signers=[
            MemberSigner(
                uuid_of(s.document_id, "Document", path=("signers", str(index), "documentId")),
                s.email,
                s.role,
                s.order,
                s.action.name.lower(),
                s.expiration_days,
            )
            for index, s in enumerate(input.signers)
        ],
        idempotency_key=input.idempotency_key,
        subject=input.subject,
        message=input.message,
    )
    group, operation = await group_invites.send_group_invite(info.context.platform, command)
    return types.SendGroupInvitePayload(group=group_type(group), decision=await decision_type(info, operation))


@mutation("Cancel the invite of a group, for all signers.")
async def cancel_group_invite(info: Info, input: types.CancelGroupInviteInput) -> types.CancelGroupInvitePayload:
    tenant = await acting_tenant(info, input.tenant_id)
    group, operation = await group_invites.cancel_group_invite(
        info.context.platform, tenant, _key(input.group_id), input.idempotency_key
    )
    return types.CancelGroupInvitePayload(group=group_type(group), decision=await decision_type(info, operation))


@mutation("Mail the invite of a group again to a signer who is waited for.")
async def resend_group_invite(info: Info, input: types.ResendGroupInviteInput) -> types.ResendGroupInvitePayload:
    tenant = await acting_tenant(info, input.tenant_id)
    group, operation = await group_invites.resend_group_invite(
        info.context.platform, tenant, _key(input.group_id), input.email, input.idempotency_key
    )
    return types.ResendGroupInvitePayload(group=group_type(group), decision=await decision_type(info, operation))


@mutation("Delete a group that is not out. Its documents stay.")
async def delete_document_group(info: Info, input: types.DeleteDocumentGroupInput) -> types.DeleteDocumentGroupPayload:
    tenant = await acting_tenant(info, input.tenant_id)
    group, operation = await groups.delete_group(
        info.context.platform, tenant, _key(input.group_id), input.idempotency_key
    )
    return types.DeleteDocumentGroupPayload(group=group_type(group), decision=await decision_type(info, operation))


@mutation("Download all documents of a group; counted as a download of each.")
async def download_document_group(
    info: Info, input: types.DownloadDocumentGroupInput
) -> types.DownloadDocumentGroupPayload:
    tenant = await acting_tenant(info, input.tenant_id)
    group, content, operation = await group_looks.download_group(
        info.context.platform,
        tenant,
        _key(input.group_id),
        DownloadForm[input.form.name],
        input.idempotency_key,
        with_history=input.with_history,
    )
    return types.DownloadDocumentGroupPayload(
        group=group_type(group), content=Base64(content), decision=await decision_type(info, operation)
    )
