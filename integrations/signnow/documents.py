"""SignNow's document, as JSON, read into our value.

Its older endpoints write numbers as strings and leave keys out or null: a reader that insists would break.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from integrations.protocols import SignNowDocument, SignNowInvite

_DECORATION: Final = re.compile(r" \(.*\)$|-[0-9a-f]{40}$")


def read_document(data: Mapping[str, Any]) -> SignNowDocument:
    """The document in the answer to `GET /document/{id}`. Raises KeyError and its kin for nonsense."""
    return SignNowDocument(
        id=str(data["id"]),
        name=str(data["document_name"]),
        file_name=str(data.get("original_filename") or ""),
        roles={str(role["name"]): str(role["unique_id"]) for role in objects(data.get("roles"))},
        field_invites=tuple(_field_invite(invite) for invite in objects(data.get("field_invites"))),
        free_form_invites=tuple(_free_form_invite(request) for request in objects(data.get("requests"))),
        created_at=datetime.fromtimestamp(int(data["created"]), UTC),
    )


def objects(value: object) -> Iterator[Mapping[str, Any]]:
    """The objects in a list that SignNow may leave out, send as null or, when empty, as something else."""
    return (entry for entry in (value if isinstance(value, list) else ()) if isinstance(entry, Mapping))


def clean_email(email: object) -> str:
    """The address alone: SignNow decorates those of embedded invites with the application's name or an id."""
    return _DECORATION.sub("", str(email or ""))


def _field_invite(invite: Mapping[str, Any]) -> SignNowInvite:
    return SignNowInvite(
        id=str(invite["id"]),
        email=clean_email(invite.get("email")),
        role=str(invite.get("role") or ""),
        status=str(invite.get("status") or ""),
        is_declined=bool(invite.get("declined")) or _flag(invite.get("is_full_declined")),
    )


def _free_form_invite(request: Mapping[str, Any]) -> SignNowInvite:
    """In a document a free-form invite has no status; these words are those of SignNow's list of them."""
    if request.get("signature_id"):
        status = "fulfilled"
    elif _flag(request.get("canceled")):
        status = "cancelled"
    else:
        status = "pending"
    return SignNowInvite(
        id=str(request.get("unique_id") or request["id"]),
        email=clean_email(request.get("signer_email")),
        role="",
        status=status,
    )


def _flag(value: object) -> bool:
    return bool(value) and str(value).lower() not in ("0", "false")
