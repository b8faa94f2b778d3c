"""The rate limit: so many calls in a window of an hour, for each user. Window, scope and body are our assumption."""

from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

WINDOW: Final = timedelta(hours=1)


class CallCounter:
    """Counts calls by token."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[datetime, int]] = {}

    def count(self, token: str, now: datetime) -> tuple[int, datetime]:
        """Counts one call; answers how many there were in this window, and when it ends."""
        began_at, calls = self._windows.get(token, (now, 0))
        if now - began_at >= WINDOW:
            began_at, calls = now, 0
        self._windows[token] = began_at, calls + 1
        return calls + 1, began_at + WINDOW


class RateLimited:
    """ASGI middleware: refuses who calls too often, and tells everybody how often they still may."""

    def __init__(
        self, app: ASGIApp, limit: Callable[[], int], counter: Callable[[], CallCounter], now: Callable[[], datetime]
    ) -> None:
        self._app, self._limit, self._counter, self._now = app, limit, counter, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", "")).removeprefix(scope.get("root_path", ""))
        limit, token = self._limit(), dict(scope.get("headers", [])).get(b"authorization", b"").decode("latin-1")
        if scope["type"] != "http" or not limit or not token or path.startswith("/_sandbox/"):
            await self._app(scope, receive, send)
            return
        now = self._now()
        calls, ends_at = self._counter().count(token, now)
        shown = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(limit - calls, 0)),
            "X-RateLimit-Reset": str(ceil(ends_at.timestamp())),
        }
        if calls > limit:
            shown["Retry-After"] = str(ceil((ends_at - now).total_seconds()))
            body = {"errors": [{"code": 0, "message": "Too Many Attempts"}]}
            await JSONResponse(body, 429, shown)(scope, receive, send)
            return

        async def send_with_limit(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(shown)
            await send(message)

        await self._app(scope, receive, send_with_limit)
