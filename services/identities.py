"""Whose SignNow account a tenant signs through: every call for a tenant is made as that identity, and as no other."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from tortoise.exceptions import IntegrityError

from inkmeter.clock import Clock
from inkmeter.errors import Conflict
from integrations.protocols import SignNow, SignNowAccount, SignNowTokens
from services.platform import Platform
from services.problems import Problems
from storage import signnow_tokens
from storage.signnow_tokens import StoredTokens
from storage.tenants import Isolation as Isolation
from storage.tenants import Tenant

MAX_URL: Final = 2048
MAX_CODE: Final = 500


def signnow_for(platform: Platform, tenant: Tenant) -> SignNow:
    """SignNow as the tenant's identity. What it does for a tenant of the shared account counts against that tenant's
    share of the rate limit.

    Calls raise SignNowNotConnected while the tenant's own user has not consented.
    """
    if tenant.isolation is Isolation.SHARED_ACCOUNT:
        return platform.signnow.for_tenant(str(tenant.public_id))
    return platform.signnow.for_identity(str(tenant.id))


async def signnow_of(platform: Platform, tenant_id: int) -> SignNow:
    """The same, for who has the tenant's internal id alone."""
    return signnow_for(platform, await Tenant.get(id=tenant_id))


async def is_connected(tenant: Tenant) -> bool:
    """Whether the tenant's user lets us act for them, as far as we know; in the shared account it is the operator."""
    return tenant.id in await connected_of([tenant])


async def connected_of(tenants: Sequence[Tenant]) -> set[int]:
    """Those of a few hundred tenants of which that is so."""
    own = [tenant.id for tenant in tenants if tenant.isolation is not Isolation.SHARED_ACCOUNT]
    shared = {tenant.id for tenant in tenants} - {*own}
    return shared | (await signnow_tokens.connected_of(own) if own else set())


async def connected_tenants() -> Sequence[Tenant]:
    """Those with a SignNow user of their own who lets us act for them."""
    return await Tenant.filter(id__in=await signnow_tokens.connected_tenants()).order_by("id")


def authorization_url(platform: Platform, tenant: Tenant, redirect_uri: str, state: str) -> str:
    """SignNow's page on which the tenant's user lets us act for them, and which leads back to `redirect_uri` with a
    code and `state`. Raises InvalidInput, Conflict for a tenant of the shared account.
    """
    problems = Problems()
    is_url = len(redirect_uri) <= MAX_URL and redirect_uri.isprintable() and _is_web(redirect_uri)
    problems.check(is_url, "is an http(s) address of at most 2048 characters", "redirectUri")
    problems.check_text(state, "state")
    problems.refuse()
    _require_own(tenant)
    return platform.signnow.consent_url(redirect_uri=redirect_uri, state=state)


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.netloc)


async def connect_user(platform: Platform, tenant: Tenant, code: str) -> None:
    """Exchange the code that the tenant's user has brought back. It works once.

    Raises InvalidInput, SignNowRefused, and Conflict for a user who is not this tenant's: its documents belong to the
    first one who consented.
    """
    problems = Problems()
    problems.check(0 < len(code) <= MAX_CODE and code.isprintable(), "is the code that SignNow's page gave", "code")
    problems.refuse()
    _require_own(tenant)
    operator = await platform.signnow.account()

    async def admit(account: SignNowAccount) -> None:
        if account.user_id == operator.user_id:
            raise Conflict("that SignNow user is the operator's own, and sees every shared document", path=("code",))
        await _take_user(tenant, account.user_id)

    await platform.signnow.connect(str(tenant.id), code, admit)


async def _take_user(tenant: Tenant, user_id: str) -> None:
    """Note the first user who consents for the tenant, and let no other in."""
    try:
        await Tenant.filter(id=tenant.id, signnow_user_id=None).update(signnow_user_id=user_id)
    except IntegrityError:
        raise Conflict("that SignNow user belongs to another tenant", path=("code",)) from None
    if (await Tenant.get(id=tenant.id)).signnow_user_id != user_id:
        raise Conflict("the tenant's documents belong to another SignNow user: connect that one", path=("code",))


def _require_own(tenant: Tenant) -> None:
    if tenant.isolation is Isolation.SHARED_ACCOUNT:
        raise Conflict("the tenant signs through the operator's account and needs no connection", path=("tenantId",))


class DatabaseTokens:
    """The client's store of tokens: an identity is a tenant's internal id.

    The operator's own account is opened by its settings, so that what it is given is kept by the process alone.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._own: dict[str, SignNowTokens] = {}

    async def load(self, identity: str) -> SignNowTokens | None:
        if not identity.isdecimal():
            return self._own.get(identity)
        kept = await signnow_tokens.load_tokens(int(identity))
        return SignNowTokens(kept.access, kept.refresh) if kept else None

    async def save(self, identity: str, tokens: SignNowTokens | None, *, instead_of: str | None = None) -> bool:
        if not identity.isdecimal():
            return self._save_own(identity, tokens, instead_of)
        tenant_id, now = int(identity), self._clock.now()
        if tokens is None:
            return await signnow_tokens.forget_tokens(tenant_id, instead_of)
        stored = StoredTokens(tokens.access, tokens.refresh)
        if instead_of is not None:
            return await signnow_tokens.replace_tokens(tenant_id, instead_of, stored, now)
        await signnow_tokens.keep_tokens(tenant_id, stored, now)
        return True

    def _save_own(self, identity: str, tokens: SignNowTokens | None, instead_of: str | None) -> bool:
        kept = self._own.get(identity)
        if instead_of is not None and (kept is None or kept.access != instead_of):
            return False
        if tokens is None:
            self._own.pop(identity, None)
        else:
            self._own[identity] = tokens
        return True
