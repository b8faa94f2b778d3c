"""A document and everything that is asked and done on it, without HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from integrations.signnow.sandbox.accounts import new_id
from integrations.signnow.sandbox.pdf import count_pages

INVITE_LIFETIME: Final = timedelta(days=30)


@dataclass(slots=True)
class Field:
    """A place on a page; `attributes` are the caller's, `element_id` is set once it is filled in."""

    id: str
    type: str
    role: str
    attributes: dict[str, Any]
    element_id: str | None = None


@dataclass(slots=True)
class FieldInvite:
    """One signer's part of a field invite. `request_id` is the other id, by which it is resent."""

    email: str
    role: str
    order: int
    created_at: datetime
    status: str = "created"
    is_embedded: bool = False
    first_name: str | None = None
    last_name: str | None = None
    declined_reason: str | None = None
    redirect_uri: str | None = None
    lifetime: timedelta = INVITE_LIFETIME
    id: str = field(default_factory=new_id)
    request_id: str = field(default_factory=new_id)

    @property
    def expires_at(self) -> datetime:
        return self.created_at + self.lifetime


@dataclass(slots=True)
class FreeFormInvite:
    email: str
    created_at: datetime
    signature_id: str | None = None
    is_cancelled: bool = False
    id: str = field(default_factory=new_id)

    @property
    def status(self) -> str:
        return "cancelled" if self.is_cancelled else "fulfilled" if self.signature_id else "pending"


@dataclass(slots=True)
class Signature:
    """What a signer left: `request_id` is the invite that it fulfils."""

    email: str
    request_id: str
    created_at: datetime
    place: dict[str, Any]
    id: str = field(default_factory=new_id)


@dataclass(slots=True)
class HistoryEntry:
    event: str
    email: str
    created_at: datetime
    id: str = field(default_factory=new_id)


@dataclass(slots=True)
class Document:
    """A document in one user's account. Roles appear with the fields that name them."""

    id: str
    user_id: str
    folder_id: str
    name: str
    file_name: str
    content: bytes = field(repr=False)
    created_at: datetime
    updated_at: datetime
    roles: dict[str, str] = field(default_factory=dict)
    fields: list[Field] = field(default_factory=list)
    field_invites: list[FieldInvite] = field(default_factory=list)
    free_form_invites: list[FreeFormInvite] = field(default_factory=list)
    signatures: list[Signature] = field(default_factory=list)
    history: list[HistoryEntry] = field(default_factory=list)
    replaced: dict[str, FieldInvite] = field(default_factory=dict)
    """Invites that were deleted to be replaced, by their role's id."""
    is_template: bool = False
    is_development: bool = False
    origin_id: str | None = None
    group_id: str | None = None
    page_count: int = field(init=False)

    def __post_init__(self) -> None:
        self.page_count = count_pages(self.content)

    def copied(self, *, name: str, folder_id: str, is_template: bool, now: datetime) -> "Document":
        """A document with the same file, fields and roles, that nobody was asked to sign."""
        fields = [Field(new_id(), f.type, f.role, f.attributes) for f in self.fields]
        copy = Document(new_id(), self.user_id, folder_id, name, self.file_name, self.content, now, now)
        copy.roles, copy.fields = {role: new_id() for role in self.roles}, fields
        copy.is_template, copy.origin_id = is_template, self.id
        return copy

    def log(self, event: str, email: str, now: datetime) -> None:
        self.history.append(HistoryEntry(event, email, now))
        self.updated_at = now

    def place(self, fields: list[dict[str, Any]]) -> None:
        """Replace all fields; roles keep their ids while a field names them."""
        names = [str(entry.get("role") or "Signer 1") for entry in fields]
        self.roles = {name: self.roles.get(name) or new_id() for name in names}
        self.fields = [
            Field(new_id(), str(entry.get("type", "signature")), role, _attributes(entry))
            for entry, role in zip(fields, names, strict=True)
        ]

    def role_name(self, role_id: str | None, name: str | None) -> str | None:
        """The role that a recipient means by id or by name; None if there is none."""
        by_id = {id_: role for role, id_ in self.roles.items()}
        return by_id.get(role_id or "") or (name if name in self.roles else None)

    def invite_of(self, role: str) -> FieldInvite | None:
        return next((invite for invite in self.field_invites if invite.role == role), None)

    def next_in_turn(self) -> Iterator[FieldInvite]:
        """The invites whose turn it is now, while nobody before them is still to sign."""
        waiting = [invite for invite in self.field_invites if invite.status == "created"]
        if waiting and not any(invite.status == "pending" for invite in self.field_invites):
            first = min(invite.order for invite in waiting)
            yield from (invite for invite in waiting if invite.order == first)

    @property
    def invite_statuses(self) -> list[str]:
        return [i.status for i in self.field_invites] + [i.status for i in self.free_form_invites]

    @property
    def is_completed(self) -> bool:
        statuses = self.invite_statuses
        return "fulfilled" in statuses and all(status in ("fulfilled", "cancelled") for status in statuses)

    def sign_field_invite(self, invite: FieldInvite, now: datetime) -> None:
        invite.status = "fulfilled"
        for entry in self.fields:
            if entry.role == invite.role:
                signature = Signature(invite.email, invite.request_id, now, entry.attributes)
                entry.element_id = signature.id
                self.signatures.append(signature)
        self.log("document_signed", invite.email, now)

    def sign_free_form_invite(self, invite: FreeFormInvite, now: datetime) -> None:
        place = {"page_number": 0, "x": 72, "y": 72, "width": 144, "height": 36}
        signature = Signature(invite.email, invite.id, now, place)
        invite.signature_id = signature.id
        self.signatures.append(signature)
        self.log("document_signed", invite.email, now)


def _attributes(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in ("type", "role")}
