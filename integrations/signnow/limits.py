"""How fast we may call: what SignNow's answers say, and limits of our own, in fair shares.

SignNow does not document its limits. Its answers carry `X-RateLimit-Remaining` and `X-RateLimit-Reset` (a Unix time), a
429 carries `Retry-After` in seconds, and users report 500 calls an hour.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

from inkmeter.clock import Clock
from inkmeter.errors import UpstreamRateLimited
from integrations.signnow.errors import retry_after

_MAX_IDLE_TENANTS: Final = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """At most `calls` an hour for an account, all at once or spread; None is as many as SignNow lets through.

    A tenant gets at most `tenant_share` of them, so that the others are not locked out. Who would have to wait for
    longer than `patience` is refused, with the time.
    """

    calls: int | None = None
    tenant_share: float = 0.5
    patience: timedelta = timedelta(0)


class _Bucket:
    """Tokens that come back evenly; a call that waits takes its token beforehand, so that the count can be below 0."""

    def __init__(self, size: float, now: datetime) -> None:
        self._size, self._level, self._seen_at = size, size, now

    def fill(self, now: datetime) -> None:
        passed = max((now - self._seen_at).total_seconds(), 0.0)
        self._level = min(self._size, self._level + passed * self._size / 3600)
        self._seen_at = now

    def wait(self) -> float:
        """Seconds until a token is there."""
        return max(1 - self._level, 0.0) * 3600 / self._size

    def take(self) -> None:
        self._level -= 1

    def lower(self, level: float) -> None:
        self._level = min(self._level, level)

    @property
    def is_full(self) -> bool:
        return self._level >= self._size


class Limiter:
    """Lets the calls of one account through. `sleep` is how it waits."""

    def __init__(self, limits: Limits, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._limits, self._clock, self._sleep = limits, clock, sleep
        self._account = _Bucket(limits.calls, clock.now()) if limits.calls else None
        self._tenants: dict[str, _Bucket] = {}
        self._held_until = datetime.min.replace(tzinfo=UTC)

    async def admit(self, tenant: str | None) -> None:
        """Wait for the call's turn. Raises UpstreamRateLimited where that is too far off; then no token was taken."""
        now = self._clock.now()
        buckets = self._buckets(tenant, now)
        wait = max([(self._held_until - now).total_seconds(), *(bucket.wait() for bucket in buckets)])
        if wait > self._limits.patience.total_seconds():
            raise UpstreamRateLimited("SignNow's rate limit is used up for now", retry_after=wait)
        for bucket in buckets:
            bucket.take()
        if wait > 0:
            await self._sleep(wait)

    def note(self, answer: httpx.Response) -> None:
        """Learn from an answer: how long to hold back, and how many calls are left."""
        now = self._clock.now()
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            self._hold(now + timedelta(seconds=retry_after(answer) or 0))
        remaining, reset = (answer.headers.get(f"x-ratelimit-{name}", "") for name in ("remaining", "reset"))
        if not remaining.isdecimal():
            return
        if self._account is not None:
            self._account.lower(int(remaining))
        if int(remaining) == 0 and reset.isdecimal() and len(reset) <= len("9999999999"):
            self._hold(datetime.fromtimestamp(int(reset), UTC))

    def _hold(self, moment: datetime) -> None:
        self._held_until = max(self._held_until, moment)

    def _buckets(self, tenant: str | None, now: datetime) -> list[_Bucket]:
        if self._account is None or self._limits.calls is None:
            return []
        if tenant is None:
            buckets = [self._account]
        else:
            if len(self._tenants) > _MAX_IDLE_TENANTS:
                self._tenants = {name: kept for name, kept in self._tenants.items() if not kept.is_full}
            share = max(self._limits.calls * self._limits.tenant_share, 1)
            buckets = [self._account, self._tenants.setdefault(tenant, _Bucket(share, now))]
        for bucket in buckets:
            bucket.fill(now)
        return buckets
