"""Documents that SignNow makes without a file of ours: from a URL, and from templates."""

import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from inkmeter.errors import Conflict
from services import documents, identities, made_documents, operations
from services.commands import Intent
from services.operations import StoredOperation
from services.platform import Platform
from services.problems import Problems
from storage.documents import Document, DocumentState
from storage.ids import new_id
from storage.operations import OperationKind
from storage.tenants import Tenant

_URL: Final = re.compile(r"https?://[^\s/?#]+[^\s]*")
MAX_URL: Final = 2048


@dataclass(frozen=True, slots=True)
class UploadFromUrl:
    """A PDF that SignNow fetches, under a name that signers will read."""

    tenant: Tenant
    name: str
    url: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class MakeTemplate:
    """A template with the file and the fields of a document, which stays as it is."""

    tenant: Tenant
    document_id: UUID
    name: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class UseTemplate:
    """A document with the file and the fields of a template."""

    tenant: Tenant
    template_id: UUID
    name: str
    idempotency_key: str


async def upload_from_url(platform: Platform, command: UploadFromUrl) -> tuple[Document, StoredOperation]:
    """Let SignNow fetch a PDF. The same key again answers the same document, made once.

    Raises InvalidInput, and what `operations.reserve` and SignNow refuse: an address that it cannot read, too.
    """
    problems = _problems(command.name, command.idempotency_key)
    is_url = len(command.url) <= MAX_URL and _URL.fullmatch(command.url) and command.url.isprintable()
    problems.check(bool(is_url), f"is no http address of at most {MAX_URL} characters", "url")
    problems.refuse()
    request = {"name": command.name, "url": command.url}
    operation, is_new = await _reserve(
        platform, command.tenant, OperationKind.UPLOAD_URL, command.idempotency_key, request
    )
    if is_new:
        await _make(
            platform,
            operation,
            identities.signnow_for(platform, command.tenant).upload_from_url(url=command.url, name=str(operation.id)),
        )
    return await _made(command.tenant, operation)


async def create_template(platform: Platform, command: MakeTemplate) -> tuple[Document, StoredOperation]:
    """Make a template of a document. Raises InvalidInput, NotFound, Conflict for what is deleted, and what
    `operations.reserve` and SignNow refuse.
    """
    _problems(command.name, command.idempotency_key).refuse()
    document = await documents.find_document(command.tenant.id, command.document_id)
    request = {"name": command.name, "document_id": str(command.document_id)}
    operation, is_new = await _reserve(
        platform, command.tenant, OperationKind.TEMPLATE, command.idempotency_key, request
    )
    if is_new:
        call = identities.signnow_for(platform, command.tenant).create_template(
            document.signnow_document_id, str(operation.id)
        )
        await _make(platform, operation, call)
    return await _made(command.tenant, operation)


async def use_template(platform: Platform, command: UseTemplate) -> tuple[Document, StoredOperation]:
    """Make a document of a template. Raises InvalidInput, NotFound, Conflict for a document that is no template, and
    what `operations.reserve` and SignNow refuse.
    """
    _problems(command.name, command.idempotency_key).refuse()
    template = await documents.find_document(command.tenant.id, command.template_id, path="templateId")
    if template.state is not DocumentState.TEMPLATE:
        raise Conflict("the document is no template", path=("templateId",))
    request = {"name": command.name, "template_id": str(command.template_id)}
    operation, is_new = await _reserve(platform, command.tenant, OperationKind.COPY, command.idempotency_key, request)
    if is_new:
        folder_id = documents.require_folder(command.tenant)
        call = identities.signnow_for(platform, command.tenant).copy_template(
            template.signnow_document_id, name=str(operation.id), folder_id=folder_id
        )
        await _make(platform, operation, call)
    return await _made(command.tenant, operation)


def _problems(name: str, key: str) -> Problems:
    problems = Problems()
    problems.check_text(name, "name")
    problems.check_key(key, "idempotencyKey")
    return problems


async def _reserve(
    platform: Platform, tenant: Tenant, kind: OperationKind, key: str, request: Mapping[str, Any]
) -> tuple[StoredOperation, bool]:
    documents.require_folder(tenant)
    intent = Intent(kind, key, request, made_documents.units_of(kind), new_id())
    return await operations.reserve(platform, tenant, intent)


async def _make(platform: Platform, operation: StoredOperation, call: Awaitable[str]) -> None:
    async with operations.calling_signnow(platform, operation):
        signnow_id = await call
    await made_documents.finish_making(platform, operation, signnow_id)


async def _made(tenant: Tenant, operation: StoredOperation) -> tuple[Document, StoredOperation]:
    return await documents.find_document(tenant.id, made_documents.document_id_of(operation)), operation
