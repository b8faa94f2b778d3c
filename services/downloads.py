"""Downloads: what was filled in, as a PDF or a zip, whole or chunk by chunk."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from integrations.protocols import DownloadForm as DownloadForm
from integrations.protocols import SignNowFile
from services import documents, identities, operations
from services.commands import Intent
from services.operations import StoredOperation
from services.platform import Platform
from services.problems import Problems
from storage.documents import Document
from storage.operations import OperationKind
from storage.tenants import Tenant

UNITS: Final = {"downloads": 1, "api_calls": 1}


@dataclass(frozen=True, slots=True)
class Download:
    """Which document, and how it shall come: `with_history` adds SignNow's audit trail."""

    tenant: Tenant
    document_id: UUID
    idempotency_key: str
    form: DownloadForm = DownloadForm.COLLAPSED
    with_history: bool = False


@dataclass(frozen=True, slots=True)
class SignedFile:
    """The file while it comes."""

    document: Document
    operation: StoredOperation
    file: SignNowFile


@dataclass(frozen=True, slots=True)
class SignedDownload:
    """The file's bytes."""

    document: Document
    operation: StoredOperation
    content: bytes


@asynccontextmanager
async def opening_signed(platform: Platform, command: Download) -> AsyncIterator[SignedFile]:
    """The file, chunk by chunk while the context is open. Counted once per key, when SignNow begins to send: the same
    key again fetches it without counting, also where a transfer broke off.

    Raises InvalidInput, NotFound, and what `operations.reserve` and SignNow refuse.
    """
    problems = Problems()
    problems.check_key(command.idempotency_key, "idempotencyKey")
    problems.refuse()
    document = await documents.find_document(command.tenant.id, command.document_id)
    request = {"document_id": str(document.id), "form": command.form, "with_history": command.with_history}
    intent = Intent(OperationKind.DOWNLOAD, command.idempotency_key, request, UNITS, document.id)
    operation, is_new = await operations.reserve(platform, command.tenant, intent)
    async with AsyncExitStack() as stack:
        # An operation that has ended before stays as it is, whatever comes of fetching the file again.
        async with operations.calling_signnow(platform, operation), operations.preparing(platform, operation):
            file = await stack.enter_async_context(
                identities.signnow_for(platform, command.tenant).open_download(
                    document.signnow_document_id, command.form, with_history=command.with_history
                )
            )
        if is_new:
            await operations.succeed(platform, operation, UNITS)
        yield SignedFile(document, operation, file)


async def download_signed(platform: Platform, command: Download) -> SignedDownload:
    """The file whole. Raises what `opening_signed` raises, UpstreamError where the transfer breaks off."""
    async with opening_signed(platform, command) as signed:
        content = b"".join([chunk async for chunk in signed.file.chunks])
    return SignedDownload(signed.document, signed.operation, content)
