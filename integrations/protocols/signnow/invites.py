"""Invites: by role, free-form and embedded; sent, cancelled, sent again, given to another signer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from integrations.protocols.signnow.documents import SignNowInvite


@dataclass(frozen=True, slots=True)
class Reminder:
    """Days: after the invite, before its end, and between two. SignNow takes 1 to 179, 1 to 179 and 1 to 7."""

    after: int | None = None
    before: int | None = None
    every: int | None = None


@dataclass(frozen=True, slots=True)
class Signer:
    """Who is asked to sign: `role` names the fields that are theirs; equal `order` means at the same time.

    `expiration_days` is 3 to 180, 30 where it is not given; `language` en, es or fr. The texts are for this signer.
    """

    email: str
    role: str
    order: int = 1
    expiration_days: int | None = None
    reminder: Reminder | None = None
    subject: str | None = None
    message: str | None = None
    redirect_uri: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddedSigner:
    """Who signs inside the operator's own page; SignNow sends no mail."""

    email: str
    role: str
    order: int = 1
    first_name: str | None = None
    last_name: str | None = None
    redirect_uri: str | None = None
    language: str | None = None


class Invites(Protocol):
    """An invite whose outcome is unknown is looked for by reading the document: SignNow shows it there."""

    async def send_field_invite(
        self,
        document_id: str,
        *,
        signers: Sequence[Signer],
        roles: Mapping[str, str],
        subject: str | None,
        message: str | None,
        cc: Sequence[str] = (),
    ) -> None:
        """Invite signers by role; `roles` is the document's. SignNow answers no ids: read the document for them."""

    async def send_free_form_invite(
        self, document_id: str, *, email: str, subject: str | None, message: str | None, cc: Sequence[str] = ()
    ) -> str:
        """Invite one signer to a document without fields, and answer the invite's id."""

    async def find_free_form_invite(self, document_id: str, *, email: str, since: datetime) -> SignNowInvite | None:
        """The newest free-form invite of that address made at `since` (to the second) or later, or None."""

    async def create_embedded_invites(
        self, document_id: str, *, signers: Sequence[EmbeddedSigner], roles: Mapping[str, str]
    ) -> tuple[SignNowInvite, ...]:
        """Invite signers who sign in the operator's page, one per role of the document."""

    async def create_embedded_link(self, document_id: str, invite_id: str, *, minutes: int = 15) -> str:
        """Where that signer signs, if it is their turn: a credential, valid for 15 to 45 minutes."""

    async def create_signing_link(self, document_id: str, *, redirect_uri: str | None = None) -> str:
        """Where anyone can sign, without an invite."""

    async def cancel_field_invite(self, document_id: str, *, reason: str | None = None) -> None:
        """Cancel the invites of all signers. Safe to repeat: where there is none, it is cancelled."""

    async def cancel_free_form_invite(self, document_id: str, invite_id: str, *, reason: str | None = None) -> None:
        """Cancel one free-form invite. Safe to repeat."""

    async def cancel_embedded_invites(self, document_id: str) -> None:
        """Cancel all embedded invites. Safe to repeat."""

    async def resend_field_invite(self, request_id: str) -> None:
        """Mail the invite again; `request_id` is the invite's. It leaves no trace that could be looked for."""

    async def replace_signer(self, document_id: str, *, role: str, email: str) -> None:
        """Give a role that has not signed to another signer. Three calls, each decided by the document as it is
        then: repeated after an unknown outcome it goes on where it was.
        """
