"""Everything that the sandbox remembers, and what changes it in more than one place."""

from collections.abc import Sequence
from typing import Any

import httpx

from inkmeter.clock import Clock
from integrations.signnow.sandbox.accounts import Accounts, SandboxAccount, User, id_of
from integrations.signnow.sandbox.books import Books, Fact
from integrations.signnow.sandbox.callbacks import Callbacks, Event
from integrations.signnow.sandbox.documents import Document, FieldInvite, FreeFormInvite
from integrations.signnow.sandbox.faults import Faults
from integrations.signnow.sandbox.refusals import NOT_FOUND, not_found, refusal


class World:
    """SignNow's state: in memory, gone with the process or with `reset`. `environment` is the sandbox's URL."""

    def __init__(self, clock: Clock, http: httpx.AsyncClient, account: SandboxAccount, time_scale: float) -> None:
        self.clock, self.http = clock, http
        self.faults = Faults()
        self._account, self._time_scale = account, time_scale
        self._begin()

    def _begin(self) -> None:
        self.accounts = Accounts(self._account, self.clock.now())
        self.documents: dict[str, Document] = {}
        self.books = Books()
        self.callbacks = Callbacks(self.http, self.clock, self._time_scale)
        self.download_links: dict[str, str] = {}
        self.faults.planned.clear()

    async def reset(self) -> None:
        """Begin anew; callbacks that are still to be sent are given up."""
        await self.callbacks.stop()
        self._begin()

    def document_of(self, user: User, document_id: str) -> Document:
        document = self.documents.get(document_id)
        if document is None or document.user_id != user.id:
            raise not_found("the document")
        return document

    def enter(self, fact: Fact, document: Document) -> None:
        self.books.enter(fact, document.id, document.folder_id, self.clock.now())

    def tell(self, document: Document, events: Sequence[Event], environment: str) -> None:
        token = self.accounts.token_of(document.user_id, self.clock.now())
        self.callbacks.tell(
            events,
            user_id=document.user_id,
            document_id=document.id,
            environment=environment,
            access_token=token,
        )

    def send_field_invite(self, document: Document, invites: list[FieldInvite], environment: str) -> None:
        """Invite the signers, the first in turn at once. Charged once, however many they are."""
        document.field_invites = invites
        self.enter(Fact.INVITES_CHARGED, document)
        document.log("invite_sent", self.accounts.users[document.user_id].email, self.clock.now())
        created = [invite_event("create", document, invite, document.user_id) for invite in invites]
        self.tell(document, [*created, *self._invite_next(document)], environment)

    def send_free_form_invite(self, document: Document, email: str, environment: str) -> FreeFormInvite:
        """Invite one signer to sign anywhere. Charged per signer."""
        invite = FreeFormInvite(email, self.clock.now())
        document.free_form_invites.append(invite)
        self.enter(Fact.INVITES_CHARGED, document)
        document.log("invite_sent", self.accounts.users[document.user_id].email, self.clock.now())
        self.tell(document, [free_form_event("create", document, invite, document.user_id)], environment)
        return invite

    def sign(self, document: Document, email: str, environment: str) -> str:
        """Sign as one signer, and answer the invite's id. The next in turn are invited, or the document completes."""
        now = self.clock.now()
        invite = _pending_invite(document, email)
        if isinstance(invite, FieldInvite):
            document.sign_field_invite(invite, now)
            events = [invite_event("signed", document, invite, id_of(email)), *self._invite_next(document)]
        else:
            document.sign_free_form_invite(invite, now)
            events = [free_form_event("signed", document, invite, id_of(email))]
        self.enter(Fact.SIGNATURES, document)
        if document.is_completed:
            self.enter(Fact.COMPLETIONS, document)
            events.append(document_event("complete", document, id_of(email)))
        opened = document_event("open", document, id_of(email), viewer_user_unique_id=id_of(email))
        self.tell(document, [opened, *events], environment)
        return invite.id

    def decline(self, document: Document, email: str, reason: str, environment: str) -> str:
        """Decline as one signer. The invite stays pending, as in SignNow, and nobody else is invited."""
        invite = _pending_invite(document, email)
        if not isinstance(invite, FieldInvite):
            raise refusal("a free-form invite cannot be declined here")
        invite.declined_reason = reason
        document.log("invite_declined", email, self.clock.now())
        self.tell(document, [invite_event("decline", document, invite, id_of(email))], environment)
        return invite.id

    def _invite_next(self, document: Document) -> list[Event]:
        sent = list(document.next_in_turn())
        for invite in sent:
            invite.status = "pending"
        return [invite_event("sent", document, invite, document.user_id) for invite in sent]


def invite_event(what: str, document: Document, invite: FieldInvite, actor_id: str) -> Event:
    content = {"invite_id": invite.id, "signer": invite.email, "status": invite.status}
    return Event(f"document.fieldinvite.{what}", {"document_id": document.id, **content}, actor_id)


def free_form_event(what: str, document: Document, invite: FreeFormInvite, actor_id: str) -> Event:
    """SignNow's docs do not show this content; it is assumed to be that of a field invite."""
    content = {"invite_id": invite.id, "signer": invite.email, "status": invite.status}
    return Event(f"document.freeform.{what}", {"document_id": document.id, **content}, actor_id)


def document_event(what: str, document: Document, actor_id: str, **more: Any) -> Event:
    content = {"document_id": document.id, "document_name": document.name, "user_id": document.user_id, **more}
    return Event(f"document.{what}", content, actor_id)


def _pending_invite(document: Document, email: str) -> FieldInvite | FreeFormInvite:
    field_invites = [invite for invite in document.field_invites if invite.email == email]
    for invite in field_invites:
        if invite.status == "pending" and invite.declined_reason is None:
            return invite
    for free_form in document.free_form_invites:
        if free_form.email == email and free_form.status == "pending":
            return free_form
    if any(invite.status == "created" for invite in field_invites):
        raise refusal("The field invite is not pending or fulfilled.", 19001028, status=403)
    raise refusal(f"{email} has nothing to sign here", NOT_FOUND, status=404)
