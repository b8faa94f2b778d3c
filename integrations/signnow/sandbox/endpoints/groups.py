"""`/documentgroup`: several documents under one invite."""

from typing import Any

from starlette.responses import JSONResponse, Response

from integrations.signnow.sandbox.accounts import is_email, new_id
from integrations.signnow.sandbox.books import Fact
from integrations.signnow.sandbox.callbacks import Event
from integrations.signnow.sandbox.calls import Call, bearer
from integrations.signnow.sandbox.documents import INVITE_LIFETIME, Document, FieldInvite
from integrations.signnow.sandbox.endpoints.downloads import collapsed, file_answer, zipped
from integrations.signnow.sandbox.groups import Action, Group, Step
from integrations.signnow.sandbox.pdf import merge
from integrations.signnow.sandbox.refusals import INVALID_EMAIL, not_found, refusal


async def create(call: Call) -> Response:
    body = await call.json()
    ids, name = body.get("document_ids"), str(body.get("group_name") or "")
    if not isinstance(ids, list) or not ids or not name:
        raise refusal("Invalid payload", 19001000)
    documents = [call.world.document_of(call.user, str(id_)) for id_ in ids]
    if any(document.group_id in call.world.groups for document in documents):
        raise refusal("a document belongs to one group only")
    group = Group(call.user.id, name, [document.id for document in documents], call.now)
    for document in documents:
        document.group_id = group.id
    call.world.groups[group.id] = group
    content = {"document_group_id": group.id, "document_group_name": name, "user_id": call.user.id}
    call.world.tell_of(group.id, group.user_id, [Event("document_group.create", content, call.user.id)], call.base_url)
    return JSONResponse({"id": group.id})


async def show(call: Call) -> Response:
    group = _group(call)
    return JSONResponse(
        {
            "id": group.id,
            "group_name": group.name,
            "invite_id": group.invite_id,
            "documents": [_shown(call, document) for document in group.present(call.world.documents)],
            "originator_organization_settings": [],
        }
    )


async def show_newer(call: Call) -> Response:
    group = _group(call)
    data = {
        "id": group.id,
        "name": group.name,
        "created": int(group.updated_at.timestamp()),
        "invite_id": group.invite_id,
        "state": "created" if group.invite_id is None else group.status(call.world.documents),
        "documents": [
            {
                "roles": list(document.roles),
                "document_name": document.name,
                "id": document.id,
                "updated": int(document.updated_at.timestamp()),
                "field_invites": [_newer_invite(document, invite) for invite in document.field_invites],
            }
            for document in group.present(call.world.documents)
        ],
        "freeform_invite": None,
        "cc_emails": [],
        "owner": {"id": call.user.id, "email": call.user.email, "organization": {}},
    }
    return JSONResponse({"data": data})


async def list_groups(call: Call) -> Response:
    mine = [group for group in call.world.groups.values() if group.user_id == call.user.id]
    mine.sort(key=lambda group: group.updated_at, reverse=True)
    offset, limit = max(call.number("offset", 0), 0), max(call.number("limit", 50), 1)
    shown = [
        {
            "last_updated": int(group.updated_at.timestamp()),
            "group_id": group.id,
            "group_name": group.name,
            "invite_id": group.invite_id,
            "invite_status": group.status(call.world.documents) if group.invite_id else None,
            "documents": [_shown(call, document) for document in group.present(call.world.documents)],
        }
        for group in mine[offset : offset + limit]
    ]
    return JSONResponse({"document_groups": shown, "document_group_total_count": len(mine)})


async def delete(call: Call) -> Response:
    """The documents stay."""
    group = _group(call)
    for document in group.present(call.world.documents):
        document.group_id = None
    del call.world.groups[group.id]
    return JSONResponse({"status": "success"})


async def invite(call: Call) -> Response:
    group = _group(call)
    if group.invite_id is not None:
        raise refusal("the document group has an invite already")
    steps = _steps(call, group, (await call.json()).get("invite_steps"))
    group.steps, group.invite_id, group.is_told, group.updated_at = steps, new_id(), False, call.now
    sent = {document.id: list[FieldInvite]() for document in group.present(call.world.documents)}
    for step in steps:
        for action in step.actions:
            if action.action == "sign":
                sent[action.document_id].append(FieldInvite(action.email, action.role, step.order, call.now))
    for document_id, invites in sent.items():
        call.world.documents[document_id].field_invites = invites
    call.world.charge_group(group)
    for document_id, invites in sent.items():
        call.world.announce(call.world.documents[document_id], invites, call.base_url)
    return JSONResponse({"id": group.invite_id, "pending_invite_link": None})


