"""Documents: uploading a PDF, and downloading it signed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from inkmeter.errors import NotFound
from services import identities, operations
from services.commands import Intent, Uploaded
from services.operations import StoredOperation
from services.platform import Platform
from services.problems import Problems
from storage.documents import Document as Document
from storage.documents import DocumentState as DocumentState
from storage.ids import new_id
from storage.operations import OperationKind
from storage.tenants import Tenant

MAX_PDF_BYTES: Final = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class UploadDocument:
    """A PDF under a name that signers will read."""

    tenant: Tenant
    name: str
    content: bytes
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class SignedDownload:
    """The signed PDF's bytes."""

    document: Document
    operation: StoredOperation
    content: bytes


async def upload_document(platform: Platform, command: UploadDocument) -> tuple[Document, StoredOperation]:
    """Upload to the tenant's folder in SignNow. The same key again answers the same document, uploaded once.

    Raises InvalidInput for what is not a PDF, and what `operations.reserve` and SignNow refuse.
    """
    problems = Problems()
    problems.check_text(command.name, "name")
    problems.check_key(command.idempotency_key, "idempotencyKey")
    _check_pdf(problems, command.content)
    problems.refuse()
    request = {"name": command.name, "sha256": hashlib.sha256(command.content).hexdigest()}
    operation, is_new = await operations.reserve(
        platform,
        command.tenant,
        Intent(
            OperationKind.UPLOAD,
            command.idempotency_key,
            request,
            {"documents_created": 1, "api_calls": 1},
            new_id(),
        ),
    )
    if is_new:
        async with operations.calling_signnow(platform, operation):
            signnow_id = await identities.signnow_for(platform, command.tenant).upload_document(
                folder_id=require_folder(command.tenant),
                name=command.name,
                file_name=f"{operation.id}.pdf",
                content=command.content,
            )
        await finish_upload(platform, operation, signnow_id)
    return await find_document(command.tenant.id, _document_id(operation)), operation


def _check_pdf(problems: Problems, content: bytes) -> None:
    if problems.check(bool(content), "is empty", "content"):
        problems.check(len(content) <= MAX_PDF_BYTES, "is larger than 50 MiB", "content")
        # The marker may follow up to a kilobyte of other bytes; every reader accepts that.
        problems.check(b"%PDF-" in content[:1024], "is not a PDF", "content")


async def finish_upload(platform: Platform, operation: StoredOperation, signnow_id: str) -> None:
    """Commit an upload that SignNow has."""
    await operations.succeed(
        platform,
        operation,
        {"documents_created": 1, "api_calls": 1},
        uploaded=Uploaded(str(operation.request["name"]), signnow_id),
    )


async def download_signed(
    platform: Platform, tenant: Tenant, document_id: UUID, idempotency_key: str
) -> SignedDownload:
    """The collapsed PDF. Counted once per key: the same key again fetches it without counting.

    Raises NotFound, and what `operations.reserve` and SignNow refuse.
    """
    problems = Problems()
    problems.check_key(idempotency_key, "idempotencyKey")
    problems.refuse()
    document = await find_document(tenant.id, document_id)
    operation, is_new = await operations.reserve(
        platform,
        tenant,
        Intent(
            OperationKind.DOWNLOAD,
            idempotency_key,
            {"document_id": str(document_id)},
            {"downloads": 1, "api_calls": 1},
            document_id,
        ),
    )
    signnow = identities.signnow_for(platform, tenant)
    if not is_new:
        return SignedDownload(document, operation, await signnow.download_signed(document.signnow_document_id))
    async with operations.calling_signnow(platform, operation), operations.preparing(platform, operation):
        content = await signnow.download_signed(document.signnow_document_id)
    await operations.succeed(platform, operation, {"downloads": 1, "api_calls": 1})
    return SignedDownload(document, operation, content)


def require_folder(tenant: Tenant) -> str:
    """The tenant's folder in SignNow; provisioning has made it before anything can be subscribed or sent."""
    if tenant.signnow_folder_id is None:
        raise NotFound("the tenant has no SignNow identity yet; repeat provisionTenant", path=("tenantId",))
    return tenant.signnow_folder_id


def _document_id(operation: StoredOperation) -> UUID:
    assert operation.document_id is not None  # noqa: S101 - every kind of operation has one
    return operation.document_id


async def find_document(tenant_id: int | None, document_id: UUID) -> Document:
    """The document, of that tenant unless None. Raises NotFound, also for another tenant's."""
    of_tenant = {} if tenant_id is None else {"tenant_id": tenant_id}
    document = await Document.filter(id=document_id, **of_tenant).first()
    if document is None:
        raise NotFound("no such document", path=("documentId",))
    return document


async def list_documents(tenant_id: int, after: UUID | None, limit: int) -> Sequence[Document]:
    """The tenant's documents in the order of their upload, after the given one."""
    query = Document.filter(tenant_id=tenant_id)
    if after is not None:
        query = query.filter(id__gt=after)
    return await query.order_by("id").limit(limit)
