"""Invites: field (by role), free-form (one signer, anywhere), and what is done to them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from integrations.signnow.sandbox.accounts import is_email
from integrations.signnow.sandbox.calls import Call, bearer
from integrations.signnow.sandbox.documents import INVITE_LIFETIME, Document, FieldInvite
from integrations.signnow.sandbox.pages import page_of
from integrations.signnow.sandbox.refusals import INVALID_EMAIL, not_found, refusal
from integrations.signnow.sandbox.world import invite_event


async def invite(call: Call) -> Response:
    """One URL for both kinds: `to` is a list for a field invite, a string for a free-form one."""
    document, body = call.document, await call.json()
    if not body.get("from"):
        raise refusal("From must not be empty")
    if body["from"] != call.user.email:
        raise refusal("From must be the email of the user")
    cc = body.get("cc") or []
    if not isinstance(cc, list) or not all(is_email(address) for address in cc):
        raise refusal("Cc must contain valid emails.")
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
    if recipient.get("redirect_target") and not recipient.get("redirect_uri"):
        raise refusal("redirect_target needs a redirect_uri")
    for name, value, least, most in _limits(recipient):
        if type(value) is not int or not least <= value <= most:
            raise refusal(f"{name} must be a number between {least} and {most}")
    if recipient.get("language", "en") not in ("en", "es", "fr"):
        raise refusal("language must be one of en, es, fr")
    return FieldInvite(
        recipient["email"],
        role,
        turn_of(recipient),
        call.now,
        redirect_uri=recipient.get("redirect_uri"),
        lifetime=timedelta(days=recipient.get("expiration_days", INVITE_LIFETIME.days)),
    )


def _limits(recipient: dict[str, Any]) -> Iterator[tuple[str, Any, int, int]]:
    """Names, values, and what SignNow's MCP server says that they may be."""
    if "expiration_days" in recipient:
        yield "expiration_days", recipient["expiration_days"], 3, 180
    reminder = recipient.get("reminder")
    for name, most in (("remind_after", 179), ("remind_before", 179), ("remind_repeat", 7)):
        if isinstance(reminder, dict) and name in reminder:
            yield name, reminder[name], 1, most


def turn_of(recipient: dict[str, Any]) -> int:
    """When a recipient is asked: equal numbers at the same time, the lowest first."""
    try:
        return int(recipient.get("order", 1))
    except (ValueError, TypeError):
        raise refusal("order must be a number") from None


async def cancel_field_invite(call: Call) -> Response:
    """All signers' invites vanish from the document. What was charged stays charged: refunds are not documented."""
    document = call.document
    if all(invite.is_embedded for invite in document.field_invites):
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


async def delete_field_invite(call: Call) -> Response:
    """The first step of giving a role to another signer. One who has signed stays."""
    document, sent = _owned(call, call.request.path_params["field_invite_id"])
    if sent.status == "fulfilled":
        raise refusal("the invite is fulfilled")
    document.field_invites.remove(sent)
    document.replaced[document.roles[sent.role]] = sent
    document.log("invite_deleted", call.user.email, call.now)
    call.world.tell(document, [invite_event("delete", document, sent, call.user.id)], call.base_url)
    return JSONResponse({"status": "success"})


async def create_field_invite(call: Call) -> Response:
    """The second step: with `is_replace` the order of the one before is kept. Only what was deleted is replaced."""
    body = await call.json()
    if not is_email(body.get("email")):
        raise refusal("Email is invalid", INVALID_EMAIL)
    role_id = str(body.get("role_id") or "")
    for document in call.world.documents.values():
        if document.user_id == call.user.id and role_id in document.replaced:
            before = document.replaced.pop(role_id)
            sent = FieldInvite(body["email"], before.role, before.order, call.now, lifetime=before.lifetime)
            document.field_invites.append(sent)
            document.log("invite_replaced", call.user.email, call.now)
            call.world.tell(document, [invite_event("replace", document, sent, call.user.id)], call.base_url)
            return JSONResponse({"id": sent.id})
    raise not_found("the role")


async def trigger_field_invites(call: Call) -> Response:
    """The third step: whose turn it is gets the mail. A charge of its own is not documented, and not made."""
    call.world.announce(call.document, [], call.base_url)
    return JSONResponse({"status": "success"})


def _owned(call: Call, invite_id: str) -> tuple[Document, FieldInvite]:
    for document in call.world.documents.values():
        for sent in document.field_invites:
            if (sent.id, document.user_id) == (invite_id, call.user.id):
                return document, sent
    raise not_found("the invite")


async def make_signing_link(call: Call) -> Response:
    """Links for whoever opens them, and says who they are."""
    document = call.world.document_of(call.user, str((await call.json()).get("document_id", "")))
    url = call.world.signing_link(document, None, None, call.base_url)
    return JSONResponse({"url": url, "url_no_signup": f"{url}&mode=no_signup"})


ROUTES = [
    bearer("POST", "/document/{document_id}/invite", invite),
    bearer("PUT", "/document/{document_id}/fieldinvitecancel", cancel_field_invite),
    bearer("PUT", "/invite/{invite_id}/cancel", cancel_free_form_invite),
    bearer("PUT", "/fieldinvite/{request_id}/resend", resend_field_invite),
    bearer("GET", "/v2/documents/{document_id}/free-form-invites", list_free_form_invites),
    bearer("DELETE", "/field_invite/{field_invite_id}", delete_field_invite),
    bearer("POST", "/field_invite", create_field_invite),
    bearer("POST", "/document/{document_id}/trigger_fieldinvite", trigger_field_invites),
    bearer("POST", "/link", make_signing_link),
]
