"""What the services expect of SignNow; failures as `integrations.protocols` says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SignNowAccount:
    """The SignNow user whose token is used. `email` is what invites must name as their sender."""

    user_id: str
    email: str


@dataclass(frozen=True, slots=True)
class Signer:
    """Who is asked to sign: `role` names the fields that are theirs; equal `order` means at the same time."""

    email: str
    role: str
    order: int = 1


@dataclass(frozen=True, slots=True)
class SignatureField:
    """A place to sign: points from the top left corner, pages counted from 0."""

    role: str
    page: int
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SignNowInvite:
    """One signer's invite as SignNow has it. `status` in its words: created, pending, fulfilled, skipped."""

    id: str
    email: str
    role: str
    status: str
    is_declined: bool = False


_ASKS_NOBODY = ("skipped", "cancelled")


@dataclass(frozen=True, slots=True)
class SignNowDocument:
    """A document as SignNow has it; `roles` maps a role's name to its id."""

    id: str
    name: str
    file_name: str
    roles: Mapping[str, str]
    field_invites: tuple[SignNowInvite, ...]
    free_form_invites: tuple[SignNowInvite, ...]
    created_at: datetime

    @property
    def is_invited(self) -> bool:
        return bool(self.field_invites or self.free_form_invites)

    @property
    def is_completed(self) -> bool:
        """Whether someone has signed and nobody is left who should: skipped and cancelled invites ask nobody."""
        open_invites = [i for i in self.field_invites + self.free_form_invites if i.status not in _ASKS_NOBODY]
        return bool(open_invites) and all(i.status == "fulfilled" and not i.is_declined for i in open_invites)


@dataclass(frozen=True, slots=True)
class SignNowCallback:
    """A verified SignNow webhook. `key` is semantic, since SignNow sends no event id: the same fact, the same key."""

    key: str
    event: str
    document_id: str | None
    invite_id: str | None
    occurred_at: datetime


class SignNow(Protocol):
    """SignNow for one account. Reads may be repeated; nothing that creates is ever sent twice by the gateway."""

    async def account(self) -> SignNowAccount:
        """Whose token this is."""

    async def ensure_folder(self, name: str) -> str:
        """The id of the folder with that name, made if there is none. Safe to repeat."""

    async def ensure_callbacks(self, callback_url: str, secret: str) -> None:
        """Make sure that SignNow calls `callback_url`, signed with `secret`, for all that we meter. Safe to repeat."""

    async def upload_document(self, *, folder_id: str, name: str, file_name: str, content: bytes) -> str:
        """Upload a PDF and answer its id. `file_name` carries our operation id, by which it can be found again."""

    async def find_document(self, *, folder_id: str, file_name: str) -> SignNowDocument | None:
        """The document uploaded under that file name, or None."""

    async def document(self, document_id: str) -> SignNowDocument:
        """One document. Raises SignNowRefused for an unknown one."""

    async def place_fields(self, document_id: str, fields: Sequence[SignatureField]) -> None:
        """Replace the document's fields; only before the first invite."""

    async def send_field_invite(
        self,
        document_id: str,
        *,
        signers: Sequence[Signer],
        roles: Mapping[str, str],
        subject: str | None,
        message: str | None,
    ) -> None:
        """Invite signers by role; `roles` is the document's. SignNow answers no ids: read the document for them."""

    async def send_free_form_invite(
        self, document_id: str, *, email: str, subject: str | None, message: str | None
    ) -> str:
        """Invite one signer to a document without fields, and answer the invite's id."""

    async def download_signed(self, document_id: str) -> bytes:
        """The collapsed PDF: the document with all that was filled in."""
