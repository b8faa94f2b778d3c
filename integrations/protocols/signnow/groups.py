"""Document groups: several documents under one invite."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from integrations.protocols.signnow.files import SignNowFile


@dataclass(frozen=True, slots=True)
class GroupSigner:
    """Who does what with which document of the group: `action` is sign, view or approve."""

    email: str
    document_id: str
    role: str
    order: int = 1
    action: str = "sign"
    expiration_days: int | None = None


@dataclass(frozen=True, slots=True)
class SignNowGroup:
    """A document group as SignNow has it; `invite_id` once it was sent and not cancelled."""

    id: str
    name: str
    document_ids: tuple[str, ...]
    invite_id: str | None


@dataclass(frozen=True, slots=True)
class GroupAction:
    """What one signer does with one document; `status` is created, pending or fulfilled."""

    email: str
    document_id: str
    role: str
    action: str
    status: str
    order: int


@dataclass(frozen=True, slots=True)
class SignNowGroupInvite:
    """The invite of a group: `status` is created, pending or fulfilled."""

    id: str
    status: str
    actions: tuple[GroupAction, ...]

    @property
    def is_completed(self) -> bool:
        return self.status == "fulfilled"


class Groups(Protocol):
    """A group whose outcome is unknown is looked for by its name and documents, its invite by reading the group."""

    async def create_group(self, name: str, document_ids: Sequence[str]) -> str:
        """Group documents, and answer the group's id. Unknown outcome: `find_group`."""

    async def find_group(self, name: str, document_ids: Sequence[str] | None = None) -> SignNowGroup | None:
        """The newest group of that name, and with just these documents if they are named; or None."""

    async def group(self, group_id: str) -> SignNowGroup:
        """One group. Raises SignNowRefused for an unknown one."""

    async def send_group_invite(
        self, group_id: str, *, signers: Sequence[GroupSigner], subject: str | None, message: str | None
    ) -> str:
        """Invite the signers, those of equal `order` at the same time, and answer the invite's id."""

    async def group_invite(self, group_id: str, invite_id: str) -> SignNowGroupInvite:
        """How far the signers are."""

    async def cancel_group_invite(self, group_id: str, invite_id: str) -> None:
        """Cancel for all signers. Safe to repeat."""

    async def resend_group_invite(self, group_id: str, invite_id: str, *, email: str) -> None:
        """Mail it again to one signer. It leaves no trace that could be looked for."""

    def open_group_download(
        self, group_id: str, *, is_merged: bool, with_history: bool = False
    ) -> AbstractAsyncContextManager[SignNowFile]:
        """All documents as one PDF, or as a zip."""

    async def delete_group(self, group_id: str) -> None:
        """Delete the group, not its documents. Safe to repeat."""
