"""Who calls SignNow: accounts, their tokens and counters, users, folders, organizations."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SignNowAccount:
    """The SignNow user whose token is used. `email` is what invites must name as their sender."""

    user_id: str
    email: str


@dataclass(frozen=True, slots=True)
class SignNowTokens:
    """What opens an account. Secrets: whoever keeps them decides how."""

    access: str = field(repr=False)
    refresh: str | None = field(default=None, repr=False)


class TokenStore(Protocol):
    """Where tokens live between calls and processes; `identity` is the caller's name for an account.

    A second process may renew them: what is loaded is compared with what SignNow refused before it is renewed again.
    """

    async def load(self, identity: str) -> SignNowTokens | None: ...

    async def save(self, identity: str, tokens: SignNowTokens | None, *, instead_of: str | None = None) -> bool:
        """Keep them in place of the old ones; None forgets them. With `instead_of` only where that access token is
        still the one that is kept. Answers whether it was done.
        """


@dataclass(frozen=True, slots=True)
class SignNowCounters:
    """SignNow's own counts of an account's documents, and its billing period.

    What exactly they count, and in which zone a month begins, SignNow does not document. None where it sends none.
    """

    documents: int | None
    documents_this_month: int | None
    documents_ever: int | None
    period_starts_on: date | None
    period_ends_on: date | None


@dataclass(frozen=True, slots=True)
class SignNowUser:
    """A user made through the application; unverified until the mailbox answers."""

    id: str
    email: str
    is_verified: bool


@dataclass(frozen=True, slots=True)
class SignNowOrganization:
    """An organization, to which users belong; documents belong to users."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class SignNowMember:
    """A member of an organization; `status` in SignNow's words, where it says one."""

    user_id: str | None
    email: str
    status: str


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A document in the search of an organization: by any of its members."""

    id: str
    user_id: str
    owner: str
    name: str
    file_name: str
    created_at: datetime
    updated_at: datetime


class Accounts(Protocol):
    """The account itself, its folders, the application's users and the organizations."""

    async def account(self) -> SignNowAccount:
        """Whose token this is."""

    async def counters(self) -> SignNowCounters:
        """SignNow's own counts, for a coarse check."""

    async def ensure_folder(self, name: str) -> str:
        """The id of the folder with that name, made if there is none. Safe to repeat."""

    async def has_folder(self, folder_id: str) -> bool:
        """Whether the folder lies right below the account's root."""

    async def create_user(self, *, email: str, password: str, first_name: str, last_name: str) -> SignNowUser:
        """A new SignNow user; they verify their mailbox themselves. An address that is taken is refused, and that
        is all that can be found out after an unknown outcome.
        """

    async def create_organization(self, name: str) -> SignNowOrganization:
        """A new organization. Body and answer are assumed: SignNow does not document them. Unknown outcome:
        `organizations`.
        """

    async def organizations(self) -> tuple[SignNowOrganization, ...]:
        """Those of the account. Path and answer are assumed."""

    async def add_member(self, organization_id: str, email: str) -> None:
        """Mail an invite to join, which the user must accept. The body is assumed. Unknown outcome: `members`."""

    async def members(self, organization_id: str) -> tuple[SignNowMember, ...]:
        """Who belongs to an organization; what SignNow says of one beyond its pages is assumed."""

    def search_organization(
        self, organization_id: str, *, owner: str | None = None, signing_status: str | None = None
    ) -> AsyncIterator[FoundDocument]:
        """All members' documents, the last changed first; needs an organization admin's token."""


class Identities(Protocol):
    """Accounts of SignNow besides the operator's own: each known by a name of ours, each with tokens of its own."""

    def consent_url(self, *, redirect_uri: str, state: str) -> str:
        """The page on which a SignNow user lets the application act for them, and comes back with a code."""

    async def connect(
        self, identity: str, code: str, admit: Callable[[SignNowAccount], Awaitable[None]] | None = None
    ) -> SignNowAccount:
        """Exchange the code, once, for tokens that are kept under that identity. Raises SignNowRefused.

        `admit` is told whose they are before they are kept; what it raises ends them, and leaves those that were kept.
        """

    async def disconnect(self, identity: str) -> None:
        """End the identity's token at SignNow and forget it. Safe to repeat."""
