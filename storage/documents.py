"""Documents that were uploaded through us, and groups of them. What else lies in the SignNow account is not ours."""

from collections.abc import Sequence
from enum import StrEnum
from uuid import UUID

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField
from storage.ids import new_id


class DocumentState(StrEnum):
    """How far a document, or a group, has come. A TEMPLATE is never sent: documents are made of it. What is
    GROUPED is sent with its group alone.
    """

    UPLOADED = "UPLOADED"
    SENT = "SENT"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    DELETED = "DELETED"
    TEMPLATE = "TEMPLATE"
    GROUPED = "GROUPED"


class Document(Model):
    """A document of a tenant, and its id in SignNow. A group stands among them: it is sent, cancelled and completed
    like one. `group_id` is the group of a member, and of a group its own id.
    """

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    name = TextField()
    state = CharEnumField(DocumentState)
    signnow_document_id = TextField()
    created_at = InstantField()
    sent_at = InstantField(null=True)
    completed_at = InstantField(null=True)
    group_id = UUIDField(null=True)

    class Meta:
        table = "document"

    @property
    def is_group(self) -> bool:
        return self.group_id == self.id


async def members_of(tenant_id: int, group_id: UUID) -> Sequence[Document]:
    """The documents of a group, in the order of their upload."""
    found = await Document.filter(tenant_id=tenant_id, group_id=group_id).order_by("id")
    return [document for document in found if not document.is_group]


async def claim_members(tenant_id: int, group_id: UUID, document_ids: Sequence[UUID]) -> bool:
    """Take documents that are not out for a group, in the caller's transaction; answers whether it has them all."""
    free = Document.filter(tenant_id=tenant_id, id__in=document_ids, group_id=None)
    await free.filter(state__in=(DocumentState.UPLOADED, DocumentState.CANCELLED)).update(
        state=DocumentState.GROUPED, group_id=group_id
    )
    taken = await Document.filter(tenant_id=tenant_id, id__in=document_ids, group_id=group_id).count()
    return taken == len(document_ids)


async def release_members(tenant_id: int, group_id: UUID) -> None:
    """Let a group's documents be what they were: nobody signs them together any more."""
    members = Document.filter(tenant_id=tenant_id, group_id=group_id).exclude(id=group_id)
    grouped = members.filter(state=DocumentState.GROUPED)
    await grouped.filter(sent_at__isnull=True).update(state=DocumentState.UPLOADED, group_id=None)
    await grouped.filter(sent_at__isnull=False).update(state=DocumentState.CANCELLED, group_id=None)
    await members.update(group_id=None)
