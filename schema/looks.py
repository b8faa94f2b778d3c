"""Where a document stands in SignNow, its history, and its end."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import relay

from schema.documents import Document, QuotaDecision
from schema.refusals import UserError


@strawberry.enum(description="Where a document stands, derived from its invites in SignNow.")
class SigningStatus(Enum):
    NO_INVITE = strawberry.enum_value("NO_INVITE", description="Nobody was asked to sign.")
    PENDING = strawberry.enum_value("PENDING", description="Somebody is still to sign.")
    COMPLETED = strawberry.enum_value("COMPLETED", description="Everybody has signed.")
    DECLINED = strawberry.enum_value("DECLINED", description="Somebody has declined.")
    EXPIRED = strawberry.enum_value("EXPIRED", description="The time of somebody who should sign is over.")
    CANCELLED = strawberry.enum_value("CANCELLED", description="The invite was cancelled, here or in SignNow.")


@strawberry.type(description="One signer, as SignNow has them.")
class SignerStatus:
    email: str = strawberry.field(description="Where the invite went.")
    role: str | None = strawberry.field(description="Whose fields they sign; none in a free-form invite.")
    status: str = strawberry.field(description="SignNow's word: created, pending, fulfilled, skipped, cancelled.")
    is_declined: bool = strawberry.field(description="Whether they have declined; SignNow leaves these pending.")
    is_embedded: bool = strawberry.field(description="Whether they sign in your own page.")
    expires_at: datetime | None = strawberry.field(description="When their time is over.")


@strawberry.type(description="Where a document stands in SignNow now.")
class DocumentStatus:
    document: Document = strawberry.field(description="The document; what was signed is counted.")
    status: SigningStatus = strawberry.field(description="Of all signers together.")
    signers: list[SignerStatus] = strawberry.field(description="Each of them.")


@strawberry.type(description="A line of SignNow's audit trail.")
class HistoryEntry:
    event: str = strawberry.field(description="SignNow's word; it documents no list of them.")
    email: str = strawberry.field(description="Who did it.")
    occurred_at: datetime = strawberry.field(description="When.")


@strawberry.input(description="A document to delete in SignNow.")
class DeleteDocumentInput:
    document_id: relay.GlobalID = strawberry.field(description="Which; an invite that is out is cancelled.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again deletes nothing.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `deleteDocument`.")
class DeleteDocumentPayload:
    document: Document | None = strawberry.field(default=None, description="The document, now DELETED.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
