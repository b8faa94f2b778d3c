"""SignNow over HTTP: what `integrations.protocols.SignNow` promises."""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import httpx

from inkmeter.clock import Clock, SystemClock
from inkmeter.errors import SignNowRefused
from integrations.protocols import SignNowAccount, TokenStore
from integrations.signnow.auth import ApiKey, Application, PasswordGrant, consent_url
from integrations.signnow.downloads import Downloads
from integrations.signnow.groups import Groups
from integrations.signnow.invites import Invites
from integrations.signnow.limits import Limiter, Limits
from integrations.signnow.organizations import Organizations
from integrations.signnow.session import Session
from integrations.signnow.subscriptions import CALLBACK_EVENTS as CALLBACK_EVENTS
from integrations.signnow.subscriptions import Subscriptions
from integrations.signnow.tokens import ACCOUNT, FixedBearer, MemoryTokens, TokenBroker
from integrations.signnow.wire import Wire

MAX_IDENTITIES: Final = 1000
"""Accounts that are remembered at once; one that is forgotten begins anew from the store."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Accounts:
    """What the clients of all identities share: one session and one broker each, whoever asks for it."""

    new_limiter: Callable[[], Limiter | None]
    store: TokenStore
    sessions: dict[str, Session] = field(default_factory=dict)
    brokers: dict[str, TokenBroker] = field(default_factory=dict)


class SignNowClient(Invites, Downloads, Groups, Organizations, Subscriptions):
    """One SignNow account. The caller owns `http`, and so its time-outs, its pool and its end.

    `read_backoff` is the wait in seconds before a failed read is repeated, doubled for the second time. `tokens` keeps
    what opens the accounts. With `limits` the client holds back by itself, each account by its own; without, a 429 is
    for the caller to heed. An API key needs `application` as well for calls that SignNow wants from an application.
    """

    def __init__(
        self,
        *,
        base_url: str,
        credentials: ApiKey | PasswordGrant,
        http: httpx.AsyncClient,
        application: Application | None = None,
        tokens: TokenStore | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
        read_backoff: float = 0.25,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        wire = Wire(base_url, http, read_backoff=read_backoff, sleep=sleep)

        def new_limiter() -> Limiter | None:
            return Limiter(limits, clock or SystemClock(), sleep) if limits else None

        self._accounts = _Accounts(new_limiter, tokens or MemoryTokens())
        bearer: FixedBearer | TokenBroker
        if isinstance(credentials, ApiKey):
            bearer = FixedBearer(credentials.token)
        else:
            application = credentials.application
            bearer = TokenBroker(ACCOUNT, application, self._accounts.store, wire, credentials)
        self._session = Session(wire, bearer, new_limiter(), application)
        self._account: SignNowAccount | None = None

    def for_tenant(self, tenant: str) -> "SignNowClient":
        """The same account, with calls that count against that tenant's share."""
        return self._with(replace(self._session, tenant=tenant), self._account)

    def for_identity(self, identity: str) -> "SignNowClient":
        """Another account, with the tokens that are kept under that identity."""
        broker = self._broker(identity)
        sessions = self._accounts.sessions
        session = sessions.pop(identity, None)
        if session is None or session.bearer is not broker:
            session = replace(self._session, bearer=broker, limiter=self._accounts.new_limiter(), tenant=None)
        _remember(sessions, identity, session)
        return self._with(session, None)

    def consent_url(self, *, redirect_uri: str, state: str) -> str:
        """The page on which a SignNow user lets the application act for them."""
        wire = self._session.wire
        return consent_url(wire.base_url, self._application(), redirect_uri=redirect_uri, state=state)

    async def connect(
        self, identity: str, code: str, admit: Callable[[SignNowAccount], Awaitable[None]] | None = None
    ) -> SignNowAccount:
        """Exchange the code for tokens that are kept under that identity, unless `admit` refuses their user."""
        found: list[SignNowAccount] = []

        async def look(access: str) -> None:
            session = replace(self._session, bearer=FixedBearer(access), limiter=None, tenant=None)
            found.append(await self._with(session, None).account())
            if admit is not None:
                await admit(found[0])

        await self._broker(identity).connect(code, look)
        return found[0]

    async def disconnect(self, identity: str) -> None:
        """End the identity's token and forget it."""
        await self._broker(identity).disconnect()

    def _broker(self, identity: str) -> TokenBroker:
        brokers = self._accounts.brokers
        broker = brokers.pop(identity, None)
        if broker is None:
            broker = TokenBroker(identity, self._application(), self._accounts.store, self._session.wire)
        _remember(brokers, identity, broker)
        return broker

    def _application(self) -> Application:
        if self._session.application is None:
            raise SignNowRefused("accounts of others need an application's client id and secret; an API key has none")
        return self._session.application

    def _with(self, session: Session, account: SignNowAccount | None) -> "SignNowClient":
        other = copy.copy(self)
        other._session, other._account = session, account
        return other


def _remember(known: dict[str, T], identity: str, value: T) -> None:
    """Put it last, and forget what was not asked for in the longest time."""
    known[identity] = value
    if len(known) > MAX_IDENTITIES:
        del known[next(iter(known))]
