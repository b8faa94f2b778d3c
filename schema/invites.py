"""Embedded invites, and what is done to invites that are out."""

import strawberry
from strawberry import relay

from schema.documents import Document, QuotaDecision, SignatureFieldInput
from schema.refusals import UserError


@strawberry.input(description="Who signs in your own page.")
class EmbeddedSignerInput:
    email: str = strawberry.field(description="Who they are; SignNow sends no mail.")
    role: str = strawberry.field(description="Whose fields they sign, e.g. `Signer 1`.")
    order: int = strawberry.field(default=1, description="Equal numbers sign at the same time, lower ones first.")
    first_name: str | None = strawberry.field(default=None, description="As SignNow fills it in.")
    last_name: str | None = strawberry.field(default=None, description="As SignNow fills it in.")
    redirect_uri: str | None = strawberry.field(default=None, description="Where they come to afterwards.")
    language: str | None = strawberry.field(default=None, description="`en`, `es` or `fr`.")


@strawberry.input(description="Signers for a document, who sign in your own page.")
class CreateEmbeddedInviteInput:
    document_id: relay.GlobalID = strawberry.field(description="What is to be signed.")
    signers: list[EmbeddedSignerInput] = strawberry.field(description="One for each role of the document.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again invites nothing.")
    fields: list[SignatureFieldInput] = strawberry.field(
        default_factory=list,
        description="Where; if missing, the document's own fields, or one per signer on the first page.",
    )
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `createEmbeddedInvite`.")
class CreateEmbeddedInvitePayload:
    document: Document | None = strawberry.field(default=None, description="The document, now SENT.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="A signer whose turn it is.")
class CreateEmbeddedSigningLinkInput:
    document_id: relay.GlobalID = strawberry.field(description="What is to be signed.")
    role: str = strawberry.field(description="Whose link.")
    idempotency_key: str = strawberry.field(
        description="Yours; the same key again makes another link, and is not counted again."
    )
    minutes: int = strawberry.field(default=15, description="15 to 45 until the link ends.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `createEmbeddedSigningLink`.")
class CreateEmbeddedSigningLinkPayload:
    document: Document | None = strawberry.field(default=None, description="The document.")
    link: str | None = strawberry.field(
        default=None, description="Opens the document for whoever has it: keep it from others."
    )
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="An invite that is out.")
class CancelInviteInput:
    document_id: relay.GlobalID = strawberry.field(description="Of which document.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again cancels nothing.")
    reason: str | None = strawberry.field(default=None, description="What signers are told.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `cancelInvite`.")
class CancelInvitePayload:
    document: Document | None = strawberry.field(
        default=None, description="The document, now CANCELLED: it may be sent again."
    )
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="A signer who is waited for.")
class ResendInviteInput:
    document_id: relay.GlobalID = strawberry.field(description="Which document.")
    role: str = strawberry.field(description="Whose mail.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again sends nothing.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `resendInvite`.")
class ResendInvitePayload:
    document: Document | None = strawberry.field(default=None, description="The document.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="Another signer for a role.")
class ReplaceSignerInput:
    document_id: relay.GlobalID = strawberry.field(description="Which document.")
    role: str = strawberry.field(description="Whose place.")
    email: str = strawberry.field(description="Where the new invite goes.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again replaces nothing.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `replaceSigner`.")
class ReplaceSignerPayload:
    document: Document | None = strawberry.field(default=None, description="The document.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
