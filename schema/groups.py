"""Document groups: several documents that are sent under one invite."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import relay

from schema.documents import Document, DownloadForm, QuotaDecision
from schema.nodes import Node
from schema.refusals import UserError
from schema.scalars import Base64

_KEY = "Yours; the same key again does nothing."
_WHOSE = "Whose; needed with an operator's key, the key's own tenant otherwise."


@strawberry.enum(description="How far a document group has come.")
class DocumentGroupState(Enum):
    CREATED = strawberry.enum_value("CREATED", description="It is in SignNow; nobody was asked to sign.")
    SENT = strawberry.enum_value("SENT", description="The signers are invited.")
    COMPLETED = strawberry.enum_value("COMPLETED", description="Every signer has signed.")
    CANCELLED = strawberry.enum_value("CANCELLED", description="Its invite was cancelled; it may be sent again.")
    DELETED = strawberry.enum_value("DELETED", description="It is not in SignNow any more; its documents are.")


@strawberry.type(description="Documents of a tenant that are sent under one invite.")
class DocumentGroup(Node):
    name: str = strawberry.field(description="As signers read it.")
    state: DocumentGroupState = strawberry.field(description="How far it has come.")
    documents: list[Document] = strawberry.field(description="Its documents; none once it is deleted.")
    created_at: datetime = strawberry.field(description="When it was made.")
    sent_at: datetime | None = strawberry.field(description="When the signers were invited.")
    completed_at: datetime | None = strawberry.field(description="When the last signer had signed.")


@strawberry.enum(description="What somebody does with a document of a group.")
class GroupActionKind(Enum):
    SIGN = strawberry.enum_value("SIGN", description="Sign the fields of their role.")
    VIEW = strawberry.enum_value("VIEW", description="Look at it.")
    APPROVE = strawberry.enum_value("APPROVE", description="Approve of it.")


@strawberry.type(description="What somebody is asked to do with a document, as SignNow has it.")
class GroupActionStatus:
    email: str = strawberry.field(description="Who.")
    document: Document | None = strawberry.field(description="With which document.")
    role: str = strawberry.field(description="As whom.")
    action: str = strawberry.field(description="SignNow's word: sign, view or approve.")
    status: str = strawberry.field(description="SignNow's word: created, pending or fulfilled.")
    order: int = strawberry.field(description="In which step.")


@strawberry.type(description="Where a document group stands in SignNow now.")
class DocumentGroupStatus:
    group: DocumentGroup = strawberry.field(description="The group.")
    status: str | None = strawberry.field(description="SignNow's word for its invite; null without one.")
    actions: list[GroupActionStatus] = strawberry.field(description="Who is asked for what, in the order of steps.")


@strawberry.input(description="Documents that are not out, and in no other group.")
class CreateDocumentGroupInput:
    name: str = strawberry.field(description="As signers will read it.")
    document_ids: list[relay.GlobalID] = strawberry.field(description="1 to 20 documents.")
    idempotency_key: str = strawberry.field(description=_KEY)
    tenant_id: relay.GlobalID | None = strawberry.field(default=None, description=_WHOSE)


@strawberry.type(description="What became of `createDocumentGroup`.")
class CreateDocumentGroupPayload:
    group: DocumentGroup | None = strawberry.field(default=None, description="The group; its documents are GROUPED.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="Who does what with which document of a group.")
class GroupSignerInput:
    document_id: relay.GlobalID = strawberry.field(description="Which document.")
    email: str = strawberry.field(description="Where the invite goes.")
    role: str = strawberry.field(description="Whose fields they sign, e.g. `Signer 1`.")
    order: int = strawberry.field(default=1, description="Their step, over all documents; lower ones come first.")
    action: GroupActionKind = strawberry.field(default=GroupActionKind.SIGN, description="What they do.")
    expiration_days: int | None = strawberry.field(default=None, description="3 to 180 days to do it; SignNow: 30.")


@strawberry.input(description="Signers for a group.")
class SendGroupInviteInput:
    group_id: relay.GlobalID = strawberry.field(description="What is to be signed.")
    signers: list[GroupSignerInput] = strawberry.field(description="1 to 100, one for each role of a document.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again invites nobody.")
    subject: str | None = strawberry.field(default=None, description="Of the e-mail.")
    message: str | None = strawberry.field(default=None, description="In the e-mail.")
    tenant_id: relay.GlobalID | None = strawberry.field(default=None, description=_WHOSE)


@strawberry.type(description="What became of `sendGroupInvite`.")
class SendGroupInvitePayload:
    group: DocumentGroup | None = strawberry.field(default=None, description="The group, now SENT.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="A group that is out.")
class CancelGroupInviteInput:
    group_id: relay.GlobalID = strawberry.field(description="Which group.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again cancels nothing.")
    tenant_id: relay.GlobalID | None = strawberry.field(default=None, description=_WHOSE)


@strawberry.type(description="What became of `cancelGroupInvite`.")
class CancelGroupInvitePayload:
    group: DocumentGroup | None = strawberry.field(default=None, description="The group, now CANCELLED.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="A signer of a group who is waited for.")
class ResendGroupInviteInput:
    group_id: relay.GlobalID = strawberry.field(description="Which group.")
    email: str = strawberry.field(description="Whose mail.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again sends nothing.")
    tenant_id: relay.GlobalID | None = strawberry.field(default=None, description=_WHOSE)


@strawberry.type(description="What became of `resendGroupInvite`.")
class ResendGroupInvitePayload:
    group: DocumentGroup | None = strawberry.field(default=None, description="The group.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="A group that is not out.")
class DeleteDocumentGroupInput:
    group_id: relay.GlobalID = strawberry.field(description="Which group; its documents stay.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again deletes nothing.")
    tenant_id: relay.GlobalID | None = strawberry.field(default=None, description=_WHOSE)


@strawberry.type(description="What became of `deleteDocumentGroup`.")
class DeleteDocumentGroupPayload:
    group: DocumentGroup | None = strawberry.field(default=None, description="The group, now DELETED.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="All documents of a group at once.")
class DownloadDocumentGroupInput:
    group_id: relay.GlobalID = strawberry.field(description="Which group.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again is not counted again.")
    form: DownloadForm = strawberry.field(
        default=DownloadForm.COLLAPSED, description="COLLAPSED is one PDF of all, ZIP has a PDF for each."
    )
    with_history: bool = strawberry.field(default=False, description="With SignNow's audit trails.")
    tenant_id: relay.GlobalID | None = strawberry.field(default=None, description=_WHOSE)


@strawberry.type(description="What became of `downloadDocumentGroup`.")
class DownloadDocumentGroupPayload:
    group: DocumentGroup | None = strawberry.field(default=None, description="The group.")
    content: Base64 | None = strawberry.field(default=None, description="The PDF or zip.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
