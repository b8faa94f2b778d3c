"""A call as a handler sees it: who calls, on what, when. Everything SignNow checks before it looks at the call."""

import base64
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from integrations.signnow.sandbox.accounts import User
from integrations.signnow.sandbox.documents import Document
from integrations.signnow.sandbox.refusals import NoRoute, auth_refusal, refusal
from integrations.signnow.sandbox.world import World

_ID: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Call:
    """One call. Without a bearer token, `user` is the owner of the application that called."""

    request: Request
    world: World
    user: User
    now: datetime

    @property
    def base_url(self) -> str:
        return str(self.request.base_url).rstrip("/")

    @property
    def document(self) -> Document:
        """The document in the path, which must be the caller's."""
        return self.world.document_of(self.user, self.request.path_params["document_id"])

    async def json(self) -> dict[str, Any]:
        return await read_json(self.request)

    def number(self, name: str, default: int) -> int:
        """A whole number in the query."""
        value = self.request.query_params.get(name, str(default))
        if not value.lstrip("-").isdecimal():
            raise refusal(f"Query parameter `{name}` must be a number")
        return int(value)

    def page(self, default_size: int) -> tuple[int, int]:
        """The page asked for, counted from 1, and its size."""
        size = self.number("per_page", default_size)
        if size <= 0:
            raise refusal("Query parameter `per_page` must be more than 0", 13003002)
        return max(self.number("page", 1), 1), size


Handler = Callable[[Call], Awaitable[Response]]


def bearer(method: str, path: str, handler: Handler) -> Route:
    """A route for the user of a bearer token."""

    async def endpoint(request: Request) -> Response:
        _check_ids(request)
        world: World = request.app.state.world
        now = world.clock.now()
        call = Call(request, world, world.accounts.user_of(read_bearer(request), now), now)
        world.let_invites_expire(call.base_url)
        answer = await handler(call)
        if world.callbacks.mischief.is_early:
            await world.callbacks.flush(is_final=False)
        return answer

    return Route(path, endpoint, methods=[method])


def basic(method: str, path: str, handler: Handler) -> Route:
    """A route for an application, by its client id and secret."""

    async def endpoint(request: Request) -> Response:
        _check_ids(request)
        world: World = request.app.state.world
        client = read_client(request)
        if client is None:
            raise auth_refusal("invalid_client")
        world.accounts.check_client(*client)
        return await handler(Call(request, world, world.accounts.owner, world.clock.now()))

    return Route(path, endpoint, methods=[method])


def read_bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise auth_refusal("invalid_token")
    return token


def read_client(request: Request) -> tuple[str, str] | None:
    """The client id and secret of HTTP Basic, if there are any."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, client_secret = base64.b64decode(token, validate=True).decode().partition(":")
    except ValueError:
        return None
    return client_id, client_secret


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object in a request; none at all is an empty one."""
    if not await request.body():
        return {}
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise refusal("Invalid payload", 19001000)
    return body


def _check_ids(request: Request) -> None:
    if not all(_ID.fullmatch(value) for value in request.path_params.values()):
        raise NoRoute
