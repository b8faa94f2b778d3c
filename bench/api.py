"""What GraphQL costs: CPU per request through the whole view, against plain JSON endpoints in the same process.

    python -m bench.api [--rounds 60]

Prints ratios only; they hardly depend on the machine. Each pair of endpoints is called in process, through ASGI, in
turns and in many short rounds; the figure is the least CPU time per request over all of them.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import orjson
import strawberry
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Scope
from strawberry import relay

from schema.connections import DEFAULT_PAGE, After, Connection, First, page_of, page_size
from server.graphql import RESPONSE_JSON, GraphQLView
from server.graphql_schema import build_schema


@dataclass(frozen=True, slots=True)
class Row:
    """A document as storage gives it."""

    id: UUID
    name: str
    state: str
    signers: int
    created_at: datetime


ROWS = [
    Row(UUID(int=number), f"Contract {number}", "COMPLETED", number % 4, datetime(2026, 1, 1 + number % 28, tzinfo=UTC))
    for number in range(101)
]


@strawberry.type
class Document:
    id: relay.GlobalID
    name: str
    state: str
    signers: int
    created_at: datetime

    @classmethod
    def of(cls, row: Row) -> "Document":
        return cls(
            id=relay.GlobalID("Document", str(row.id)),
            name=row.name,
            state=row.state,
            signers=row.signers,
            created_at=row.created_at,
        )


@strawberry.type
class Query:
    @strawberry.field
    async def documents(self, first: First = DEFAULT_PAGE, after: After = None) -> Connection[Document]:
        size = page_size(first)
        return page_of(ROWS[: size + 1], size, key=lambda row: str(row.id), node=Document.of, after=after)


async def hello(_: Request) -> Response:
    return JSONResponse({"data": {"__typename": "Query"}})


async def documents(_: Request) -> Response:
    rows = [
        {
            "id": str(relay.GlobalID("Document", str(row.id))),
            "name": row.name,
            "state": row.state,
            "signers": row.signers,
            "createdAt": row.created_at.isoformat().replace("+00:00", "Z"),
        }
        for row in ROWS[:100]
    ]
    return Response(orjson.dumps({"documents": rows}), media_type="application/json")


async def no_context(_: HTTPConnection) -> None:
    return None


def application(*, fast: bool) -> Starlette:
    """The REST endpoints and GraphQL side by side."""
    view = GraphQLView(build_schema(Query, fast=fast), no_context)
    return Starlette(routes=[Route("/hello", hello), Route("/documents", documents), Route("/graphql", view)])


def call(app: ASGIApp, path: str, query: str | None = None) -> Callable[[], Awaitable[None]]:
    """A function that makes one request and checks that it is answered with 200."""
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
        "headers": [(b"host", b"bench"), (b"content-type", b"application/json"), (b"accept", RESPONSE_JSON.encode())],
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


async def cpu_seconds(calls: dict[str, Callable[[], Awaitable[None]]], *, rounds: int, times: int) -> dict[str, float]:
    """The least CPU time per call over all rounds, the calls in turns."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, once in calls.items():
            start = time.process_time()
            for _ in range(times):
                await once()
            least[name] = min(least[name], (time.process_time() - start) / times)
    return least


SMALL = "{ __typename }"
LIST = """{ documents(first: 100) { edges { node { id name state signers createdAt } }
    pageInfo { hasNextPage endCursor } } }"""


async def main(rounds: int) -> None:
    app, usual = application(fast=True), application(fast=False)
    small = await cpu_seconds(
        {"hello": call(app, "/hello"), "GraphQL": call(app, "/graphql", SMALL)}, rounds=rounds, times=30
    )
    lists = await cpu_seconds(
        {
            "REST": call(app, "/documents"),
            "GraphQL": call(app, "/graphql", LIST),
            "usual executor": call(usual, "/graphql", LIST),
        },
        rounds=rounds,
        times=3,
    )
    print(f"{{ __typename }}                 {small['GraphQL'] / small['hello']:5.1f} x a JSON hello")
    for name in ("GraphQL", "usual executor"):
        print(f"100 documents, {name:16}{lists[name] / lists['REST']:7.1f} x REST with orjson")
    print(f"                               {lists['GraphQL'] / small['hello']:5.1f} x a JSON hello")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    asyncio.run(main(parser.parse_args().rounds))
