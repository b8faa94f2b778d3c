"""SignNow's objects, as JSON, read into our values.

Its older endpoints write numbers as strings and leave keys out or null: a reader that insists would break.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from integrations.protocols import HistoryEntry, SignNowDocument, SignNowInvite

_DECORATION: Final = re.compile(r" \(.*\)$|-[0-9a-f]{40}$")
_WORDS: Final = {
    "sent": "pending",
    "waiting": "pending",
    "new": "created",
    "signed": "fulfilled",
    "completed": "fulfilled",
    "done": "fulfilled",
    "canceled": "cancelled",
}
"""What SignNow's own MCP server takes for the same as the usual words."""


def read_document(data: Mapping[str, Any]) -> SignNowDocument:
    """The document in the answer to `GET /document/{id}`. Raises KeyError and its kin for nonsense."""
    request_ids = {
        str(field.get("role_id")): str(field["field_request_id"])
        for field in objects(data.get("fields"))
        if field.get("field_request_id")
    }
    return SignNowDocument(
        id=str(data["id"]),
        name=str(data["document_name"]),
        file_name=str(data.get("original_filename") or ""),
        roles={str(role["name"]): str(role["unique_id"]) for role in objects(data.get("roles"))},
        field_invites=tuple(field_invite(invite, request_ids) for invite in objects(data.get("field_invites"))),
        free_form_invites=tuple(_free_form_invite(request) for request in objects(data.get("requests"))),
        created_at=moment(data["created"]),
        folder_id=str(data["parent_id"]) if data.get("parent_id") else None,
        owner=str(data.get("owner") or ""),
        is_template=flag(data.get("template")),
        is_development=any(tag.get("name") == "development_mode" for tag in objects(data.get("tags"))),
    )


def read_history(data: Any) -> tuple[HistoryEntry, ...]:
    """An audit trail: an array from the live API, in an object by SignNow's MCP client, one entry by its PHP mocks."""
    if isinstance(data, Mapping):
        data = data.get("document_history", [data])
    if not isinstance(data, list):
        raise TypeError("a history is a list")
    entries = [HistoryEntry(str(e["event"]), clean_email(e.get("email")), moment(e["created"])) for e in objects(data)]
    return tuple(sorted(entries, key=lambda entry: entry.occurred_at))


def objects(value: object) -> Iterator[Mapping[str, Any]]:
    """The objects in a list that SignNow may leave out, send as null or, when empty, as something else."""
    return (entry for entry in (value if isinstance(value, list) else ()) if isinstance(entry, Mapping))


def clean_email(email: object) -> str:
    """The address alone: SignNow decorates those of embedded invites with the application's name or an id."""
    return _DECORATION.sub("", str(email or ""))


def moment(value: Any) -> datetime:
    """A Unix time, as a number or a string."""
    return datetime.fromtimestamp(int(value), UTC)


def day(value: object) -> date | None:
    """A day as `GET /user` writes it, month first."""
    try:
        return datetime.strptime(str(value), "%m/%d/%Y").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def whole(value: object) -> int | None:
    """A whole number that may be a string, or missing."""
    return int(str(value)) if str(value).isdecimal() else None


def flag(value: object) -> bool:
    """A yes or no that may be a string or a number."""
    return bool(value) and str(value).lower() not in ("0", "false")


def field_invite(invite: Mapping[str, Any], request_ids: Mapping[str, str]) -> SignNowInvite:
    """One signer's invite; `request_ids` by the id of the role."""
    status, expires = str(invite.get("status") or "").lower(), whole(invite.get("expiration_time"))
    return SignNowInvite(
        id=str(invite["id"]),
        email=clean_email(invite.get("email")),
        role=str(invite.get("role") or ""),
        status=_WORDS.get(status, status),
        is_declined=bool(invite.get("declined"))
        or flag(invite.get("is_full_declined"))
        or status in ("declined", "rejected"),
        request_id=request_ids.get(str(invite.get("role_id"))),
        expires_at=moment(expires) if expires else None,
        is_embedded=flag(invite.get("is_embedded")),
    )


def _free_form_invite(request: Mapping[str, Any]) -> SignNowInvite:
    """In a document a free-form invite has no status; these words are those of SignNow's list of them."""
    if request.get("signature_id"):
        status = "fulfilled"
    elif flag(request.get("canceled")):
        status = "cancelled"
    else:
        status = "pending"
    return SignNowInvite(
        id=str(request.get("unique_id") or request["id"]),
        email=clean_email(request.get("signer_email")),
        role="",
        status=status,
    )
