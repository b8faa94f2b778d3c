"""Invites: by role, free-form and embedded; cancelled, sent again, given to another signer."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import httpx

from inkmeter.errors import SignNowRefused
from integrations.protocols import EmbeddedSigner, Reminder, Signer, SignNowInvite
from integrations.signnow import errors
from integrations.signnow.accounts import Accounts
from integrations.signnow.documents import Documents
from integrations.signnow.objects import clean_email, field_invite, moment, objects
from integrations.signnow.requests import at, without_nothing

_WAITS: Final = ("created", "pending")


class Invites(Accounts, Documents):
    """Part of `integrations.protocols.SignNow`."""

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
        """Invite signers by role. SignNow answers no ids: read the document for them."""
        to = [_recipient(signer, _role_id(signer.role, roles)) for signer in signers]
        await self._invite(document_id, to=to, subject=subject, message=message, cc=cc)

    async def send_free_form_invite(
        self, document_id: str, *, email: str, subject: str | None, message: str | None, cc: Sequence[str] = ()
    ) -> str:
        """Invite one signer to a document without fields, and answer the invite's id."""
        answer = await self._invite(document_id, to=email, subject=subject, message=message, cc=cc)
        return str(self._value(answer, "id"))

    async def find_free_form_invite(self, document_id: str, *, email: str, since: datetime) -> SignNowInvite | None:
        """The newest free-form invite of that address made at `since` or later, or None."""
        newest: tuple[datetime, SignNowInvite] | None = None
        async for entry in self._pages(at("/v2/documents/{}/free-form-invites", document_id)):
            with errors.reading("the free-form invites"):
                made_at, address = moment(entry["created"]), clean_email(entry.get("email"))
                invite = SignNowInvite(str(entry["id"]), address, "", str(entry.get("status") or ""))
            is_wanted = address.lower() == email.lower() and made_at >= since.replace(microsecond=0)
            if is_wanted and (newest is None or made_at >= newest[0]):
                newest = made_at, invite
        return newest[1] if newest else None

    async def create_embedded_invites(
        self, document_id: str, *, signers: Sequence[EmbeddedSigner], roles: Mapping[str, str]
    ) -> tuple[SignNowInvite, ...]:
        """Invite signers who sign in the operator's page, one per role of the document."""
        names = {role_id: name for name, role_id in roles.items()}
        invites = [
            without_nothing(
                email=signer.email,
                role_id=_role_id(signer.role, roles),
                order=signer.order,
                auth_method="none",
                first_name=signer.first_name,
                last_name=signer.last_name,
                redirect_uri=signer.redirect_uri,
                language=signer.language,
            )
            for signer in signers
        ]
        path = at("/v2/documents/{}/embedded-invites", document_id)
        answer = await self._session.send("POST", path, json={"invites": invites})
        with errors.reading("the embedded invites", is_read=False):
            made = [{"role": names.get(str(entry.get("role_id"))), **entry} for entry in objects(answer.json()["data"])]
            return tuple(field_invite({**entry, "is_embedded": True}, {}) for entry in made)

    async def create_embedded_link(self, document_id: str, invite_id: str, *, minutes: int = 15) -> str:
        """Where that signer signs, if it is their turn. A second link does no harm."""
        path = at("/v2/documents/{}/embedded-invites/{}/link", document_id, invite_id)
        body = {"auth_method": "none", "link_expiration": minutes}
        return str(self._value(await self._session.send("POST", path, json=body), "link"))

    async def create_signing_link(self, document_id: str, *, redirect_uri: str | None = None) -> str:
        """Where anyone can sign, without an invite."""
        body = without_nothing(document_id=document_id, redirect_uri=redirect_uri)
        return str(self._value(await self._session.send("POST", "/link", json=body), "url"))

    async def cancel_field_invite(self, document_id: str, *, reason: str | None = None) -> None:
        """Cancel the invites of all signers."""
        if any(not invite.is_embedded for invite in (await self.document(document_id)).field_invites):
            path = at("/document/{}/fieldinvitecancel", document_id)
            await self._session.send("PUT", path, json=without_nothing(reason=reason))

    async def cancel_free_form_invite(self, document_id: str, invite_id: str, *, reason: str | None = None) -> None:
        """Cancel one free-form invite."""
        invites = (await self.document(document_id)).free_form_invites
        if not any(invite.id == invite_id and invite.status == "cancelled" for invite in invites):
            await self._session.send("PUT", at("/invite/{}/cancel", invite_id), json=without_nothing(reason=reason))

    async def cancel_embedded_invites(self, document_id: str) -> None:
        """Cancel all embedded invites."""
        if any(invite.is_embedded for invite in (await self.document(document_id)).field_invites):
            await self._session.send("DELETE", at("/v2/documents/{}/embedded-invites", document_id))

    async def resend_field_invite(self, request_id: str) -> None:
        """Mail the invite again. SignNow limits how often."""
        body = {"client_timestamp": int(time.time())}  # for SignNow's audit trail alone
        await self._session.send("PUT", at("/fieldinvite/{}/resend", request_id), json=body)

    async def replace_signer(self, document_id: str, *, role: str, email: str) -> None:
        """Give a role that has not signed to another signer: the old invite goes, a new one is made, and is sent."""
        document = await self.document(document_id)
        role_id = _role_id(role, document.roles)
        present = next((invite for invite in document.field_invites if invite.role == role), None)
        if present is not None and present.status not in _WAITS:
            raise SignNowRefused(f"the role {role!r} has signed already")
        if present is not None and present.email.lower() != email.lower():
            await self._session.send("DELETE", at("/field_invite/{}", present.id))
            present = None
        if present is None:
            await self._create("/field_invite", {"email": email, "role_id": role_id, "is_replace": True})
        if present is None or present.status == "created":
            # Who is not next in turn stays created however often this is asked for.
            await self._session.send("POST", at("/document/{}/trigger_fieldinvite", document_id))

    async def delete_document(self, document_id: str) -> None:
        """Cancel what is pending, then delete: of the reports on SignNow some say that it refuses otherwise."""
        document = await self.document(document_id)
        if any(invite.status in _WAITS for invite in document.field_invites):
            await self.cancel_field_invite(document_id)
            await self.cancel_embedded_invites(document_id)
        for invite in document.free_form_invites:
            if invite.status in _WAITS:
                await self.cancel_free_form_invite(document_id, invite.id)
        await self._session.send("DELETE", at("/document/{}", document_id))

    async def _invite(
        self,
        document_id: str,
        *,
        to: str | list[dict[str, object]],
        subject: str | None,
        message: str | None,
        cc: Sequence[str],
    ) -> httpx.Response:
        account = await self.account()
        body = without_nothing(to=to, subject=subject, message=message, cc=list(cc) or None, **{"from": account.email})
        return await self._session.send("POST", at("/document/{}/invite", document_id), json=body)


def _role_id(role: str, roles: Mapping[str, str]) -> str:
    if role not in roles:
        raise SignNowRefused(f"the document has no fields for the role {role!r}")
    return roles[role]


def _recipient(signer: Signer, role_id: str) -> dict[str, Any]:
    return without_nothing(
        email=signer.email,
        role=signer.role,
        role_id=role_id,
        order=signer.order,
        expiration_days=signer.expiration_days,
        reminder=_reminder(signer.reminder) if signer.reminder else None,
        subject=signer.subject,
        message=signer.message,
        redirect_uri=signer.redirect_uri,
        language=signer.language,
    )


def _reminder(reminder: Reminder) -> dict[str, object]:
    return without_nothing(remind_after=reminder.after, remind_before=reminder.before, remind_repeat=reminder.every)
