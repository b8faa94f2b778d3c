"""Documents, and the operations of signing."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import relay

from schema.money import Money
from schema.nodes import Node
from schema.refusals import NextPlan, UserError
from schema.scalars import Base64, Quantity


@strawberry.enum(description="How far a document has come.")
class DocumentState(Enum):
    UPLOADED = strawberry.enum_value("UPLOADED", description="It is in SignNow; nobody was asked to sign.")
    SENT = strawberry.enum_value("SENT", description="The signers are invited.")
    COMPLETED = strawberry.enum_value("COMPLETED", description="Every signer has signed.")
    CANCELLED = strawberry.enum_value("CANCELLED", description="Its invite was cancelled; it may be sent again.")
    DELETED = strawberry.enum_value("DELETED", description="It is not in SignNow any more.")
    TEMPLATE = strawberry.enum_value("TEMPLATE", description="Documents are made of it; it is never sent.")
    GROUPED = strawberry.enum_value("GROUPED", description="It belongs to a group, and is sent with that alone.")


@strawberry.type(description="A document of a tenant.")
class Document(Node):
    name: str = strawberry.field(description="As signers read it.")
    state: DocumentState = strawberry.field(description="How far it has come.")
    created_at: datetime = strawberry.field(description="When it was uploaded.")
    sent_at: datetime | None = strawberry.field(description="When the signers were invited.")
    completed_at: datetime | None = strawberry.field(description="When the last signer had signed.")


@strawberry.enum(description="Why an operation was allowed.")
class QuotaReason(Enum):
    INCLUDED = strawberry.enum_value("INCLUDED", description="It costs nothing more in this period.")
    OVERAGE = strawberry.enum_value("OVERAGE", description="It is billed at the price that stands beside this.")
    CREDIT = strawberry.enum_value("CREDIT", description="Credits cover what is beyond the quota.")
    UPGRADED = strawberry.enum_value("UPGRADED", description="It is the first one on the plan's successor.")


@strawberry.type(description="Units of a meter that credits cover.")
class CreditedUnits:
    meter: str = strawberry.field(description="Code of the meter.")
    units: Quantity = strawberry.field(description="How many.")


@strawberry.type(description="Why an operation was allowed, and what it costs on top of the usage before it.")
class QuotaDecision:
    reason: QuotaReason = strawberry.field(description="Why.")
    price: Money = strawberry.field(description="The exact marginal price under the current plan.")
    credits: list[CreditedUnits] = strawberry.field(description="What credits cover, by meter; it costs nothing.")
    plan: NextPlan | None = strawberry.field(description="The plan that UPGRADED leads to.")


@strawberry.input(description="A field whose place is where its name stands in the text of the PDF.")
class TextTagInput:
    name: str = strawberry.field(description="What stands in the text, without what surrounds it.")
    role: str = strawberry.field(description="Who fills it in, e.g. `Signer 1`.")
    type: str = strawberry.field(default="signature", description="`signature`, `initials`, `text` or `checkbox`.")
    is_required: bool = strawberry.field(default=True, description="Whether nobody can finish without it.")


@strawberry.input(description="A PDF.")
class UploadDocumentInput:
    name: str = strawberry.field(description="As signers read it.")
    content: Base64 = strawberry.field(description="The PDF's bytes, at most 50 MiB.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again uploads nothing.")
    tags: list[TextTagInput] = strawberry.field(
        default_factory=list, description="Fields whose places stand in the PDF's text."
    )
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `uploadDocument`.")
class UploadDocumentPayload:
    document: Document | None = strawberry.field(default=None, description="The document in SignNow.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.enum(description="How signers sign.")
class InviteKind(Enum):
    FIELD = strawberry.enum_value("FIELD", description="Each signer signs the fields of their role.")
    FREE_FORM = strawberry.enum_value("FREE_FORM", description="One signer signs wherever they like.")


@strawberry.input(description="When SignNow reminds a signer, in days.")
class ReminderInput:
    after: int | None = strawberry.field(default=None, description="After the invite: 1 to 179.")
    before: int | None = strawberry.field(default=None, description="Before it expires: 1 to 179.")
    every: int | None = strawberry.field(default=None, description="Between two reminders: 1 to 7.")


@strawberry.input(description="Who is to sign.")
class SignerInput:
    email: str = strawberry.field(description="Where the invite goes.")
    role: str = strawberry.field(description="Whose fields they sign, e.g. `Signer 1`.")
    order: int = strawberry.field(default=1, description="Equal numbers sign at the same time, lower ones first.")
    expiration_days: int | None = strawberry.field(
        default=None, description="3 to 180 days until the invite expires; SignNow takes 30 if missing."
    )
    reminder: ReminderInput | None = strawberry.field(default=None, description="When they are reminded.")
    subject: str | None = strawberry.field(default=None, description="Of this signer's e-mail.")
    message: str | None = strawberry.field(default=None, description="Of this signer's e-mail.")
    redirect_uri: str | None = strawberry.field(default=None, description="Where they come to afterwards.")
    language: str | None = strawberry.field(default=None, description="`en`, `es` or `fr`.")


@strawberry.input(description="A place to sign, in points from the top left corner.")
class SignatureFieldInput:
    role: str = strawberry.field(description="Who signs here.")
    page: int = strawberry.field(description="Counted from 0.")
    x: int = strawberry.field(description="Points from the left.")
    y: int = strawberry.field(description="Points from the top.")
    width: int = strawberry.field(default=200, description="In points.")
    height: int = strawberry.field(default=40, description="In points.")


@strawberry.input(description="Signers for a document that was not sent yet.")
class SendInviteInput:
    document_id: relay.GlobalID = strawberry.field(description="What is to be signed.")
    signers: list[SignerInput] = strawberry.field(description="By whom; one for a free-form invite.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again sends nothing.")
    kind: InviteKind = strawberry.field(default=InviteKind.FIELD, description="How they sign.")
    fields: list[SignatureFieldInput] = strawberry.field(
        default_factory=list,
        description="Where; if missing, the document's own fields, or one per signer on the first page.",
    )
    subject: str | None = strawberry.field(default=None, description="Of the e-mail.")
    message: str | None = strawberry.field(default=None, description="Of the e-mail.")
    cc: list[str] = strawberry.field(default_factory=list, description="Who gets a copy: addresses, at most 20.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `sendInvite`.")
class SendInvitePayload:
    document: Document | None = strawberry.field(default=None, description="The document, now SENT.")
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.enum(description="How a document comes back.")
class DownloadForm(Enum):
    COLLAPSED = strawberry.enum_value("COLLAPSED", description="One PDF with all that was filled in.")
    ZIP = strawberry.enum_value("ZIP", description="A zip of that, with attachments.")


@strawberry.input(description="A document to download.")
class DownloadSignedInput:
    document_id: relay.GlobalID = strawberry.field(description="Which.")
    idempotency_key: str = strawberry.field(description="Yours; the same key again is not counted again.")
    form: DownloadForm = strawberry.field(default=DownloadForm.COLLAPSED, description="As a PDF or a zip.")
    with_history: bool = strawberry.field(default=False, description="With SignNow's audit trail.")
    tenant_id: relay.GlobalID | None = strawberry.field(
        default=None, description="Whose; needed with an operator's key, the key's own tenant otherwise."
    )


@strawberry.type(description="What became of `downloadSigned`.")
class DownloadSignedPayload:
    document: Document | None = strawberry.field(default=None, description="The document.")
    content: Base64 | None = strawberry.field(
        default=None, description="The PDF with all that was filled in, or the zip."
    )
    decision: QuotaDecision | None = strawberry.field(default=None, description="Why it was allowed, at what price.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
