"""Users, their folders and their tokens."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from integrations.signnow.sandbox.refusals import auth_refusal, not_found, refusal

TOKEN_LIFETIME: Final = timedelta(days=30)
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True, slots=True)
class SandboxAccount:
    """The account that exists from the start, the application that it owns and its API key."""

    email: str = "owner@sandbox.test"
    password: str = field(default="sandbox-password", repr=False)
    client_id: str = "sandbox-client"
    client_secret: str = field(default="sandbox-secret", repr=False)
    api_key: str = field(default="sandbox-api-key", repr=False)


@dataclass(slots=True)
class Folder:
    id: str
    name: str
    parent_id: str | None
    user_id: str
    created_at: datetime
    is_system: bool = False


@dataclass(slots=True)
class User:
    """A SignNow user. Documents belong to users, never to an organization."""

    id: str
    email: str
    password: str = field(repr=False)
    first_name: str
    last_name: str
    created_at: datetime
    is_verified: bool
    folders: dict[str, Folder] = field(default_factory=dict)

    def add_folder(self, name: str, parent_id: str | None, now: datetime, *, is_system: bool = False) -> Folder:
        folder = Folder(new_id(), name, parent_id, self.id, now, is_system)
        self.folders[folder.id] = folder
        return folder

    def folder(self, folder_id: str) -> Folder:
        try:
            return self.folders[folder_id]
        except KeyError:
            raise not_found("the folder") from None

    @property
    def root(self) -> Folder:
        return next(iter(self.folders.values()))

    @property
    def inbox(self) -> Folder:
        """Where documents go that are uploaded without a folder."""
        return next(f for f in self.folders.values() if f.is_system and f.name == "Documents")


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; an API key's does not expire."""

    access: str
    refresh: str
    user_id: str
    expires_at: datetime | None

    def seconds_left(self, now: datetime) -> int:
        end = self.expires_at or now + TOKEN_LIFETIME
        return int((end - now).total_seconds())


class Accounts:
    """All users and tokens of the sandbox."""

    def __init__(self, account: SandboxAccount, now: datetime) -> None:
        self.account = account
        self.users: dict[str, User] = {}
        self.tokens: dict[str, Token] = {}
        self._codes: dict[str, str] = {}
        self.owner = self.add_user(account.email, account.password, "Sandbox", "Owner", now, is_verified=True)
        self.tokens[account.api_key] = Token(account.api_key, "", self.owner.id, None)

    def add_user(
        self, email: str, password: str, first_name: str, last_name: str, now: datetime, *, is_verified: bool = False
    ) -> User:
        if any(user.email == email for user in self.users.values()):
            raise refusal("the email address is taken")
        user = User(id_of(email), email, password, first_name, last_name, now, is_verified)
        root = user.add_folder("Root", None, now, is_system=True)
        for name in ("Documents", "Templates", "Archive", "Trash Bin"):
            user.add_folder(name, root.id, now, is_system=True)
        self.users[user.id] = user
        return user

    def user_of(self, bearer: str, now: datetime) -> User:
        """The user of a bearer token. Refuses, as SignNow does, with HTTP 400."""
        token = self.tokens.get(bearer)
        if token is None or (token.expires_at is not None and token.expires_at <= now):
            raise auth_refusal("invalid_token")
        return self.users[token.user_id]

    def log_in(self, email: str, password: str, now: datetime) -> Token:
        """The password grant, which SignNow means for the application owner's account alone."""
        user = self.users.get(id_of(email))
        if user is None or not secrets.compare_digest(user.password.encode(), password.encode()):
            raise auth_refusal("Invalid credentials.")
        if user is not self.owner:
            raise refusal("the password grant is for the application's owner", 11005001)
        return self._issue(user.id, now)

    def refresh(self, refresh_token: str, now: datetime) -> Token:
        """A new pair of tokens; the old pair is void, the stricter of two behaviours where SignNow's is not known."""
        for token in self.tokens.values():
            if token.refresh and secrets.compare_digest(token.refresh.encode(), refresh_token.encode()):
                del self.tokens[token.access]
                return self._issue(token.user_id, now)
        raise auth_refusal("invalid_token")

    def consent(self, email: str) -> str:
        """An authorization code, as if the user had agreed on SignNow's page."""
        user = self.users.get(id_of(email))
        if user is None:
            raise not_found("the user")
        code = secrets.token_hex(20)
        self._codes[code] = user.id
        return code

    def redeem(self, code: str, now: datetime) -> Token:
        """Exchange an authorization code, once."""
        user_id = self._codes.pop(code, None)
        if user_id is None:
            raise refusal("internal api error")
        return self._issue(user_id, now)

    def token_of(self, user_id: str, now: datetime) -> str:
        """A bearer token of that user, if there is a valid one."""
        valid = (t for t in self.tokens.values() if t.user_id == user_id and t.seconds_left(now) > 0)
        return next((token.access for token in valid), "")

    def terminate(self, bearer: str) -> None:
        self.tokens.pop(bearer, None)

    def check_client(self, client_id: str, client_secret: str) -> None:
        """Refuses any application but ours: the answer that mixing up SignNow's environments brings."""
        known = (self.account.client_id, self.account.client_secret)
        if (client_id, client_secret) != known:
            raise auth_refusal("invalid_client")

    def _issue(self, user_id: str, now: datetime) -> Token:
        token = Token(secrets.token_hex(32), secrets.token_hex(32), user_id, now + TOKEN_LIFETIME)
        self.tokens[token.access] = token
        return token


def new_id() -> str:
    """An id in SignNow's shape: 40 hexadecimal digits."""
    return secrets.token_hex(20)


def id_of(email: str) -> str:
    """The user id of an address; signers have one without having an account here."""
    return hashlib.sha1(email.lower().encode(), usedforsecurity=False).hexdigest()


def is_email(value: object) -> bool:
    return isinstance(value, str) and _EMAIL.fullmatch(value) is not None
