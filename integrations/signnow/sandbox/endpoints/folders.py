"""`/folder`: listing, and making one."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from integrations.signnow.sandbox.accounts import Folder
from integrations.signnow.sandbox.calls import Call, bearer
from integrations.signnow.sandbox.documents import Document
from integrations.signnow.sandbox.refusals import refusal
from integrations.signnow.sandbox.views import document_json, epoch

_SIGNING_STATUSES: Final = {"signed", "pending", "waiting-for-me", "waiting-for-others", "unsent", "expired"}


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
    query = call.request.query_params
    wanted = _filter(call)
    inside = [
        d for d in call.world.documents.values() if d.folder_id == folder.id and d.user_id == call.user.id and wanted(d)
    ]
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
        "documents": [
            {**document_json(d, call.user, call.base_url), "entity_type": "template" if d.is_template else "document"}
            for d in inside[offset : offset + limit]
        ],
    }


def _filter(call: Call) -> Callable[[Document], bool]:
    """One filter with its value. Which documents have which signing status is our reading of SignNow's words."""
    name, value = call.request.query_params.get("filters"), call.request.query_params.get("filter-values", "")
    match name:
        case None:
            return lambda _: True
        case "signing-status":
            words = value.split(",")
            if unknown := set(words) - _SIGNING_STATUSES:
                raise refusal(f"unknown signing status {', '.join(sorted(unknown))}")
            return lambda document: bool(_signing_statuses(document, call.user.email, call.now) & set(words))
        case "documents-created" | "documents-updated":
            if not value.isdecimal():
                raise refusal("filter-values must be a time")
            key = "created_at" if name == "documents-created" else "updated_at"
            return lambda document: int(getattr(document, key).timestamp()) >= int(value)
        case _:
            raise refusal(f"unknown filter {name}")


def _signing_statuses(document: Document, owner: str, now: datetime) -> set[str]:
    waiting = [invite for invite in document.field_invites if invite.status in ("created", "pending")]
    asked = [invite.email for invite in waiting]
    asked += [invite.email for invite in document.free_form_invites if invite.status == "pending"]
    statuses = {"signed"} if document.is_completed else set()
    if not document.invite_statuses:
        statuses.add("unsent")
    if asked:
        statuses |= {"pending", "waiting-for-me" if owner in asked else "waiting-for-others"}
    if any(invite.expires_at <= now for invite in waiting):
        statuses.add("expired")
    return statuses


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
