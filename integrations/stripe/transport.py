"""Stripe's package over an httpx client of the caller's."""

from collections.abc import Mapping
from typing import Any

import httpx
import stripe


class HttpxClient(stripe.HTTPXClient):
    """Carries the package's requests over an httpx client of the caller's, e.g. one on `httpx.ASGITransport`.

    Only httpx's own errors count as "no answer". The package's client takes every exception, a bug of ours
    included, for a lost connection.
    """

    def __init__(self, http: httpx.AsyncClient | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._http = http or httpx.AsyncClient(timeout=20)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            response = await self._http.request(method, url, headers=headers, content=post_data)
        except httpx.HTTPError as error:
            message = f"{type(error).__name__}: {error}"
            raise stripe.APIConnectionError(message, should_retry=True) from error  # type: ignore[no-untyped-call]
        return response.content, response.status_code, response.headers

    async def close_async(self) -> None:
        await super().close_async()  # type: ignore[no-untyped-call]
        await self._http.aclose()
