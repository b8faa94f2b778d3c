"""`/v2/documents/{id}/embedded-invites`: the signers sign inside the operator's own page, no mail is sent."""

from datetime import timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from integrations.signnow.sandbox.accounts import is_email
from integrations.signnow.sandbox.calls import Call, bearer
from integrations.signnow.sandbox.documents import Document, FieldInvite
from integrations.signnow.sandbox.endpoints.invites import turn_of
from integrations.signnow.sandbox.refusals import refusal


async def create(call: Call) -> Response:
    document, recipients = call.document, (await call.json()).get("invites")
    if not isinstance(recipients, list) or not recipients or not all(isinstance(r, dict) for r in recipients):
        raise refusal("Invalid payload", 19001000)
    if document.field_invites:
        raise refusal("the document has an invite already")
    invites = [_invite(call, document, recipient) for recipient in recipients]
    if {invite.role for invite in invites} != set(document.roles) or len(invites) != len(document.roles):
        raise refusal("every role needs exactly one signer")
    call.world.send_field_invite(document, invites, call.base_url)
    return JSONResponse({"data": [_shown(document, invite) for invite in invites]}, 201)


def _invite(call: Call, document: Document, recipient: dict[str, Any]) -> FieldInvite:
    if not is_email(recipient.get("email")):
        raise refusal("Email value is not a valid email address.", 19003008)
    role = document.role_name(recipient.get("role_id"), recipient.get("role"))
    if role is None:
        raise refusal("the document has no such role")
    return FieldInvite(
        recipient["email"],
        role,
        turn_of(recipient),
        call.now,
        is_embedded=True,
        first_name=recipient.get("first_name"),
        last_name=recipient.get("last_name"),
        redirect_uri=recipient.get("redirect_uri"),
    )


async def make_link(call: Call) -> Response:
    """A link for the signer whose turn it is, to the sandbox's signing page."""
    document, body = call.document, await call.json()
    invite = next((i for i in document.field_invites if i.id == call.request.path_params["invite_id"]), None)
    if invite is None:
        raise refusal("Field invite not found", 19002002, status=404)
    if invite.status not in ("pending", "fulfilled"):
        raise refusal("The field invite is not pending or fulfilled.", 19001028, status=403)
    minutes = body.get("link_expiration") or 15
    if type(minutes) is not int or not 15 <= minutes <= 45:
        raise refusal("link_expiration must be between 15 and 45", 19001000)
    link = call.world.signing_link(document, invite.email, timedelta(minutes=minutes), call.base_url)
    return JSONResponse({"data": {"link": f"{link}&route=fieldinvite"}})


async def cancel(call: Call) -> Response:
    call.document.field_invites = [invite for invite in call.document.field_invites if not invite.is_embedded]
    return Response(status_code=204)


def _shown(document: Document, invite: FieldInvite) -> dict[str, Any]:
    return {
        "id": invite.id,
        "email": invite.email,
        "role_id": document.roles[invite.role],
        "order": invite.order,
        "status": invite.status,
    }


_PATH = "/v2/documents/{document_id}/embedded-invites"

ROUTES = [
    bearer("POST", _PATH, create),
    bearer("POST", _PATH + "/{invite_id}/link", make_link),
    bearer("DELETE", _PATH, cancel),
]
