"""Documents and the operations of signing."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from inkmeter.errors import NextPlan, NotFound
from inkmeter.money import Money as ExactMoney
from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant, require_viewer
from resolvers.usage import credited_types
from schema import documents as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size, uuid_of
from schema.money import Money
from schema.nodes import Id, TenantId, global_id
from schema.refusals import next_plan_type
from schema.scalars import Base64
from services import documents, downloads, invites, meters
from services.documents import Document, TextTag, UploadDocument
from services.downloads import Download, DownloadForm
from services.invites import InviteKind, Reminder, SendInvite, SignatureField, Signer
from services.operations import StoredOperation


def document_type(document: Document) -> types.Document:
    """A document as the API shows it."""
    return types.Document(
        id=global_id("Document", document.id),
        name=document.name,
        state=types.DocumentState[document.state.name],
        created_at=document.created_at,
        sent_at=document.sent_at,
        completed_at=document.completed_at,
    )


async def decision_type(info: Info, operation: StoredOperation) -> types.QuotaDecision:
    """Why an operation was allowed, as it was decided when it was reserved."""
    decision: Mapping[str, Any] = operation.decision
    covered, plan = decision["credits"], decision.get("plan")
    book = await meters.find_meters(info.context.platform, *covered)
    return types.QuotaDecision(
        reason=types.QuotaReason[decision["reason"]],
        price=Money.of(ExactMoney(decision["price_minor"], decision["currency"])),
        credits=credited_types(covered, book),
        plan=next_plan_type(NextPlan(plan["id"], plan["code"], plan["name"])) if plan is not None else None,
    )


@mutation("Upload a PDF to SignNow for a tenant.")
async def upload_document(info: Info, input: types.UploadDocumentInput) -> types.UploadDocumentPayload:
    tenant = await acting_tenant(info, input.tenant_id)
    tags = [TextTag(t.name, t.role, t.type, t.is_required) for t in input.tags]
    command = UploadDocument(tenant, input.name, input.content, input.idempotency_key, tags)
    document, operation = await documents.upload_document(info.context.platform, command)
    return types.UploadDocumentPayload(document=document_type(document), decision=await decision_type(info, operation))


@mutation("Ask people to sign a document.")
async def send_invite(info: Info, input: types.SendInviteInput) -> types.SendInvitePayload:
    command = SendInvite(
        tenant=await acting_tenant(info, input.tenant_id),
        document_id=uuid_of(input.document_id, "Document", path=("documentId",)),
        signers=[_signer(signer) for signer in input.signers],
        idempotency_key=input.idempotency_key,
        kind=InviteKind[input.kind.name],
        fields=fields_of(input.fields),
        subject=input.subject,
        message=input.message,
        cc=input.cc,
    )
    document, operation = await invites.send_invite(info.context.platform, command)
    return types.SendInvitePayload(document=document_type(document), decision=await decision_type(info, operation))


def _signer(signer: types.SignerInput) -> Signer:
    reminder = signer.reminder
    return Signer(
        email=signer.email,
        role=signer.role,
        order=signer.order,
        expiration_days=signer.expiration_days,
        reminder=Reminder(reminder.after, reminder.before, reminder.every) if reminder is not None else None,
        subject=signer.subject,
        message=signer.message,
        redirect_uri=signer.redirect_uri,
        language=signer.language,
    )


def fields_of(fields: Sequence[types.SignatureFieldInput]) -> list[SignatureField]:
    """Places to sign."""
    return [SignatureField(f.role, f.page, f.x, f.y, f.width, f.height) for f in fields]


@mutation("Download a document with all that was filled in.")
async def download_signed(info: Info, input: types.DownloadSignedInput) -> types.DownloadSignedPayload:
    tenant = await acting_tenant(info, input.tenant_id)
    document_id = uuid_of(input.document_id, "Document", path=("documentId",))
    form = DownloadForm[input.form.name]
    command = Download(tenant, document_id, input.idempotency_key, form, input.with_history)
    signed = await downloads.download_signed(info.context.platform, command)
    return types.DownloadSignedPayload(
        document=document_type(signed.document),
        content=Base64(signed.content),
        decision=await decision_type(info, signed.operation),
    )


@query("One document; with a tenant's key, only its own.")
async def document(info: Info, id: Id, tenant_id: TenantId = None) -> types.Document | None:
    owner = require_viewer(info).tenant_id
    if tenant_id is not None:
        owner = (await acting_tenant(info, tenant_id)).id
    try:
        return document_type(await documents.find_document(owner, uuid_of(id, "Document")))
    except NotFound:
        return None


@query("A tenant's documents, oldest first.", name="documents")
async def documents_list(
    info: Info, tenant_id: TenantId = None, first: First = DEFAULT_PAGE, after: After = None
) -> Connection[types.Document]:
    tenant = await acting_tenant(info, tenant_id)
    size = page_size(first)
    rows = await documents.list_documents(tenant.id, decode_cursor(after, UUID), size + 1)
    return page_of(rows, size, key=lambda row: str(row.id), node=document_type, after=after)
