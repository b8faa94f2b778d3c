"""The ASGI app: one world, SignNow's paths, the control plane, and trouble in front of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware

from inkmeter.clock import Clock
from integrations.signnow.sandbox.accounts import SandboxAccount
from integrations.signnow.sandbox.endpoints import (
    control,
    documents,
    downloads,
    embedded_invites,
    folders,
    groups,
    invites,
    oauth,
    organizations,
    signing,
    subscriptions,
    templates,
    uploads,
    users,
)
from integrations.signnow.sandbox.faults import FaultyConnection
from integrations.signnow.sandbox.limits import RateLimited
from integrations.signnow.sandbox.refusals import HANDLERS
from integrations.signnow.sandbox.world import World

_PLACES = (
    oauth,
    users,
    organizations,
    folders,
    uploads,
    documents,
    downloads,
    templates,
    invites,
    embedded_invites,
    groups,
    signing,
    subscriptions,
    control,
)


def create_app(
    *,
    clock: Clock,
    http: httpx.AsyncClient | None = None,
    account: SandboxAccount | None = None,
    time_scale: float = 1.0,
) -> Starlette:
    """A SignNow of its own, with `account` as its only user.

    Callbacks go out through `http`; without one the app has its own and closes it at the end of its lifespan.
    `time_scale` stretches the waits before a callback is repeated: 0 repeats at once. `/_sandbox/clock` moves `clock`
    if it can travel.
    """
    outgoing = http or httpx.AsyncClient(timeout=10)
    world = World(clock, outgoing, account or SandboxAccount(), time_scale)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await world.callbacks.stop()
        if http is None:
            await outgoing.aclose()

    app = Starlette(
        routes=[route for place in _PLACES for route in place.ROUTES],
        middleware=[
            Middleware(FaultyConnection, faults=world.faults),
            Middleware(
                RateLimited,
                limit=lambda: world.knobs.calls_per_hour,
                counter=lambda: world.calls,
                now=clock.now,
            ),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.state.world = world
    return app
