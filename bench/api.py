"""What GraphQL costs: CPU per request through the real application, against plain JSON in the same process.

    python -m bench.api [--rounds 40]

Prints ratios, median [min..max] over rounds in which the calls take turns: a busy machine slows them alike. Everything
is called in process through ASGI, with an API key, on rows in a SQLite file.
"""

import argparse
import asyncio
import contextlib
import gc
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import strawberry
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Scope

from resolvers.documents import document_type
from schema import documents as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, page_of, page_size
from schema.nodes import global_id
from server.asgi import create_app
from server.graphql import RESPONSE_JSON, GraphQLView
from server.graphql_schema import build_schema
from server.settings import Settings
from server.wiring import open_platform
from services import documents, keys, tenants
from services.documents import Document, DocumentState
from services.platform import Platform
from storage.tenants import Tenant, TenantState

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
LISTED = 100
FIELDS = "id name state createdAt completedAt"
Call = Callable[[], Awaitable[None]]


async def store(platform: Platform) -> tuple[Tenant, str]:
    """A tenant with a page of documents, and a key of its own."""
    tenant = await Tenant.create(
        public_id="01966b5e-0000-7000-8000-000000000000",
        external_reference="bench",
        name="Bench",
        email="bench@bench.test",
        currency="USD",
        state=TenantState.ACTIVE,
        created_at=NOW,
    )
    for number in range(LISTED):
        await Document.create(
            tenant_id=tenant.id,
            name=f"Contract {number}",
            state=DocumentState.COMPLETED,
            signnow_document_id=f"signnow-{number}",
            created_at=NOW + timedelta(minutes=number),
            sent_at=NOW + timedelta(minutes=number),
            completed_at=NOW + timedelta(hours=number),
        )
    return tenant, await keys.create_key(platform, keys.Role.TENANT, tenant.public_id)


def row_of(document: Document) -> dict[str, Any]:
    """A document as a REST endpoint would give it."""
    assert document.completed_at is not None
    return {
        "id": str(global_id("Document", document.id)),
        "name": document.name,
        "state": document.state.value,
        "createdAt": document.created_at.isoformat().replace("+00:00", "Z"),
        "completedAt": document.completed_at.isoformat().replace("+00:00", "Z"),
    }


def plain(rows: Sequence[Document]) -> Starlette:
    """The same answers by hand: a hello, the documents as they are stored, and the documents at hand."""

    async def hello(_: Request) -> Response:
        return JSONResponse({"data": {"viewer": {"role": "TENANT"}}})

    async def stored(request: Request) -> Response:
        viewer = await keys.find_viewer(request.headers["authorization"].removeprefix("Bearer "))
        assert viewer is not None
        assert viewer.tenant_id is not None
        tenant = await tenants.get_tenant(viewer.tenant_id)
        found = await documents.list_documents(tenant.id, None, LISTED + 1)
        return _json({"documents": [row_of(document) for document in found]})

    async def at_hand(_: Request) -> Response:
        return _json({"documents": [row_of(document) for document in rows]})

    return Starlette(routes=[Route("/hello", hello), Route("/stored", stored), Route("/at-hand", at_hand)])


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


def at_hand(rows: Sequence[Document], *, fast: bool) -> GraphQLView[None]:
    """GraphQL alone: the real type of a document, with rows that are not read from anywhere."""

    @strawberry.type
    class Query:
        @strawberry.field
        async def documents(self, first: First = DEFAULT_PAGE, after: After = None) -> Connection[types.Document]:
            size = page_size(first)
            return page_of(rows[: size + 1], size, key=lambda row: str(row.id), node=document_type, after=after)

    async def no_context(_: HTTPConnection) -> None:
        return None

    return GraphQLView(build_schema(Query, fast=fast), no_context)


def call(app: ASGIApp, path: str, key: str | None, query: str | None = None) -> Call:
    """A function that makes one request and checks that it is answered without an error."""
    body = orjson.dumps({"query": query}) if query else b""
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST" if query else "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [
            (b"host", b"bench"),
            *([(b"authorization", f"Bearer {key}".encode())] if key else []),
            (b"content-type", b"application/json"),
            (b"accept", RESPONSE_JSON.encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("bench", 80),
    }

    async def once() -> None:
        status, parts = 0, []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))

        await app(dict(scope), receive, send)
        assert status == 200
        assert b'"errors"' not in b"".join(parts)

    return once


async def cpu_seconds(calls: dict[str, tuple[Call, int]], rounds: int) -> dict[str, list[float]]:
    """CPU time per call in each round; a call is made as often in a round as stands beside it."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    gc.freeze()  # what the imports made is not collected again and again
    for number in range(-2, rounds):  # two to warm up
        for name, (once, times) in calls.items():
            start = time.process_time()
            for _ in range(times):
                await once()
            if number >= 0:
                spent[name].append((time.process_time() - start) / times)
    return spent


def ratio(spent: dict[str, list[float]], name: str, yardstick: str) -> str:
    """How much more one costs than the other."""
    values = [one / other for one, other in zip(spent[name], spent[yardstick], strict=True)]
    return f"{statistics.median(values):5.1f} x [{min(values):.1f}..{max(values):.1f}]"


COMPARED = [
    ("{ __typename }, without a key", "typename", "a JSON hello", "hello"),
    ("{ viewer { role } }, its key looked up", "viewer", "a JSON hello", "hello"),
    ("100 documents x 5 fields, read from SQLite", "stored", "REST that reads them, orjson", "REST stored"),
    ("100 documents x 5 fields, at hand", "at hand", "REST with them at hand, orjson", "REST at hand"),
    ("the same, Strawberry's own executor", "usual", "REST with them at hand, orjson", "REST at hand"),
]


async def main(rounds: int) -> None:
    page = f"{{ documents(first: {LISTED}) {{ edges {{ node {{ {FIELDS} }} }} pageInfo {{ endCursor }} }} }}"
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        settings = Settings.load(database_url=f"sqlite:///{Path(folder) / 'bench.sqlite3'}", is_worker=False)
        platform = await stack.enter_async_context(open_platform(settings))
        tenant, key = await store(platform)
        operator = await keys.create_key(platform, keys.Role.OPERATOR)
        rows = await documents.list_documents(tenant.id, None, LISTED + 1)
        app = create_app(settings, platform=lambda: contextlib.nullcontext(platform))
        await stack.enter_async_context(app.router.lifespan_context(app))
        rest = plain(rows)
        spent = await cpu_seconds(
            {
                "hello": (call(rest, "/hello", key), 40),
                "viewer": (call(app, "/graphql", operator, "{ viewer { role } }"), 10),
                "typename": (call(app, "/graphql", None, "{ __typename }"), 10),
                "REST stored": (call(rest, "/stored", key), 4),
                "stored": (call(app, "/graphql", key, page), 4),
                "REST at hand": (call(rest, "/at-hand", key), 10),
                "at hand": (call(at_hand(rows, fast=True), "/", key, page), 4),
                "usual": (call(at_hand(rows, fast=False), "/", key, page), 2),
            },
            rounds,
        )
    for title, name, beside, yardstick in COMPARED:
        print(f"{title:44} {ratio(spent, name, yardstick):22} {beside}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    asyncio.run(main(parser.parse_args().rounds))
