"""Documents that were uploaded through us. Whatever else lies in the SignNow account is not ours."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField
from storage.ids import new_id


class DocumentState(StrEnum):
    """How far a document has come. A TEMPLATE is never sent: documents are made of it."""

    UPLOADED = "UPLOADED"
    SENT = "SENT"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    DELETED = "DELETED"
    TEMPLATE = "TEMPLATE"


class Document(Model):
    """A document of a tenant, and its id in SignNow."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    name = TextField()
    state = CharEnumField(DocumentState)
    signnow_document_id = TextField()
    created_at = InstantField()
    sent_at = InstantField(null=True)
    completed_at = InstantField(null=True)

    class Meta:
        table = "document"
