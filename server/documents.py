"""Files over plain HTTP, never whole in memory: `POST /documents` uploads, `GET /documents/{id}/signed` downloads.

They are `uploadDocument` and `downloadSigned` by another door: the same keys, quotas and units. What is uploaded lies
in a file until it is whole and known to be a PDF; only then is anything reserved, or SignNow called.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from inkmeter.errors import InvalidInput, Problem, Refused
from schema.connections import uuid_of
from schema.nodes import global_id
from server.usage import named_tenant, refusal_response
from services import documents, downloads, keys
from services.documents import UploadDocument
from services.downloads import Download, DownloadForm
from services.platform import Platform
from services.tenants import Tenant

STATUS: Final = {"NOT_FOUND": 404, "INVALID_INPUT": 400, "NOT_PERMITTED": 403, "UPSTREAM_UNAVAILABLE": 503}
"""HTTP's word for a refusal; 409 for the others."""
KEY: Final = "idempotency-key"
NO_LIMIT: Final = 2**63
"""For Starlette's own limit of a body, which would refuse without a word about what fits: the handler has one."""

Handler = Callable[[Request], Awaitable[Response]]
Act = Callable[[Platform, Tenant, Request], Awaitable[Response]]


def upload_route(get_platform: Callable[[], Platform]) -> Handler:
    """`POST /documents?name=…` with the PDF as the body; with an operator's key `tenantId` names the tenant."""
    return _guarded(get_platform, _upload)


def download_route(get_platform: Callable[[], Platform]) -> Handler:
    """`GET /documents/{id}/signed?kind=COLLAPSED|ZIP&history=true`."""
    return _guarded(get_platform, _download)


def _guarded(get_platform: Callable[[], Platform], act: Act) -> Handler:
    async def answer(request: Request) -> Response:
        viewer = await keys.find_viewer(keys.bearer(request.headers.get("authorization")))
        if viewer is None:
            return refusal_response("UNAUTHENTICATED", "Send a valid API key: `Authorization: Bearer ink_…`", 401)
        try:
            tenant = await named_tenant(viewer.tenant_id, request.query_params.get("tenantId"))
            return await act(get_platform(), tenant, request)
        except Refused as refusal:
            return _refused(refusal)

    return answer


class _TooLarge(InvalidInput):
    """The body is no file that is taken, however it goes on."""


def _refused(refusal: Refused) -> Response:
    status = 413 if isinstance(refusal, _TooLarge) else STATUS.get(refusal.code, 409)
    return refusal_response(refusal.code, refusal.message, status)


async def _upload(platform: Platform, tenant: Tenant, request: Request) -> Response:
    name, key = request.query_params.get("name", ""), request.headers.get(KEY, "")
    with tempfile.TemporaryDirectory(prefix="inkmeter-") as folder:
        path = Path(folder) / "upload.pdf"
        await _receive_file(platform, request, path)
        document, operation = await documents.upload_document(platform, UploadDocument(tenant, name, path, key))
    shown = {"id": str(global_id("Document", document.id)), "name": document.name, "state": document.state}
    return JSONResponse({"document": shown, "decision": {"reason": operation.decision["reason"]}}, 201)


async def _receive_file(platform: Platform, request: Request, path: Path) -> None:
    """Write the body to a file. Raises InvalidInput as soon as it is too large, or says that it will be."""
    most, size = platform.terms.max_pdf_bytes, 0
    too_large = _TooLarge([Problem(("content",), documents.too_large(most))])
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise too_large
    with path.open("wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise too_large
            await asyncio.to_thread(file.write, chunk)


async def _download(platform: Platform, tenant: Tenant, request: Request) -> Response:
    kind, history = request.query_params.get("kind", "COLLAPSED"), request.query_params.get("history", "false")
    problems = []
    if kind not in ("COLLAPSED", "ZIP"):
        problems.append(Problem(("kind",), "is COLLAPSED or ZIP"))
    if history not in ("true", "false"):
        problems.append(Problem(("history",), "is true or false"))
    if problems:
        raise InvalidInput(problems)
    document_id = uuid_of(request.path_params["document_id"], "Document", path=("documentId",))
    command = Download(tenant, document_id, request.headers.get(KEY, ""), DownloadForm[kind], history == "true")
    return _SignedResponse(platform, command)


class _SignedResponse(Response):
    """Opens the download when it is sent, so that whatever happens to the connection closes SignNow's as well."""

    def __init__(self, platform: Platform, command: Download) -> None:
        super().__init__()
        self._platform, self._command = platform, command

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with downloads.opening_signed(self._platform, self._command) as signed:
                ending = "zip" if self._command.form is DownloadForm.ZIP else "pdf"
                headers: dict[str, Any] = {
                    "content-disposition": f"attachment; filename*=UTF-8''{quote(signed.document.name)}.{ending}",
                    "cache-control": "no-store",
                }
                if signed.file.size is not None:
                    headers["content-length"] = str(signed.file.size)
                answer = StreamingResponse(signed.file.chunks, headers=headers, media_type=signed.file.media_type)
                await answer(scope, receive, send)
        except Refused as refusal:  # only before the answer has begun: what breaks later breaks the connection
            await _refused(refusal)(scope, receive, send)
