"""How often Stripe is asked: token buckets in front of the transport, one for each endpoint and one for all.

Stripe's docs on rate limits: live 100 requests a second and 25 per endpoint, in a sandbox 25 in all. A burst and a
second of refilling must stay below that.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final

BURST_SHARE: Final = 0.25
"""A full bucket holds what a quarter of a second brings: 15 a second are at most 19 in any second, 80 are 100."""

INSTANT_S: Final = 1e-6
"""A shorter wait is none: what rounding leaves of one would be slept again and again."""

Now = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Bucket:
    """`rate` tokens a second. Whoever comes first is served first; one who gives up waiting takes nothing along."""

    def __init__(self, rate: float, now: Now, sleep: Sleep) -> None:
        self._rate, self._now, self._sleep = rate, now, sleep
        self._capacity = max(1.0, rate * BURST_SHARE)
        self._tokens, self._counted_at = self._capacity, now()
        self._closed_until = self._counted_at
        self._turn = asyncio.Lock()  # serves in the order of arrival

    async def take(self) -> None:
        """Wait for a token and take it."""
        async with self._turn:
            while (wait := self._missing_seconds()) > INSTANT_S:
                await self._sleep(wait)
            self._tokens -= 1

    def close(self, seconds: float) -> None:
        """Let nobody through for so long."""
        self._closed_until = max(self._closed_until, self._now() + seconds)

    def _missing_seconds(self) -> float:
        now = self._now()
        self._tokens = min(self._capacity, self._tokens + (now - self._counted_at) * self._rate)
        self._counted_at = now
        return max(self._closed_until - now, (1 - self._tokens) / self._rate)


class RateLimiter:
    """Lets `in_all` requests a second through, and `per_endpoint` of each kind; 0 sets no limit."""

    def __init__(
        self, *, per_endpoint: float = 0, in_all: float = 0, now: Now = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._per_endpoint, self._now, self._sleep = per_endpoint, now, sleep
        self._all = Bucket(in_all, now, sleep) if in_all else None
        self._buckets: dict[str, Bucket] = {}

    async def enter(self, method: str, path: str) -> None:
        """Wait until this request may be sent."""
        if self._per_endpoint:
            await self._bucket(method, path).take()
        if self._all:
            await self._all.take()

    def back_off(self, method: str, path: str, seconds: float) -> None:
        """Stripe has asked for a pause on this endpoint."""
        if self._per_endpoint:
            self._bucket(method, path).close(seconds)

    def _bucket(self, method: str, path: str) -> Bucket:
        name = endpoint(method, path)
        if name not in self._buckets:
            self._buckets[name] = Bucket(self._per_endpoint, self._now, self._sleep)
        return self._buckets[name]


def endpoint(method: str, path: str) -> str:
    """The family that a path belongs to: `POST /v1/invoices/in_1NqX/finalize` is `POST /v1/invoices/-/finalize`.

    Ids are told from words by their digits and capitals.
    """
    first, *rest = path.strip("/").split("/")
    return " ".join((method.upper(), "/".join(("", first, *(re.sub(r".*[0-9A-Z].*", "-", part) for part in rest)))))
