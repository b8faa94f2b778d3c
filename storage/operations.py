"""Operations: one billable call to SignNow each, with what was reserved for it and how it ended."""

from enum import StrEnum
from typing import Final

from tortoise.fields import BigIntField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField, to_micros
from storage.ids import new_id
from storage.ledger import StoredOperation


class OperationKind(StrEnum):
    """What SignNow is asked to do."""

    UPLOAD = "UPLOAD"
    UPLOAD_TAGGED = "UPLOAD_TAGGED"
    UPLOAD_URL = "UPLOAD_URL"
    TEMPLATE = "TEMPLATE"
    COPY = "COPY"
    INVITE = "INVITE"
    CANCEL = "CANCEL"
    RESEND = "RESEND"
    REPLACE = "REPLACE"
    LINK = "LINK"
    DOWNLOAD = "DOWNLOAD"
    DELETE = "DELETE"
    GROUP = "GROUP"
    GROUP_INVITE = "GROUP_INVITE"
    GROUP_CANCEL = "GROUP_CANCEL"
    GROUP_RESEND = "GROUP_RESEND"
    GROUP_DELETE = "GROUP_DELETE"


CHANGES: Final = (
    OperationKind.INVITE,
    OperationKind.CANCEL,
    OperationKind.RESEND,
    OperationKind.REPLACE,
    OperationKind.DELETE,
    OperationKind.GROUP_INVITE,
    OperationKind.GROUP_CANCEL,
    OperationKind.GROUP_RESEND,
    OperationKind.GROUP_DELETE,
)
"""What changes a document or a group that is there: one at a time, which the indexes `operation_one_change` and
`operation_one_group_change` keep."""


class OperationState(StrEnum):
    """RESERVED while the call is made; UNKNOWN when no answer came: its units stay reserved until it is settled."""

    RESERVED = "RESERVED"
    UNKNOWN = "UNKNOWN"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class Operation(Model):
    """The idempotency key is the caller's; the same key again answers the first outcome."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    idempotency_key = TextField()
    kind = CharEnumField(OperationKind)
    request: JSONField[dict[str, object]] = JSONField()
    request_hash = TextField()
    state = CharEnumField(OperationState)
    period_starts_at = InstantField()
    reserved: JSONField[dict[str, int]] = JSONField()
    decision: JSONField[dict[str, object]] = JSONField()
    document_id = UUIDField(null=True)
    refusal: JSONField[dict[str, object] | None] = JSONField(null=True)
    created_at = InstantField()
    ended_at = InstantField(null=True)
    asked_at = InstantField()
    """When SignNow was last asked in vain what became of it; 1970 if never."""

    class Meta:
        table = "operation"


def as_stored(row: Operation) -> StoredOperation:
    """The row as the ledger works with it."""
    return StoredOperation(
        tenant_id=row.tenant_id,
        id=row.id,
        idempotency_key=row.idempotency_key,
        kind=row.kind,
        request=dict(row.request),
        request_hash=row.request_hash,
        state=row.state,
        period_starts_at=to_micros(row.period_starts_at),
        reserved=dict(row.reserved),
        decision=dict(row.decision),
        document_id=row.document_id,
        refusal=row.refusal,
        created_at=to_micros(row.created_at),
    )
