"""The ASGI application: GraphQL, webhooks, health, and the worker in its lifespan.

uvicorn --factory server.asgi:create_app
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from resolvers.context import Context
from resolvers.root import Mutation, Query
from schema.nodes import Node
from server import documents, webhooks
from server.graphql import GraphQLView
from server.graphql_schema import Schema, build_schema
from server.settings import Settings
from server.usage import usage_route
from server.wiring import open_platform
from services import keys, timetable
from services.platform import Platform
from storage.database import row

log = logging.getLogger("inkmeter.server")

REQUEST_SECONDS = 100.0
"""Longer than the slowest call to SignNow, so that a caller hears what became of it."""

HEALTH_SECONDS = 5.0
"""A database that is slower than this is down."""

OpenPlatform = Callable[[], contextlib.AbstractAsyncContextManager[Platform]]


def graphql_schema(*, introspection: bool = True) -> Schema:
    """The schema of the API, ready to be executed or printed."""
    return build_schema(Query, Mutation, types=[Node], introspection=introspection)


def create_app(settings: Settings | None = None, *, platform: OpenPlatform | None = None) -> Starlette:
    """The application. `platform` opens another platform than the settings describe: for sandboxes and tests."""
    settings = settings or Settings.load()
    opening = platform or (lambda: open_platform(settings))
    opened: list[Platform] = []

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with opening() as made, contextlib.AsyncExitStack() as stack:
            opened.append(made)
            if settings.is_worker:
                await stack.enter_async_context(working(made))
            yield
        opened.clear()

    def get_platform() -> Platform:
        return opened[0]

    async def get_context(request: HTTPConnection) -> Context:
        viewer = await keys.find_viewer(keys.bearer(request.headers.get("authorization")))
        return Context(get_platform(), viewer)

    async def health(_: Request) -> Response:
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                await row("SELECT 1 AS ok")
        except Exception:
            log.exception("the database does not answer")
            return JSONResponse({"status": "the database does not answer"}, 503)
        return JSONResponse({"status": "ok"})

    async def home(_: Request) -> Response:
        return RedirectResponse("/graphql")

    async def nobody_listens(_: Request, __: Exception) -> Response:
        return Response(status_code=400)  # the caller has gone in the middle of a body: its own affair, and no error

    view = GraphQLView(
        graphql_schema(introspection=settings.introspection),
        get_context,
        graphql_ide="graphiql" if settings.graphiql else None,
        max_body_bytes=settings.max_body_bytes,
        seconds=REQUEST_SECONDS,
    )
    return Starlette(
        routes=[
            Route("/", home),
            Route("/graphql", view),
            Route(
                "/documents",
                documents.upload_route(get_platform),
                methods=["POST"],
                max_body_size=documents.NO_LIMIT,
            ),
            Route("/documents/{document_id}/signed", documents.download_route(get_platform), methods=["GET"]),
            Route("/usage", usage_route(get_platform), methods=["POST"]),
            Route(
                "/webhooks/stripe",
                webhooks.stripe_route(get_platform),
                methods=["POST"],
                max_body_size=webhooks.MAX_BYTES,
            ),
            Route(
                "/webhooks/signnow",
                webhooks.signnow_route(get_platform),
                methods=["GET", "POST"],
                max_body_size=webhooks.MAX_BYTES,
            ),
            Route("/health", health),
        ],
        exception_handlers={ClientDisconnect: nobody_listens},
        lifespan=lifespan,
        max_body_size=settings.max_body_bytes,
    )


@contextlib.asynccontextmanager
async def working(platform: Platform) -> AsyncIterator[None]:
    """A worker beside the requests, ended with them."""
    worker = asyncio.create_task(timetable.work(platform))
    try:
        yield
    finally:
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
