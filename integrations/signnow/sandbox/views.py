"""Documents as SignNow's older endpoints show them: the full set of keys, numbers as strings."""

from datetime import datetime
from typing import Any

from integrations.signnow.sandbox.accounts import User, id_of
from integrations.signnow.sandbox.documents import (
    INVITE_LIFETIME,
    Document,
    Field,
    FieldInvite,
    FreeFormInvite,
    HistoryEntry,
    Signature,
)

_EMPTY = """texts checks seals inserts attachments lines hyperlinks radiobuttons enumeration_options integrations
payments routing_details viewer_roles approver_roles viewer_field_invites approver_field_invites notary_invites
document_group_template_info field_validators exported_to"""


def document_json(document: Document, owner: User, base_url: str) -> dict[str, Any]:
    """The answer to `GET /document/{id}`."""
    image = f"{base_url}/document/{document.id}/thumbnail?size="
    pages = document.page_count
    tags = ["fields", *sorted({f"field_{field.type}" for field in document.fields})] if document.fields else []
    if document.is_development:
        tags.append("development_mode")
    return {
        "id": document.id,
        "parent_id": document.folder_id,
        "user_id": document.user_id,
        "document_name": document.name,
        "page_count": str(pages),
        "created": epoch(document.created_at),
        "updated": epoch(document.updated_at),
        "version_time": epoch(document.updated_at),
        "original_filename": document.file_name,
        "origin_document_id": document.origin_id,
        "origin_user_id": None,
        "owner": owner.email,
        "owner_name": f"{owner.first_name} {owner.last_name}",
        "template": document.is_template,
        "thumbnail": {size: image + size for size in ("small", "medium", "large")},
        "roles": [_role(document, name, role_id) for name, role_id in document.roles.items()],
        "fields": [_field(document, field, owner.email) for field in document.fields],
        "field_invites": [_field_invite(document, invite, owner.id) for invite in document.field_invites],
        "requests": [_request(invite, owner) for invite in document.free_form_invites],
        "signatures": [_signature(signature) for signature in document.signatures],
        **{key: [] for key in _EMPTY.split()},
        "document_group_info": {
            "document_group_id": document.group_id,
            "document_group_name": None,
            "invite_id": None,
            "invite_status": None,
            "sign_as_merged": False,
            "doc_count_in_group": 0,
            "freeform_invite": {"id": None},
            "state": None,
        },
        "tags": [{"type": "system", "name": tag} for tag in tags],
        "settings": {},
        "originator_organization_settings": [{"setting": "invite_expiration_days", "value": str(INVITE_LIFETIME.days)}],
        "signing_session_settings": {"welcome_message": None},
        "originator_logo": "",
        "share_info": {"is_team_shared": False, "workspace_role": None},
        "scheduled_invite": None,
        "pages": [{"src": f"{image}large&page={page}", "size": {"width": 612, "height": 792}} for page in range(pages)],
    }


def history_json(document: Document, entry: HistoryEntry) -> dict[str, Any]:
    """An item of the answer to `GET /document/{id}/historyfull`."""
    return {
        "unique_id": entry.id,
        "document_id": document.id,
        "user_id": id_of(entry.email),
        "email": entry.email,
        "client_app_name": "SignNow sandbox",
        "ip_address": "127.0.0.1",
        "event": entry.event,
        "origin": "original",
        "version": 1,
        "client_timestamp": None,
        "created": epoch(entry.created_at),
        "field_id": None,
        "element_id": None,
        "json_attributes": None,
    }


def epoch(moment: datetime) -> str:
    return str(int(moment.timestamp()))


def shown_email(invite: FieldInvite, owner_id: str) -> str:
    """An embedded signer's address is not clean in SignNow's answers."""
    return f"{invite.email} ({owner_id} API Application 1)" if invite.is_embedded else invite.email


def _role(document: Document, name: str, role_id: str) -> dict[str, Any]:
    invite = document.invite_of(name)
    order = invite.order if invite else list(document.roles).index(name) + 1
    return {"unique_id": role_id, "signing_order": str(order), "name": name}


def _field(document: Document, field: Field, originator: str) -> dict[str, Any]:
    invite = document.invite_of(field.role)
    fulfiller = request_id = None
    if invite is not None:
        fulfiller = f"{invite.email}-{invite.id}" if invite.is_embedded else invite.email
        request_id = invite.request_id
    return {
        "id": field.id,
        "type": field.type,
        "role_id": document.roles[field.role],
        "role": field.role,
        "originator": originator,
        "json_attributes": field.attributes,
        "fulfiller": fulfiller,
        "field_request_id": request_id,
        "field_id": request_id,
        "element_id": field.element_id,
        "field_request_canceled": None,
        "template_field_id": None,
    }


def _field_invite(document: Document, invite: FieldInvite, owner_id: str) -> dict[str, Any]:
    declined = [] if invite.declined_reason is None else [{"declined_text": invite.declined_reason}]
    embedded_signer = {"first_name": invite.first_name, "last_name": invite.last_name}
    return {
        "id": invite.id,
        "signer_user_id": id_of(invite.email),
        "status": invite.status,
        "email": shown_email(invite, owner_id),
        "role": invite.role,
        "role_id": document.roles[invite.role],
        "created": epoch(invite.created_at),
        "updated": epoch(document.updated_at),
        "expiration_time": epoch(invite.expires_at),
        "reminder": "0",
        "reassign": "0",
        "declined": declined,
        "decline_by_signature": None,
        "is_embedded": invite.is_embedded,
        "is_full_declined": False,
        "is_draft_exists": "0",
        "is_document_locked": "0",
        "delivery_type": "link" if invite.is_embedded else "email",
        "email_statuses": [],
        "email_group": {"id": None, "name": None},
        "password_protected": "0",
        "redirect_uri": invite.redirect_uri,
        "decline_redirect_uri": None,
        "redirect_target": "blank",
        "embedded_signer": embedded_signer if invite.is_embedded else None,
        "payment_request": None,
    }


def _request(invite: FreeFormInvite, owner: User) -> dict[str, Any]:
    return {
        "unique_id": invite.id,
        "id": invite.id,
        "user_id": owner.id,
        "created": epoch(invite.created_at),
        "originator_email": owner.email,
        "signer_email": invite.email,
        "canceled": "1" if invite.is_cancelled else None,
        "signature_id": invite.signature_id,
        "signer_user_id": id_of(invite.email),
        "redirect_uri": None,
        "email_statuses": [],
    }


def _signature(signature: Signature) -> dict[str, Any]:
    place = {key: str(signature.place.get(key, 0)) for key in ("page_number", "x", "y", "width", "height")}
    return {
        "id": signature.id,
        "user_id": id_of(signature.email),
        "signature_request_id": signature.request_id,
        "email": signature.email,
        **place,
        "subtype": "text",
        "allow_editing": "0",
        "owner_as_recipient": "0",
        "created": epoch(signature.created_at),
        "data": "",
    }
