"""Calls made as one account, for one tenant or none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from inkmeter.errors import SignNowRefused, UpstreamError
from integrations.signnow import errors
from integrations.signnow.auth import Application
from integrations.signnow.limits import Limiter
from integrations.signnow.tokens import Bearer
from integrations.signnow.wire import Wire


@dataclass(frozen=True, slots=True)
class Session:
    """Raises only `SignNowRefused`, `SignNowNotConnected` and the `UpstreamError` family.

    A call that is refused for its token was not carried out, so it is sent again, once, with a new token. If none is
    taken, that is no answer to what was asked: an `UpstreamError`, after which the call may be repeated.
    """

    wire: Wire
    bearer: Bearer
    limiter: Limiter | None
    application: Application | None = None
    tenant: str | None = None

    async def send(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Send a call and answer SignNow's success. `content` is httpx's: json, params, data, content, headers."""
        return await self._send(method, path, is_read=method == "GET", **content)

    async def send_as_application(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Send a call that SignNow wants from the application instead of a user."""
        if self.application is None:
            raise SignNowRefused("SignNow wants an application's client id and secret for this; an API key has none")
        headers = {"Accept": "application/json"}
        is_read, auth = method == "GET", self.application.basic
        return await self._admit(method, path, is_read=is_read, auth=auth, headers=headers, **content)

    @asynccontextmanager
    async def stream(self, method: str, path: str, **content: Any) -> AsyncIterator[httpx.Response]:
        """The answer to a read, whose body is still to come while the context is open."""
        answer = await self._send(method, path, is_read=True, is_streamed=True, **content)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        bearer = await self.bearer.get()
        try:
            return await self._send_as(bearer, method, path, content)
        except SignNowRefused as refusal:
            if refusal.upstream_code != errors.INVALID_TOKEN:
                raise
            renewed = await self.bearer.renew(bearer)
            if renewed is None:
                raise _unauthorized() from refusal
        try:
            return await self._send_as(renewed, method, path, content)
        except SignNowRefused as refusal:
            if refusal.upstream_code != errors.INVALID_TOKEN:
                raise
            raise _unauthorized() from refusal

    async def _send_as(self, bearer: str, method: str, path: str, content: dict[str, Any]) -> httpx.Response:
        more = dict(content)
        headers = {"Accept": "application/json", **more.pop("headers", {}), "Authorization": f"Bearer {bearer}"}
        return await self._admit(method, path, headers=headers, **more)

    async def _admit(self, method: str, path: str, **content: Any) -> httpx.Response:
        if self.limiter is None:
            return await self.wire.exchange(method, path, **content)
        await self.limiter.admit(self.tenant)
        return await self.wire.exchange(method, path, heed=self.limiter.note, **content)


def _unauthorized() -> UpstreamError:
    return UpstreamError("SignNow does not take the token of the account: check the API key or the application")
