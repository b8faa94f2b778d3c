"""Documents: uploading, reading, finding, fields, templates, downloads."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from integrations.protocols.signnow.files import Content, DownloadForm, SignNowFile


@dataclass(frozen=True, slots=True)
class SignatureField:
    """A place to fill in: points from the top left corner, pages counted from 0. `type` is SignNow's word."""

    role: str
    page: int
    x: int
    y: int
    width: int
    height: int
    type: str = "signature"
    name: str | None = None
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class TextTag:
    """A field whose place is where `name` stands in the text of the PDF."""

    name: str
    role: str
    type: str = "signature"
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class SignNowInvite:
    """One signer's invite as SignNow has it. `status` in its words: created, pending, fulfilled, skipped.

    `request_id` is the other id that SignNow knows it by, and by which it is sent again.
    """

    id: str
    email: str
    role: str
    status: str
    is_declined: bool = False
    request_id: str | None = None
    expires_at: datetime | None = None
    is_embedded: bool = False


NOT_FOUND: Final = "65582"
"""The `upstream_code` of a refusal of what does not exist or is somebody else's (SignNow's MCP server)."""


class SigningStatus(StrEnum):
    """Where a document stands. SignNow has no such word: it is derived from the invites."""

    NOT_INVITED = "not_invited"
    PENDING = "pending"
    COMPLETED = "completed"
    DECLINED = "declined"
    EXPIRED = "expired"


_ASKS_NOBODY = ("skipped", "cancelled")
_WAITS = ("created", "pending")


@dataclass(frozen=True, slots=True)
class SignNowDocument:
    """A document as SignNow has it; `roles` maps a role's name to its id. A cancelled field invite leaves no trace."""

    id: str
    name: str
    file_name: str
    roles: Mapping[str, str]
    field_invites: tuple[SignNowInvite, ...]
    free_form_invites: tuple[SignNowInvite, ...]
    created_at: datetime
    folder_id: str | None = None
    owner: str = ""
    is_template: bool = False
    is_development: bool = False
    """Whether it was sent by an application in development mode, which SignNow does not charge."""

    @property
    def invites(self) -> tuple[SignNowInvite, ...]:
        """Those that ask somebody: not the skipped and the cancelled."""
        every = self.field_invites + self.free_form_invites
        return tuple(invite for invite in every if invite.status not in _ASKS_NOBODY)

    @property
    def is_invited(self) -> bool:
        return bool(self.field_invites or self.free_form_invites)

    @property
    def is_completed(self) -> bool:
        """Whether someone has signed and nobody is left who should: skipped and cancelled invites ask nobody."""
        open_invites = self.invites
        return bool(open_invites) and all(i.status == "fulfilled" and not i.is_declined for i in open_invites)

    def status_at(self, now: datetime) -> SigningStatus:
        """Where it stands. A declined invite stays pending in SignNow; one whose time is over may, too."""
        if not self.invites:
            return SigningStatus.NOT_INVITED
        if any(invite.is_declined for invite in self.invites):
            return SigningStatus.DECLINED
        if self.is_completed:
            return SigningStatus.COMPLETED
        waiting = [invite for invite in self.invites if invite.status in _WAITS]
        if any(i.status == "expired" for i in self.invites) or any(_is_over(i, now) for i in waiting):
            return SigningStatus.EXPIRED
        return SigningStatus.PENDING


def _is_over(invite: SignNowInvite, now: datetime) -> bool:
    return invite.expires_at is not None and invite.expires_at <= now


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A line of a document's audit trail; the names of the events are SignNow's, and not documented."""

    event: str
    email: str
    occurred_at: datetime


class Documents(Protocol):
    """What is done with documents. Names and file names carry our operation's id: by them an upload is found again."""

    async def upload_document(self, *, folder_id: str, name: str, file_name: str, content: Content) -> str:
        """Upload a PDF and answer its id. Unknown outcome: `find_document` by its file name."""

    async def upload_from_url(self, *, url: str, name: str) -> str:
        """Let SignNow fetch a PDF, and answer its id. Unknown outcome: `find_document_named`, in no folder."""

    async def upload_with_tags(self, *, file_name: str, content: Content, tags: Sequence[TextTag]) -> str:
        """Upload a PDF whose text says where the fields are. Unknown outcome: `find_document`, in no folder."""

    async def move_document(self, document_id: str, folder_id: str) -> None:
        """Move to a folder. Safe to repeat."""

    async def find_document(self, *, folder_id: str | None, file_name: str) -> SignNowDocument | None:
        """The newest document uploaded under that file name, or None; without a folder among all of the account."""

    async def find_document_named(
        self, *, folder_id: str | None, name: str, since: datetime | None = None
    ) -> SignNowDocument | None:
        """The newest document or template of exactly that name, or None; `since` ends the search early."""

    def list_documents(
        self,
        folder_id: str,
        *,
        signing_status: str | None = None,
        updated_since: datetime | None = None,
        created_since: datetime | None = None,
    ) -> AsyncIterator[SignNowDocument]:
        """The documents of a folder, newest first; at most one of the filters, in SignNow's words."""

    async def document(self, document_id: str) -> SignNowDocument:
        """One document. Raises SignNowRefused for an unknown one."""

    async def history(self, document_id: str) -> tuple[HistoryEntry, ...]:
        """The audit trail, oldest first."""

    async def rename_document(self, document_id: str, name: str) -> None:
        """Give another name. Safe to repeat."""

    async def place_fields(self, document_id: str, fields: Sequence[SignatureField]) -> None:
        """Replace the document's fields; only before the first invite. Safe to repeat until then."""

    async def delete_document(self, document_id: str) -> None:
        """Cancel what is pending, then delete. Safe to repeat: a document that is gone is deleted."""

    async def create_template(self, document_id: str, name: str) -> str:
        """Make a template of a document, and answer its id. Unknown outcome: `find_document_named`."""

    async def copy_template(self, template_id: str, *, name: str, folder_id: str | None = None) -> str:
        """Make a document of a template, and answer its id. Unknown outcome: `find_document_named`."""

    def open_download(
        self, document_id: str, form: DownloadForm = DownloadForm.COLLAPSED, *, with_history: bool = False
    ) -> AbstractAsyncContextManager[SignNowFile]:
        """The file, chunk by chunk while the context is open. A file that is not ready is asked for again."""

    async def download_signed(self, document_id: str) -> bytes:
        """The collapsed PDF whole: the document with all that was filled in."""

    async def create_download_link(self, document_id: str) -> str:
        """A link that gives the collapsed PDF once, to anyone who has it."""
