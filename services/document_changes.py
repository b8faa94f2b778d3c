"""Changes of a document that is there come one after the other, and not every one fits every state. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Final

from inkmeter.errors import Conflict
from services.commands import Intent
from storage.documents import DocumentState
from storage.ledger import Known, StoredDocument, StoredOperation
from storage.operations import CHANGES, OperationKind

_IS_OUT: Final = ((DocumentState.SENT,), "the document is not out to be signed")
_GROUP_NOT_OUT: Final = "the group is not out to be signed"
_FITS: Final[Mapping[str, tuple[Sequence[str], str]]] = {
    OperationKind.INVITE: (
        (DocumentState.UPLOADED, DocumentState.CANCELLED),
        "the document was sent already, or cannot be sent any more",
    ),
    OperationKind.CANCEL: _IS_OUT,
    OperationKind.RESEND: _IS_OUT,
    OperationKind.REPLACE: _IS_OUT,
    OperationKind.DELETE: (
        [state for state in DocumentState if state not in (DocumentState.DELETED, DocumentState.GROUPED)],
        "the document is deleted already",
    ),
    OperationKind.GROUP_INVITE: (
        (DocumentState.UPLOADED, DocumentState.CANCELLED),
        "the group was sent already, or cannot be sent any more",
    ),
    OperationKind.GROUP_CANCEL: ((DocumentState.SENT,), _GROUP_NOT_OUT),
    OperationKind.GROUP_RESEND: ((DocumentState.SENT,), _GROUP_NOT_OUT),
    OperationKind.GROUP_DELETE: (
        (DocumentState.UPLOADED, DocumentState.CANCELLED, DocumentState.COMPLETED),
        "the group is out to be signed, or deleted already",
    ),
}
"""The states in which each change may begin, and why not in others."""


def begin_change(known: Known, tenant_id: int, intent: Intent) -> None:
    """An operation wants to change a document. Raises Conflict."""
    if intent.kind not in CHANGES:
        return
    document = known.documents[tenant_id, intent.document_id]
    states, why = _FITS[intent.kind]
    path = ("groupId",) if intent.kind.startswith("GROUP_") else ("documentId",)
    if document.is_busy:
        raise Conflict("another operation on this document has no answer yet", path=path)
    if document.state == DocumentState.GROUPED:
        raise Conflict("the document belongs to a group: send that, or delete it", path=path)
    if document.state not in states:
        raise Conflict(why, path=path)


def change_of(known: Known, operation: StoredOperation) -> StoredDocument | None:
    """The document that an operation changes, where this batch knows it."""
    if operation.kind not in CHANGES or operation.document_id is None:
        return None
    return known.documents.get((operation.tenant_id, operation.document_id))
