"""`/document`: upload, fields, download, history."""

import json
import zipfile
from io import BytesIO
from pathlib import PurePath
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from integrations.signnow.sandbox.accounts import new_id
from integrations.signnow.sandbox.books import Fact
from integrations.signnow.sandbox.calls import Call, bearer
from integrations.signnow.sandbox.documents import Document
from integrations.signnow.sandbox.multipart import Form, read_form
from integrations.signnow.sandbox.pdf import collapse
from integrations.signnow.sandbox.refusals import NoRoute, refusal
from integrations.signnow.sandbox.views import document_json, history_json
from integrations.signnow.sandbox.world import World, document_event

_FILE_TYPES: Final = frozenset(
    {"doc", "docx", "pdf", "odt", "rtf", "xml", "xls", "xlsx", "ppt", "pptx", "png", "jpg", "jpeg", "gif", "bmp"}
)


async def upload(call: Call) -> Response:
    document = _store(call, await read_form(call.request), _FILE_TYPES)
    return JSONResponse({"id": document.id})


async def upload_with_tags(call: Call) -> Response:
    """Fields come from the form's `Tags`; SignNow reads their places from the text, the sandbox makes them up."""
    form = await read_form(call.request)
    try:
        tags = json.loads(form.texts.get("Tags") or "[]")
        fields = [_tagged_field(number, tag) for number, tag in enumerate(tags)]
    except (ValueError, TypeError, AttributeError):
        raise refusal("Tags must be a JSON array of objects") from None
    document = _store(call, form, frozenset({"pdf"}))
    document.place(fields)
    return JSONResponse({"id": document.id})


async def show(call: Call) -> Response:
    return JSONResponse(document_json(call.document, call.user, call.base_url))


async def change(call: Call) -> Response:
    """Replace the fields, or rename."""
    document, body = call.document, await call.json()
    if "fields" in body:
        if document.field_invites or document.free_form_invites:
            raise refusal("the document has been sent for signature; its fields cannot change")
        if not isinstance(body["fields"], list) or not all(isinstance(entry, dict) for entry in body["fields"]):
            raise refusal("fields must be an array of objects")
        document.place(body["fields"])
    if "document_name" in body:
        document.name = str(body["document_name"])
    document.log("document_updated", call.user.email, call.now)
    call.world.tell(document, [document_event("update", document, call.user.id)], call.base_url)
    return JSONResponse({"id": document.id})


async def delete(call: Call) -> Response:
    """Refused while an invite is pending: of two reports on SignNow, the stricter."""
    document = call.document
    if any(status in ("created", "pending") for status in document.invite_statuses):
        raise refusal("the document has a pending invite; cancel it first")
    del call.world.documents[document.id]
    call.world.tell(document, [document_event("delete", document, call.user.id)], call.base_url)
    return JSONResponse({"status": "success"})


async def download(call: Call) -> Response:
    """Without a type SignNow sends the upload as it came; `collapsed` is the file with all that was filled in."""
    document, kind = call.document, call.request.query_params.get("type")
    if kind not in (None, "collapsed", "zip"):
        raise refusal("unknown download type")
    call.world.enter(Fact.DOWNLOADS, document)
    if kind is None:
        return _file(document.content, document.file_name, "application/octet-stream")
    if kind == "collapsed":
        return _collapsed(document)
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        entries.writestr(f"{document.name}.pdf", _collapsed_content(document))
    return _file(archive.getvalue(), f"{document.name}.zip", "application/zip")


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
    return _collapsed(document)


async def show_history(call: Call) -> Response:
    document = call.document
    return JSONResponse([history_json(document, entry) for entry in document.history])


async def list_documents(call: Call) -> Response:
    """All of the user's documents, the last changed first."""
    page, size = call.page(50)
    mine = [document for document in call.world.documents.values() if document.user_id == call.user.id]
    mine.sort(key=lambda document: document.updated_at, reverse=True)
    shown = mine[(page - 1) * size : page * size]
    return JSONResponse([document_json(document, call.user, call.base_url) for document in shown])


def _store(call: Call, form: Form, file_types: frozenset[str]) -> Document:
    file = form.files.get("file")
    if file is None or PurePath(file.file_name).suffix.lower().lstrip(".") not in file_types:
        raise refusal("Invalid file type.")
    folder_id = form.texts.get("folder_id") or call.user.inbox.id
    document = Document(
        id=new_id(),
        user_id=call.user.id,
        folder_id=call.user.folder(folder_id).id,
        name=form.texts.get("name") or PurePath(file.file_name).stem,
        file_name=file.file_name,
        content=file.content,
        created_at=call.now,
        updated_at=call.now,
    )
    call.world.documents[document.id] = document
    call.world.enter(Fact.UPLOADS, document)
    document.log("document_uploaded", call.user.email, call.now)
    call.world.tell(document, [document_event("create", document, call.user.id)], call.base_url)
    return document


def _tagged_field(number: int, tag: dict[str, Any]) -> dict[str, Any]:
    place = {"page_number": 0, "x": 72, "y": 72 + 40 * number, "width": 144, "height": 30, "required": True}
    return {"type": tag.get("type", "signature"), "role": tag.get("role"), "name": tag.get("tag_name"), **place}


def _collapsed(document: Document) -> Response:
    return _file(_collapsed_content(document), f"{document.name}.pdf", "application/pdf")


def _collapsed_content(document: Document) -> bytes:
    signers = dict.fromkeys(signature.email for signature in document.signatures)
    return collapse(document.content, title=document.name, signed_by=list(signers))


def _file(content: bytes, name: str, media_type: str) -> Response:
    safe = name.encode("ascii", "replace").decode().translate(str.maketrans('"\\/\r\n', "_____"))
    return Response(content, headers={"Content-Disposition": f'attachment; filename="{safe}"'}, media_type=media_type)


ROUTES = [
    bearer("POST", "/document", upload),
    bearer("POST", "/document/fieldextract", upload_with_tags),
    bearer("GET", "/document/{document_id}", show),
    bearer("PUT", "/document/{document_id}", change),
    bearer("DELETE", "/document/{document_id}", delete),
    bearer("GET", "/document/{document_id}/download", download),
    bearer("POST", "/document/{document_id}/download/link", make_download_link),
    Route("/download/{link_id}", follow_download_link, methods=["GET"]),
    bearer("GET", "/document/{document_id}/historyfull", show_history),
    bearer("GET", "/user/documents", list_documents),
    bearer("GET", "/user/documentsv2", list_documents),
]
