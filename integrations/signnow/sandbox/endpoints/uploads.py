"""Uploads: a file, a file whose text says where the fields are, a file that SignNow fetches."""

import json
from pathlib import PurePath
from typing import Any, Final

import httpx
from starlette.responses import JSONResponse, Response

from integrations.signnow.sandbox.accounts import new_id
from integrations.signnow.sandbox.calls import Call, bearer
from integrations.signnow.sandbox.documents import Document
from integrations.signnow.sandbox.multipart import Form, Upload, read_form
from integrations.signnow.sandbox.refusals import refusal

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


async def upload_from_url(call: Call) -> Response:
    """The file is fetched through the connection that carries the callbacks, too."""
    body = await call.json()
    url, name = str(body.get("url") or ""), body.get("name")
    try:
        answer = await call.world.http.get(url, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL):
        raise refusal("the URL cannot be fetched") from None
    if not answer.is_success:
        raise refusal("the URL cannot be fetched")
    file_name = PurePath(answer.url.path).name or "document"
    file = Upload(file_name if "." in file_name else f"{file_name}.pdf", answer.content)
    texts = {"name": str(name)} if name else {}
    if body.get("make_template"):
        texts["make_template"] = "1"
    return JSONResponse({"id": _store(call, Form(texts, {"file": file}), _FILE_TYPES).id})


def _store(call: Call, form: Form, file_types: frozenset[str]) -> Document:
    """What SignNow says of an empty file, or of one that is not what its name says, is assumed."""
    file = form.files.get("file")
    kind = PurePath(file.file_name).suffix.lower().lstrip(".") if file else ""
    if file is None or kind not in file_types:
        raise refusal("Invalid file type.")
    if not file.content:
        raise refusal("The file is empty.")
    if kind == "pdf" and b"%PDF-" not in file.content[:1024]:
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
        is_template=form.texts.get("make_template", "") not in ("", "0"),  # PHP takes "false" for true
    )
    call.world.add(document, "document_uploaded", call.base_url)
    return document


def _tagged_field(number: int, tag: dict[str, Any]) -> dict[str, Any]:
    place = {"page_number": 0, "x": 72, "y": 72 + 40 * number, "width": 144, "height": 30, "required": True}
    return {"type": tag.get("type", "signature"), "role": tag.get("role"), "name": tag.get("tag_name"), **place}


ROUTES = [
    bearer("POST", "/document", upload),
    bearer("POST", "/document/fieldextract", upload_with_tags),
    bearer("POST", "/v2/documents/url", upload_from_url),
]
