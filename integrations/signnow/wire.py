"""HTTP to SignNow: one call out, one answer or one failure back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any, Final

import httpx

from integrations.signnow import errors

MAX_READ_RETRIES: Final = 2


class Wire:
    """Sends calls, whoever they are from. Raises only `SignNowRefused` and the `UpstreamError` family.

    A read is repeated up to two times when the connection or SignNow fails; anything else is sent once. `read_backoff`
    is the wait in seconds before the first repetition, doubled for the second.
    """

    def __init__(
        self,
        base_url: str,
        http: httpx.AsyncClient,
        *,
        read_backoff: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.read_backoff, self.sleep = read_backoff, sleep
        self._http = http

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        is_read: bool,
        is_streamed: bool = False,
        heed: Callable[[httpx.Response], None] | None = None,
        auth: httpx.Auth | None = None,
        **content: Any,
    ) -> httpx.Response:
        """Answer SignNow's success; a streamed one still has to be read and closed. `heed` sees every answer."""
        for attempt in count():
            cause: Exception | None = None
            request = self._http.build_request(method, self.base_url + path, **content)
            try:
                answer = await self._http.send(request, stream=is_streamed, auth=auth, follow_redirects=False)
                if heed is not None:
                    heed(answer)
                if answer.is_success:
                    return answer
                if is_streamed:
                    await _read_whole(answer)
                failure, is_passing = errors.from_answer(answer, is_read=is_read), answer.is_server_error
            except httpx.RequestError as error:
                failure, cause = errors.from_transport(error, call=f"{method} {path}", is_read=is_read), error
                is_passing = True
            if not (is_read and is_passing and attempt < MAX_READ_RETRIES):
                raise failure from cause
            await self.sleep(self.read_backoff * 2**attempt)
        raise AssertionError("count() does not end")


async def _read_whole(answer: httpx.Response) -> None:
    try:
        await answer.aread()
    finally:
        await answer.aclose()


async def chunks_of(answer: httpx.Response, *, call: str) -> AsyncIterator[bytes]:
    """The body of a streamed answer; what goes wrong on the way changed nothing at SignNow."""
    try:
        async for chunk in answer.aiter_bytes():
            yield chunk
    except httpx.RequestError as error:
        raise errors.from_transport(error, call=call, is_read=True) from error
