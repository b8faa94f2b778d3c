"""Documents that SignNow makes of a URL or of a template, and templates."""

import strawberry
from strawberry import relay

from schema.documents import Document, QuotaDecision
from schema.refusals import UserError


@strawberry.input(description="A PDF that SignNow fetches.")
class UploadDocumentFromUrlInput:
    name: str = strawberry.field(description="As signers read it.")
    url: str = strawberry.field(description="Where the PDF lies, for SignNow to read: http or https.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again uploads nothing.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `uploadDocumentFromUrl`.")
class UploadDocumentFromUrlPayload:
    document: Document | None = strawberry.field(default=None, description="The document in SignNow.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="A document to make a template of.")
class CreateTemplateInput:
    document_id: relay.GlobalID = strawberry.field(description="Which; it stays as it is.")
    name: str = strawberry.field(description="Of the template.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again makes nothing.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `createTemplate`.")
class CreateTemplatePayload:
    document: Document | None = strawberry.field(
        default=None, description="The template: a document in state TEMPLATE."
    )
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="A template to make a document of.")
class CreateDocumentFromTemplateInput:
    template_id: relay.GlobalID = strawberry.field(description="Which.")
    name: str = strawberry.field(description="As signers read it.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again makes nothing.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `createDocumentFromTemplate`.")
class CreateDocumentFromTemplatePayload:
    document: Document | None = strawberry.field(
        default=None, description="The document, with the fields of the template."
    )
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