async def show_invite(call: Call) -> Response:
    return JSONResponse(_invited(call).shown_invite(call.world.documents))


async def cancel_invite(call: Call) -> Response:
    group = _invited(call)
    for document in group.present(call.world.documents):
        document.field_invites = [sent for sent in document.field_invites if sent.status == "fulfilled"]
    group.invite_id, group.steps = None, []
    return JSONResponse({"status": "success"})


async def resend_invites(call: Call) -> Response:
    group, email = _invited(call), (await call.json()).get("email")
    waiting = {sent.email for sent in group.invites(call.world.documents) if sent.status == "pending"}
    if email not in waiting:
        raise refusal("could not resend")
    return JSONResponse({"status": "success"})


async def download(call: Call) -> Response:
    """All documents as a zip or as one PDF. Counted once for each document: it is each that is downloaded."""
    group, body = _group(call), await call.json()
    kind, with_history = body.get("type"), body.get("with_history") not in (None, "no")
    if kind not in ("zip", "merged"):
        raise refusal("unknown download type")
    documents = group.present(call.world.documents)
    for document in documents:
        call.world.enter(Fact.DOWNLOADS, document)
    files = {f"{d.name} {n}.pdf": collapsed(d, with_history=with_history) for n, d in enumerate(documents, 1)}
    if kind == "zip":
        return file_answer(zipped(files), f"{group.name}.zip", "application/zip")
    return file_answer(merge(group.name, [d.name for d in documents]), f"{group.name}.pdf", "application/pdf")


def _group(call: Call) -> Group:
    group = call.world.groups.get(call.request.path_params["group_id"])
    if group is None or group.user_id != call.user.id:
        raise not_found("the document group")
    return group


def _invited(call: Call) -> Group:
    group = _group(call)
    if group.invite_id is None or group.invite_id != call.request.path_params["invite_id"]:
        raise not_found("the invite")
    return group


def _steps(call: Call, group: Group, asked: Any) -> list[Step]:
    if not isinstance(asked, list) or not asked or not all(isinstance(step, dict) for step in asked):
        raise refusal("Invalid payload", 19001000)
    steps = []
    for number, step in enumerate(asked, 1):
        actions = step.get("invite_actions")
        if not isinstance(actions, list) or not actions or not all(isinstance(action, dict) for action in actions):
            raise refusal("Invalid payload", 19001000)
        steps.append(Step(int(step.get("order", number)), tuple(_action(call, group, action) for action in actions)))
    return steps


def _action(call: Call, group: Group, asked: dict[str, Any]) -> Action:
    document_id, role = str(asked.get("document_id") or ""), str(asked.get("role_name") or "")
    if document_id not in group.document_ids:
        raise not_found("the document")
    if not is_email(asked.get("email")):
        raise refusal("Email is invalid", INVALID_EMAIL)
    kind = asked.get("action")
    if kind not in ("sign", "view", "approve"):
        raise refusal("unknown action")
    if kind == "sign" and role not in call.world.documents[document_id].roles:
        raise refusal(f"the document has no role {role!r}")
    return Action(str(asked["email"]), document_id, role, kind)


def _shown(call: Call, document: Document) -> dict[str, Any]:
    image = f"{call.base_url}/document/{document.id}/thumbnail?size="
    return {
        "id": document.id,
        "document_name": document.name,
        "thumbnail": {size: image + size for size in ("small", "medium", "large")},
        "roles": list(document.roles),
    }


def _newer_invite(document: Document, invite: FieldInvite) -> dict[str, Any]:
    return {
        "id": invite.id,
        "created": int(invite.created_at.timestamp()),
        "updated": int(document.updated_at.timestamp()),
        "status": invite.status,
        "expiration_time": int(invite.expires_at.timestamp()),
        "expiration_days": INVITE_LIFETIME.days,
        "signer_email": invite.email,
        "password_protected": "0",
        "email_group": None,
        "email_statuses": [],
    }


_ONE = "/documentgroup/{group_id}"
_INVITE = _ONE + "/groupinvite/{invite_id}"

ROUTES = [
    bearer("POST", "/documentgroup", create),
    bearer("GET", "/user/documentgroups", list_groups),
    bearer("GET", _ONE, show),
    bearer("DELETE", _ONE, delete),
    bearer("GET", "/v2/document-groups/{group_id}", show_newer),
    bearer("POST", _ONE + "/groupinvite", invite),
    bearer("GET", _INVITE, show_invite),
    bearer("POST", _INVITE + "/cancelinvite", cancel_invite),
    bearer("POST", _INVITE + "/resendinvites", resend_invites),
    bearer("POST", _ONE + "/downloadall", download),
]
