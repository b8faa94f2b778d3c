"""Access tokens: kept in a store, renewed by one task at a time, once per refusal."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from inkmeter.errors import InkmeterError, SignNowNotConnected, SignNowRefused
from integrations.protocols import SignNowTokens, TokenStore
from integrations.signnow import errors
from integrations.signnow.auth import Application, PasswordGrant
from integrations.signnow.wire import Wire

ACCOUNT: Final = "account"
"""The identity of the operator's own account."""


class Bearer(Protocol):
    """Where a session's token comes from."""

    async def get(self) -> str:
        """A token that was not refused yet."""

    async def renew(self, refused: str) -> str | None:
        """Another token than the refused one; None where there is no other. Raises SignNowRefused."""


class FixedBearer:
    """An API key."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get(self) -> str:
        return self._token

    async def renew(self, refused: str) -> str | None:
        return None


class MemoryTokens:
    """A store that lives with the process."""

    def __init__(self) -> None:
        self._tokens: dict[str, SignNowTokens] = {}

    async def load(self, identity: str) -> SignNowTokens | None:
        return self._tokens.get(identity)

    async def save(self, identity: str, tokens: SignNowTokens | None, *, instead_of: str | None = None) -> bool:
        kept = self._tokens.get(identity)
        if instead_of is not None and (kept is None or kept.access != instead_of):
            return False
        if tokens is None:
            self._tokens.pop(identity, None)
        else:
            self._tokens[identity] = tokens
        return True


class TokenBroker:
    """The tokens of one identity. With a `grant` its password opens the door again when all else is refused."""

    def __init__(
        self, identity: str, application: Application, store: TokenStore, wire: Wire, grant: PasswordGrant | None = None
    ) -> None:
        self._identity, self._application, self._store, self._wire = identity, application, store, wire
        self._grant = grant
        self._tokens: SignNowTokens | None = None
        self._renewing = asyncio.Lock()

    async def get(self) -> str:
        if self._tokens is None:
            return await self.renew(refused=None)
        return self._tokens.access

    async def renew(self, refused: str | None) -> str:
        """Tasks that wait meanwhile share what the first of them got; another process may have got it, too."""
        async with self._renewing:
            if self._tokens is None or self._tokens.access == refused:
                kept = await self._store.load(self._identity)
                if kept is None or kept.access == refused:
                    self._tokens = None  # what is not kept any more was disconnected
                    kept = await self._fetch(kept, refused)
                self._tokens = kept
            return self._tokens.access

    async def connect(self, code: str, look: Callable[[str], Awaitable[None]]) -> None:
        """Exchange a code from the consent page. `look` sees the access token first; what it raises ends the token."""
        tokens = await self._exchange(grant_type="authorization_code", code=code)
        try:
            await look(tokens.access)
        except InkmeterError:
            with contextlib.suppress(InkmeterError):  # why it is not wanted says more
                await self._terminate(tokens.access)
            raise
        async with self._renewing:
            await self._store.save(self._identity, tokens)
            self._tokens = tokens

    async def disconnect(self) -> None:
        """End the token at SignNow, where it is not ended already, and forget it."""
        async with self._renewing:
            tokens = await self._store.load(self._identity) or self._tokens
            if tokens is not None:
                await self._terminate(tokens.access)
            await self._store.save(self._identity, None)
            self._tokens = None

    async def _terminate(self, access: str) -> None:
        try:
            headers = {"Authorization": f"Bearer {access}"}
            await self._wire.exchange("POST", "/oauth2/terminate", is_read=True, headers=headers, json={})
        except SignNowRefused as refusal:
            if refusal.upstream_code != errors.INVALID_TOKEN:
                raise

    async def _fetch(self, tokens: SignNowTokens | None, refused: str | None) -> SignNowTokens:
        refusal: SignNowRefused | None = None
        if tokens is not None and tokens.refresh:
            try:
                renewed = await self._exchange(grant_type="refresh_token", refresh_token=tokens.refresh)
                if await self._store.save(self._identity, renewed, instead_of=tokens.access):
                    return renewed
            except SignNowRefused as error:
                refusal = error
            # Whether a refresh token works twice is not documented: another process may just have used this one. It
            # may also have ended the connection, which what was renewed meanwhile must not bring back.
            kept = await self._store.load(self._identity)
            if kept is not None and kept.access not in (refused, tokens.access):
                return kept
        if self._grant is not None:
            grant = self._grant
            opened = await self._exchange(
                grant_type="password", username=grant.username, password=grant.password, scope="*"
            )
            await self._store.save(self._identity, opened)
            return opened
        if refusal is not None and refusal.upstream_code != errors.INVALID_TOKEN:
            raise refusal
        if tokens is not None:
            await self._store.save(self._identity, None, instead_of=tokens.access)
        raise SignNowNotConnected(
            "SignNow lets nobody act for this user: they have to consent (again) on SignNow's page"
        ) from refusal

    async def _exchange(self, **form: str) -> SignNowTokens:
        # A token is nothing that is billed: the call may be repeated, and its failure leaves nothing unknown.
        answer = await self._wire.exchange(
            "POST", "/oauth2/token", is_read=True, data=form, auth=self._application.basic
        )
        with errors.reading("the access token"):
            given = answer.json()
            return SignNowTokens(str(given["access_token"]), given.get("refresh_token") or None)
