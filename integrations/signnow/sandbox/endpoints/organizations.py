"""`/v2/organizations`. That they are made here, capped and searched is documented; bodies and answers are assumed."""

import json
from typing import Any

from starlette.responses import JSONResponse, Response

from integrations.signnow.sandbox.accounts import id_of, is_email
from integrations.signnow.sandbox.calls import Call, bearer
from integrations.signnow.sandbox.documents import Document
from integrations.signnow.sandbox.organizations import Organization
from integrations.signnow.sandbox.pages import page_of
from integrations.signnow.sandbox.refusals import INVALID_EMAIL, not_found, refusal
from integrations.signnow.sandbox.views import epoch


async def create(call: Call) -> Response:
    name = str((await call.json()).get("name") or "")
    if not name:
        raise refusal("Organization name must not be empty")
    if len(_mine(call)) >= call.world.knobs.organizations:
        raise refusal("the subscription has no more organizations")
    made = Organization(call.user.id, name, {call.user.email: "active"})
    call.world.organizations[made.id] = made
    return JSONResponse({"data": {"id": made.id, "name": made.name}}, 201)


async def list_all(call: Call) -> Response:
    return JSONResponse(page_of([{"id": each.id, "name": each.name} for each in _mine(call)], call))


async def add_member(call: Call) -> Response:
    organization, email = _one(call), str((await call.json()).get("email") or "")
    if not is_email(email):
        raise refusal("Email is invalid", INVALID_EMAIL)
    if email not in organization.members and len(organization.members) >= call.world.knobs.members:
        raise refusal("the organization has no more seats")
    organization.members.setdefault(email, "pending")
    return JSONResponse({"data": {"email": email, "status": organization.members[email]}}, 201)


async def list_members(call: Call) -> Response:
    shown = [
        {"id": id_of(email), "user_id": id_of(email), "email": email, "status": status}
        for email, status in _one(call).members.items()
    ]
    return JSONResponse(page_of(shown, call))


async def search(call: Call) -> Response:
    """Documents of all members, the last changed first. Of the filters, owner and status are known."""
    active = {email for email, status in _one(call).members.items() if status == "active"}
    users = {user.id: user.email for user in call.world.accounts.users.values() if user.email in active}
    wanted = _filters(call)
    found = [
        document
        for document in call.world.documents.values()
        if document.user_id in users
        and wanted.get("owner") in (None, users[document.user_id])
        and wanted.get("status") in (None, "signed" if document.is_completed else "pending")
    ]
    found.sort(key=lambda document: document.updated_at, reverse=True)
    return JSONResponse(page_of([_shown(document, users[document.user_id]) for document in found], call))


def _filters(call: Call) -> dict[str, str]:
    try:
        asked = json.loads(call.request.query_params.get("filters", "[]"))
        return {name: str(said["value"]) for entry in asked for name, said in entry.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise refusal("filters cannot be read") from None


def _shown(document: Document, owner: str) -> dict[str, Any]:
    return {
        "id": document.id,
        "user_id": document.user_id,
        "document_name": document.name,
        "owner": owner,
        "created": epoch(document.created_at),
        "updated": epoch(document.updated_at),
        "original_filename": document.file_name,
    }


def _mine(call: Call) -> list[Organization]:
    return [each for each in call.world.organizations.values() if each.owner_id == call.user.id]


def _one(call: Call) -> Organization:
    wanted = call.request.path_params["organization_id"]
    for organization in _mine(call):
        if organization.id == wanted:
            return organization
    raise not_found("the organization")


_ONE = "/v2/organizations/{organization_id}"

ROUTES = [
    bearer("POST", "/v2/organizations", create),
    bearer("GET", "/v2/organizations", list_all),
    bearer("POST", _ONE + "/members", add_member),
    bearer("GET", _ONE + "/members", list_members),
    bearer("GET", _ONE + "/documents/search", search),
]
