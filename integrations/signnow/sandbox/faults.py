"""Trouble on demand: the next calls fail in the way that the control plane asked for."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx
from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Kind(StrEnum):
    """How a call fails. Only TIMEOUT_AFTER and LOST_ANSWER carry the call out before.

    UNAVAILABLE is what a gateway in front of SignNow says; NOT_READY answers a download that comes too early, in
    a shape that is assumed.
    """

    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    LOST_ANSWER = "502_after"
    RATE_LIMIT = "429"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - SignNow's word for an error, not a secret
    WRONG_ENVIRONMENT = "invalid_client"
    NOT_READY = "not_ready"


_ANSWERS: dict[Kind, tuple[int, dict[str, Any], dict[str, str]]] = {
    Kind.SERVER_ERROR: (500, {"error": [{"code": "HY000", "message": "Internal Api Error"}]}, {}),
    Kind.RATE_LIMIT: (429, {"errors": [{"code": 0, "message": "Too Many Attempts"}]}, {"Retry-After": "1"}),
    Kind.INVALID_TOKEN: (400, {"error": "invalid_token", "code": 1537}, {}),
    Kind.WRONG_ENVIRONMENT: (400, {"error": "invalid_client", "code": 1537}, {}),
    Kind.NOT_READY: (200, {"status": "not ready"}, {}),
}


@dataclass(slots=True)
class Fault:
    """The next `times` calls of that method and path fail; a method of None is any."""

    kind: Kind
    times: int
    path_prefix: str = "/"
    method: str | None = None

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and path.startswith(self.path_prefix) and self.method in (None, method)


@dataclass(slots=True)
class Faults:
    planned: list[Fault] = field(default_factory=list)

    def next_for(self, method: str, path: str) -> Kind | None:
        """The kind of failure that this call has earned, which is then used up."""
        for fault in self.planned:
            if fault.fits(method, path):
                fault.times -= 1
                return fault.kind
        return None


class FaultyConnection:
    """ASGI middleware that lets calls fail as planned, save those of the control plane."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app, self._faults = app, faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", "")).removeprefix(scope.get("root_path", ""))
        kind = None
        if scope["type"] == "http" and not path.startswith("/_sandbox/"):
            kind = self._faults.next_for(scope["method"], path)
        if kind is None:
            await self._app(scope, receive, send)
        elif kind in _ANSWERS:
            status, body, headers = _ANSWERS[kind]
            await JSONResponse(body, status, headers)(scope, receive, send)
        elif kind in (Kind.UNAVAILABLE, Kind.LOST_ANSWER):
            if kind is Kind.LOST_ANSWER:
                await self._app(scope, receive, _swallow)
            await HTMLResponse("<h1>upstream unavailable</h1>", 503)(scope, receive, send)
        else:
            if kind is Kind.TIMEOUT_AFTER:
                await self._app(scope, receive, _swallow)
            await _break(send)


async def _swallow(_: Message) -> None:
    """The answer, which nobody will see."""


async def _break(send: Send) -> None:
    """End the connection before the body: a server then closes it, an in-process transport passes the error on."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    raise httpx.ReadError("the sandbox broke the connection, as it was asked to")
