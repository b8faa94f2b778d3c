"""Everything that the sandbox remembers, and what changes it in more than one place."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any

import httpx

from inkmeter.clock import Clock
from integrations.signnow.sandbox.accounts import Accounts, SandboxAccount, User, id_of
from integrations.signnow.sandbox.books import Books, Fact
from integrations.signnow.sandbox.callbacks import Callbacks, Event
from integrations.signnow.sandbox.documents import Document, FieldInvite, FreeFormInvite
from integrations.signnow.sandbox.faults import Faults
from integrations.signnow.sandbox.groups import Group
from integrations.signnow.sandbox.knobs import Knobs
from integrations.signnow.sandbox.limits import CallCounter
from integrations.signnow.sandbox.links import SigningLink
from integrations.signnow.sandbox.organizations import Organization
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
        self.groups: dict[str, Group] = {}
        self.organizations: dict[str, Organization] = {}
        self.signing_links: dict[str, SigningLink] = {}
        self.knobs = Knobs()
        self.calls = CallCounter()
        self._deadlines: list[tuple[datetime, str, str]] = []
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
        self.books.enter(fact, document.id, document.folder_id, document.user_id, self.clock.now())

    def add(self, document: Document, event: str, environment: str) -> None:
        """A new document, however it came to be."""
        document.is_development = self.knobs.is_development
        self.documents[document.id] = document
        self.enter(Fact.UPLOADS, document)
        owner = self.accounts.users[document.user_id]
        document.log(event, owner.email, self.clock.now())
        self.tell(document, [document_event("create", document, owner.id)], environment)

    def tell(self, document: Document, events: Sequence[Event], environment: str) -> None:
        self.tell_of(document.id, document.user_id, events, environment)

    def tell_of(self, entity_id: str, user_id: str, events: Sequence[Event], environment: str) -> None:
        token = self.accounts.token_of(user_id, self.clock.now())
        self.callbacks.tell(events, user_id=user_id, entity_id=entity_id, environment=environment, access_token=token)

    def send_field_invite(self, document: Document, invites: list[FieldInvite], environment: str) -> None:
        """Invite the signers, the first in turn at once. Charged once, however many they are."""
        document.field_invites = invites
        self._charge(document)
        self.announce(document, invites, environment)

    def announce(self, document: Document, invites: Sequence[FieldInvite], environment: str) -> None:
        """Tell of new invites of a document, and invite those whose turn it is."""
        document.log("invite_sent", self.accounts.users[document.user_id].email, self.clock.now())
        for invite in invites:
            heappush(self._deadlines, (invite.expires_at, document.id, invite.id))
        created = [invite_event("create", document, invite, document.user_id) for invite in invites]
        self.tell(document, [*created, *self.invite_next(document)], environment)

    def send_free_form_invite(self, document: Document, email: str, environment: str) -> FreeFormInvite:
        """Invite one signer to sign anywhere. Charged per signer."""
        invite = FreeFormInvite(email, self.clock.now())
        document.free_form_invites.append(invite)
        self._charge(document)
        document.log("invite_sent", self.accounts.users[document.user_id].email, self.clock.now())
        self.tell(document, [free_form_event("create", document, invite, document.user_id)], environment)
        return invite

    def sign(self, document: Document, email: str, environment: str) -> str:
        """Sign as one signer, and answer the invite's id. The next in turn are invited, or the document completes."""
        now = self.clock.now()
        invite = _pending_invite(document, email, now)
        if isinstance(invite, FieldInvite):
            document.sign_field_invite(invite, now)
            events = [invite_event("signed", document, invite, id_of(email)), *self.invite_next(document)]
        else:
            document.sign_free_form_invite(invite, now)
            events = [free_form_event("signed", document, invite, id_of(email))]
        self.enter(Fact.SIGNATURES, document)
        if document.is_completed:
            self.enter(Fact.COMPLETIONS, document)
            events.append(document_event("complete", document, id_of(email)))
        opened = document_event("open", document, id_of(email), viewer_user_unique_id=id_of(email))
        self.tell(document, [opened, *events], environment)
        if document.group_id in self.groups:
            self._go_on_with_group(self.groups[document.group_id], id_of(email), environment)
        return invite.id

    def decline(self, document: Document, email: str, reason: str, environment: str) -> str:
        """Decline as one signer. The invite stays pending, as in SignNow, and nobody else is invited."""
        invite = _pending_invite(document, email, self.clock.now())
        if not isinstance(invite, FieldInvite):
            raise refusal("a free-form invite cannot be declined here")
        invite.declined_reason = reason
        document.log("invite_declined", email, self.clock.now())
        self.tell(document, [invite_event("decline", document, invite, id_of(email))], environment)
        return invite.id

    def let_invites_expire(self, environment: str) -> None:
        """Tell of invites whose time is over. They stay pending, and cannot be signed: both are assumed."""
        now = self.clock.now()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, document_id, invite_id = heappop(self._deadlines)
            document = self.documents.get(document_id)
            for invite in document.field_invites if document else ():
                if document is not None and invite.id == invite_id and invite.status in ("created", "pending"):
                    content = {"document_id": document.id, "invite_id": invite.id, "signer": invite.email}
                    self.tell(document, [Event("invite.expired", content, document.user_id)], environment)

    def _charge(self, document: Document) -> None:
        """An invite of an application in development mode is not charged, and marks the document."""
        document.is_development = self.knobs.is_development
        self.enter(Fact.INVITES_SENT, document)
        if not document.is_development:
            self.enter(Fact.INVITES_CHARGED, document)

    def charge_group(self, group: Group) -> None:
        """A group's invite is assumed to be charged like a field invite: once, entered for its first document."""
        self._charge(self.documents[group.document_ids[0]])

    def _go_on_with_group(self, group: Group, actor_id: str, environment: str) -> None:
        if group.invite_id is None or group.is_told:
            return
        for document in group.present(self.documents):
            if events := self.invite_next(document):
                self.tell(document, events, environment)
        if group.status(self.documents) == "fulfilled":
            group.is_told = True
            content = {"document_group_id": group.id, "document_group_name": group.name, "user_id": group.user_id}
            self.tell_of(group.id, group.user_id, [Event("document_group.complete", content, actor_id)], environment)

    def signing_link(self, document: Document, email: str | None, lifetime: timedelta | None, environment: str) -> str:
        """A page on which that signer, or anyone, signs or declines."""
        token = secrets.token_hex(32)
        ends_at = self.clock.now() + lifetime if lifetime else None
        self.signing_links[token] = SigningLink(document.id, email, ends_at)
        return f"{environment}/webapp/document/{document.id}?access_token={token}"

    def invite_next(self, document: Document) -> list[Event]:
        group = self.groups.get(document.group_id or "")
        turn = group.turn(self.documents) if group and group.invite_id else None
        sent = [invite for invite in document.next_in_turn() if turn in (None, invite.order)]
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


def _pending_invite(document: Document, email: str, now: datetime) -> FieldInvite | FreeFormInvite:
    field_invites = [invite for invite in document.field_invites if invite.email == email]
    for invite in field_invites:
        if invite.status == "pending" and invite.declined_reason is None:
            if invite.expires_at <= now:
                raise refusal("The invite has expired.", status=403)
            return invite
    for free_form in document.free_form_invites:
        if free_form.email == email and free_form.status == "pending":
            return free_form
    if any(invite.status == "created" for invite in field_invites):
        raise refusal("The field invite is not pending or fulfilled.", 19001028, status=403)
    raise refusal(f"{email} has nothing to sign here", NOT_FOUND, status=404)
