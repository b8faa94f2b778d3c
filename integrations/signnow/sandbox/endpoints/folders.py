"""`/folder`: listing, and making one."""

from collections import Counter
from typing import Any

from starlette.responses import JSONResponse, Response

from integrations.signnow.sandbox.accounts import Folder
from integrations.signnow.sandbox.calls import Call, bearer
from integrations.signnow.sandbox.refusals import refusal
from integrations.signnow.sandbox.views import document_json, epoch


async def show_root(call: Call) -> Response:
    return JSONResponse(_listing(call, call.user.root))


async def show_folder(call: Call) -> Response:
    return JSONResponse(_listing(call, call.user.folder(call.request.path_params["folder_id"])))


async def create_folder(call: Call) -> Response:
    """Not in SignNow's docs: path, body and answer are assumed."""
    body = await call.json()
    name, parent_id = str(body.get("name") or ""), str(body.get("parent_id") or call.user.root.id)
    if not name:
        raise refusal("Folder name must not be empty")
    parent = call.user.folder(parent_id)
    return JSONResponse({"id": call.user.add_folder(name, parent.id, call.now).id})


def _listing(call: Call, folder: Folder) -> dict[str, Any]:
    inside = [d for d in call.world.documents.values() if d.folder_id == folder.id and d.user_id == call.user.id]
    query = call.request.query_params
    if query.get("order") == "desc":
        inside.reverse()  # so that of two in the same instant the later comes first
    keys = {"created": "created_at", "updated": "updated_at", "document-name": "name"}
    key = keys.get(query.get("sortby", "created"), "created_at")
    inside.sort(key=lambda document: getattr(document, key), reverse=query.get("order") == "desc")
    offset, limit = max(call.number("offset", 0), 0), min(max(call.number("limit", 100), 1), 100)
    counts = Counter(document.folder_id for document in call.world.documents.values())
    children = [child for child in call.user.folders.values() if child.parent_id == folder.id]
    return {
        **_summary(folder, counts),
        "folders": [_summary(child, counts) for child in children],
        "total_documents": len(inside),
        "documents": [document_json(d, call.user, call.base_url) for d in inside[offset : offset + limit]],
    }


def _summary(folder: Folder, counts: Counter[str]) -> dict[str, Any]:
    return {
        "id": folder.id,
        "name": folder.name,
        "parent_id": folder.parent_id,
        "user_id": folder.user_id,
        "created": epoch(folder.created_at),
        "system_folder": folder.is_system,
        "shared": False,
        "document_count": str(counts[folder.id]),
    }


ROUTES = [
    bearer("GET", "/folder", show_root),
    bearer("GET", "/user/folder", show_root),
    bearer("GET", "/v1/folder", show_root),
    bearer("GET", "/folder/{folder_id}", show_folder),
    bearer("POST", "/user/folder", create_folder),
]
