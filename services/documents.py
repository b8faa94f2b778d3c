"""Documents: uploading a PDF, reading it, deleting it."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from tortoise.expressions import F, Q

from inkmeter.errors import NotFound
from integrations.protocols import TextTag as TextTag
from services import identities, made_documents, operations
from services.commands import Intent, Uploaded
from services.operations import StoredOperation
from services.platform import Platform
from services.problems import Problems
from storage.documents import Document as Document
from storage.documents import DocumentState as DocumentState
from storage.ids import new_id
from storage.operations import OperationKind
from storage.tenants import Tenant

UNITS: Final = {"documents_created": 1, "api_calls": 1}
FIELD_TYPES: Final = ("signature", "initials", "text", "checkbox")
"""What a text tag can be: of SignNow's words those that need nothing besides."""


@dataclass(frozen=True, slots=True)
class UploadDocument:
    """A PDF, at hand or in a file, under a name that signers will read. With `tags` its text says where fields are."""

    tenant: Tenant
    name: str
    content: bytes | Path
    idempotency_key: str
    tags: Sequence[TextTag] = ()


async def upload_document(platform: Platform, command: UploadDocument) -> tuple[Document, StoredOperation]:
    """Upload to the tenant's folder in SignNow. The same key again answers the same document, uploaded once.

    Raises InvalidInput for what is not a PDF, and what `operations.reserve` and SignNow refuse.
    """
    problems = Problems()
    problems.check_text(command.name, "name")
    problems.check_key(command.idempotency_key, "idempotencyKey")
    for index, tag in enumerate(command.tags):
        problems.check_text(tag.name, "tags", str(index), "name")
        problems.check_text(tag.role, "tags", str(index), "role")
        problems.check(tag.type in FIELD_TYPES, f"is one of {', '.join(FIELD_TYPES)}", "tags", str(index), "type")
    sha256 = await _check_pdf(problems, command.content, platform.terms.max_pdf_bytes)
    problems.refuse()
    request: dict[str, Any] = {"name": command.name, "sha256": sha256}
    kind, units = OperationKind.UPLOAD, UNITS
    if command.tags:
        request["tags"] = [asdict(tag) for tag in command.tags]
        kind, units = OperationKind.UPLOAD_TAGGED, made_documents.UNITS
    intent = Intent(kind, command.idempotency_key, request, units, new_id())
    folder_id = require_folder(command.tenant)
    operation, is_new = await operations.reserve(platform, command.tenant, intent)
    if is_new:
        file_name = f"{operation.id}.pdf"
        async with operations.calling_signnow(platform, operation):
            signnow = identities.signnow_for(platform, command.tenant)
            if command.tags:
                signnow_id = await signnow.upload_with_tags(
                    file_name=file_name, content=command.content, tags=command.tags
                )
            else:
                signnow_id = await signnow.upload_document(
                    folder_id=folder_id, name=command.name, file_name=file_name, content=command.content
                )
        if command.tags:
            await made_documents.finish_making(platform, operation, signnow_id)
        else:
            await finish_upload(platform, operation, signnow_id)
    return await find_document(command.tenant.id, made_documents.document_id_of(operation)), operation


async def _check_pdf(problems: Problems, content: bytes | Path, most: int) -> str:
    """The file's SHA-256; a file on disk is read in a thread, and never whole."""
    if isinstance(content, bytes):
        size, beginning, sha256 = len(content), content[:1024], hashlib.sha256(content).hexdigest()
    else:
        size, beginning, sha256 = await asyncio.to_thread(_read_file, content)
    if problems.check(bool(size), "is empty", "content"):
        problems.check(size <= most, too_large(most), "content")
        # The marker may follow up to a kilobyte of other bytes; every reader accepts that.
        problems.check(b"%PDF-" in beginning, "is not a PDF", "content")
    return sha256


def too_large(most: int) -> str:
    """What is said of a PDF that has more bytes than this."""
    return f"is larger than {most >> 20} MiB" if most % (1 << 20) == 0 else f"is larger than {most} bytes"


def _read_file(path: Path) -> tuple[int, bytes, str]:
    with path.open("rb") as file:
        beginning = file.read(1024)
        file.seek(0)
        return path.stat().st_size, beginning, hashlib.file_digest(file, "sha256").hexdigest()


async def finish_upload(platform: Platform, operation: StoredOperation, signnow_id: str) -> None:
    """Commit an upload that SignNow has."""
    await operations.succeed(
        platform,
        operation,
        UNITS,
        uploaded=Uploaded(str(operation.request["name"]), signnow_id),
    )


def require_folder(tenant: Tenant) -> str:
    """The tenant's folder in SignNow; provisioning has made it before anything can be subscribed or sent."""
    if tenant.signnow_folder_id is None:
        raise NotFound("the tenant has no SignNow identity yet; repeat provisionTenant", path=("tenantId",))
    return tenant.signnow_folder_id


async def find_document(tenant_id: int | None, document_id: UUID, *, path: str = "documentId") -> Document:
    """The document, of that tenant unless None. Raises NotFound, also for another tenant's."""
    of_tenant = {} if tenant_id is None else {"tenant_id": tenant_id}
    document = await Document.filter(id=document_id, **of_tenant).first()
    if document is None or document.is_group:
        raise NotFound("no such document", path=(path,))
    return document


async def list_documents(tenant_id: int, after: UUID | None, limit: int) -> Sequence[Document]:
    """The tenant's documents in the order of their upload, after the given one."""
    query = Document.filter(Q(group_id__isnull=True) | ~Q(group_id=F("id")), tenant_id=tenant_id)
    if after is not None:
        query = query.filter(id__gt=after)
    return await query.order_by("id").limit(limit)
