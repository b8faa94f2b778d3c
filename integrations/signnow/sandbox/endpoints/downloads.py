"""Downloads: of documents, of groups, and by links that work once."""

import zipfile
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from integrations.signnow.sandbox.accounts import new_id
from integrations.signnow.sandbox.books import Fact
from integrations.signnow.sandbox.calls import Call, bearer
from integrations.signnow.sandbox.documents import Document
from integrations.signnow.sandbox.pdf import collapse
from integrations.signnow.sandbox.refusals import NoRoute, refusal
from integrations.signnow.sandbox.world import World

_CHUNK: Final = 256 * 1024


async def download(call: Call) -> Response:
    """Without a type SignNow sends the upload as it came; `collapsed` is the file with all that was filled in."""
    document, query = call.document, call.request.query_params
    kind = query.get("type")
    if kind not in (None, "collapsed", "zip"):
        raise refusal("unknown download type")
    call.world.enter(Fact.DOWNLOADS, document)
    if kind is None:
        return file_answer(document.content, document.file_name, "application/octet-stream")
    content = collapsed(document, with_history=query.get("with_history") == "1")
    if kind == "collapsed":
        return file_answer(content, f"{document.name}.pdf", "application/pdf")
    return file_answer(zipped({f"{document.name}.pdf": content}), f"{document.name}.zip", "application/zip")


async def make_download_link(call: Call) -> Response:
    link_id = new_id()
    call.world.download_links[link_id] = call.document.id
    return JSONResponse({"link": f"{call.base_url}/download/{link_id}"})


async def follow_download_link(request: Request) -> Response:
    """A link works once, and for anyone who has it."""
    world: World = request.app.state.world
    document = world.documents.get(world.download_links.pop(request.path_params["link_id"], ""))
    if document is None:
        raise NoRoute
    world.enter(Fact.DOWNLOADS, document)
    return file_answer(collapsed(document), f"{document.name}.pdf", "application/pdf")


def collapsed(document: Document, *, with_history: bool = False) -> bytes:
    """The file with its signers in it; a history is told in the same place."""
    facts = list(dict.fromkeys(signature.email for signature in document.signatures))
    if with_history:
        facts += [f"{entry.event} {entry.email}" for entry in document.history]
    return collapse(document.content, title=document.name, signed_by=facts)


def zipped(files: dict[str, bytes]) -> bytes:
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        for name, content in files.items():
            entries.writestr(name, content)
    return archive.getvalue()


def file_answer(content: bytes, name: str, media_type: str) -> Response:
    """An attachment, sent in chunks."""
    safe = name.encode("ascii", "replace").decode().translate(str.maketrans('"\\/\r\n', "_____"))
    headers = {"Content-Disposition": f'attachment; filename="{safe}"', "Content-Length": str(len(content))}
    return StreamingResponse(_chunks(content), headers=headers, media_type=media_type)


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _CHUNK):
        yield content[start : start + _CHUNK]


ROUTES = [
    bearer("GET", "/document/{document_id}/download", download),
    bearer("POST", "/document/{document_id}/download/link", make_download_link),
    Route("/download/{link_id}", follow_download_link, methods=["GET"]),
]
