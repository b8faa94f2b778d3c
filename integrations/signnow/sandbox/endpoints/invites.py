"""Invites: field (by role), free-form (one signer, anywhere), and what is done to them."""

from typing import Any

from starlette.responses import JSONResponse, Response

from integrations.signnow.sandbox.accounts import is_email, new_id
from integrations.signnow.sandbox.calls import Call, bearer
from integrations.signnow.sandbox.documents import Document, FieldInvite
from integrations.signnow.sandbox.pages import page_of
from integrations.signnow.sandbox.refusals import INVALID_EMAIL, not_found, refusal


async def invite(call: Call) -> Response:
    """One URL for both kinds: `to` is a list for a field invite, a string for a free-form one."""
    document, body = call.document, await call.json()
    if not body.get("from"):
        raise refusal("From must not be empty")
    if body["from"] != call.user.email:
        raise refusal("From must be the email of the user")
    if isinstance(body.get("to"), str):
        return _invite_free_form(call, document, body["to"])
    return _invite_by_role(call, document, body.get("to"))


def _invite_free_form(call: Call, document: Document, email: str) -> Response:
    if not is_email(email):
        raise refusal("Email is invalid", INVALID_EMAIL)
    if document.fields:
        raise refusal("the document has fields; invite by role")
    sent = call.world.send_free_form_invite(document, email, call.base_url)
    return JSONResponse({"result": "success", "id": sent.id, "callback_url": "none"})


def _invite_by_role(call: Call, document: Document, to: Any) -> Response:
    if not isinstance(to, list) or not to or not all(isinstance(recipient, dict) for recipient in to):
        raise refusal("To must not be empty")
    if document.field_invites:
        raise refusal("the document has an invite already")
    invites = [_field_invite(call, document, recipient) for recipient in to]
    if len({sent.role for sent in invites}) < len(invites):
        raise refusal("a role can be given to one signer only")
    call.world.send_field_invite(document, invites, call.base_url)
    return JSONResponse({"status": "success"})


def _field_invite(call: Call, document: Document, recipient: dict[str, Any]) -> FieldInvite:
    if not is_email(recipient.get("email")):
        raise refusal("Email is invalid", INVALID_EMAIL)
    role = document.role_name(recipient.get("role_id"), recipient.get("role"))
    if role is None:
        raise refusal(f"the document has no role {recipient.get('role')!r}")
    redirect_uri = recipient.get("redirect_uri")
    return FieldInvite(recipient["email"], role, turn_of(recipient), call.now, redirect_uri=redirect_uri)


def turn_of(recipient: dict[str, Any]) -> int:
    """When a recipient is asked: equal numbers at the same time, the lowest first."""
    try:
        return int(recipient.get("order", 1))
    except (ValueError, TypeError):
        raise refusal("order must be a number") from None


async def cancel_field_invite(call: Call) -> Response:
    """All signers' invites vanish from the document. What was charged stays charged: refunds are not documented."""
    document = call.document
    if not document.field_invites:
        raise not_found("the invite")
    document.field_invites = []
    document.log("invite_cancelled", call.user.email, call.now)
    return JSONResponse({"status": "success"})


async def cancel_free_form_invite(call: Call) -> Response:
    invite_id = call.request.path_params["invite_id"]
    for document in call.world.documents.values():
        for sent in document.free_form_invites:
            if sent.id == invite_id and document.user_id == call.user.id and sent.status == "pending":
                sent.is_cancelled = True
                document.log("invite_cancelled", call.user.email, call.now)
                return JSONResponse({})
    raise not_found("the invite")


async def resend_field_invite(call: Call) -> Response:
    """By `fields[].field_request_id`; the id in `field_invites[]` is another and does not do."""
    request_id = call.request.path_params["request_id"]
    for document in call.world.documents.values():
        for sent in document.field_invites:
            if (sent.request_id, sent.status, document.user_id) == (request_id, "pending", call.user.id):
                document.log("invite_resent", call.user.email, call.now)
                return JSONResponse({"status": "success"})
    raise refusal("could not resend")


async def list_free_form_invites(call: Call) -> Response:
    sent = [
        {"id": sent.id, "status": sent.status, "created": int(sent.created_at.timestamp()), "email": sent.email}
        for sent in call.document.free_form_invites
    ]
    return JSONResponse(page_of(sent, call))


async def make_signing_link(call: Call) -> Response:
    """Links for whoever opens them. They lead nowhere here: the control plane signs."""
    document = call.world.document_of(call.user, str((await call.json()).get("document_id", "")))
    url = f"{call.base_url}/webapp/document/{document.id}?access_token={new_id()}"
    return JSONResponse({"url": url, "url_no_signup": f"{url}&mode=no_signup"})


ROUTES = [
    bearer("POST", "/document/{document_id}/invite", invite),
    bearer("PUT", "/document/{document_id}/fieldinvitecancel", cancel_field_invite),
    bearer("PUT", "/invite/{invite_id}/cancel", cancel_free_form_invite),
    bearer("PUT", "/fieldinvite/{request_id}/resend", resend_field_invite),
    bearer("GET", "/v2/documents/{document_id}/free-form-invites", list_free_form_invites),
    bearer("POST", "/link", make_signing_link),
]
