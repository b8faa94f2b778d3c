"""The webhook door under load, against a bare insert route: `python -m bench.webhooks [postgresql://…]`.

Deliveries accepted and stored per second, as a share of what a route does that only inserts the same two rows (the
delivery and its job) in one transaction with the bare driver: as durably, on the same server stack, without signature,
reading or checks. Both are called in process through ASGI, in turns, on the same database, by an interpreter that is
tuned as the server tunes it.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.asgi import create_app
from server.serving import tune_interpreter
from server.settings import Settings
from server.wiring import open_platform
from storage.database import sqlite_file
from storage.ids import new_id

DELIVERIES = 400
ROUNDS = 7
SECRET = "whsec_bench"  # noqa: S105
PADDING = "x" * 3000
EVENT = (
    "INSERT INTO webhook_event (source, key, id, type, payload, state, received_at) VALUES "
    "('STRIPE', {}, {}, 'invoice.paid', {}, 'RECEIVED', {}) ON CONFLICT (source, key) DO NOTHING"
)
JOB = (
    "INSERT INTO job (tenant_id, id, topic, dedup, payload, state, run_at, created_at) VALUES "
    "(0, {}, 'webhook.apply', {}, {}, 'WAITING', {}, {}) ON CONFLICT (tenant_id, topic, dedup) DO NOTHING"
)


def delivery() -> bytes:
    """A new event, as large as an invoice is."""
    about = {"id": f"in_{uuid4().hex}", "object": "invoice", "description": PADDING}
    event = {"id": f"evt_{uuid4().hex}", "type": "invoice.paid", "created": int(time.time()), "data": {"object": about}}
    return json.dumps(event).encode()


def rows_of(body: bytes) -> tuple[list[Any], list[Any]]:
    """The two rows, as they are stored."""
    event_id, now = new_id(), time.time_ns() // 1000
    facts = json.dumps({"object_id": f"in_{uuid4().hex}"})
    return [f"evt_{uuid4().hex}", str(event_id), body.decode(), now], [str(new_id()), str(event_id), facts, now, now]


def bare_sqlite(file: Path) -> Callable[[bytes], Awaitable[None]]:
    """Inserts on a connection of its own, in a thread, as an ORM on SQLite does."""
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA synchronous = FULL")
    turn = asyncio.Lock()

    def store(body: bytes) -> None:
        event, job = rows_of(body)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(EVENT.format(*"????"), event)
        connection.execute(JOB.format(*"?????"), job)
        connection.execute("COMMIT")

    async def insert(body: bytes) -> None:
        async with turn:
            await asyncio.to_thread(store, body)

    return insert


def bare_postgres(pool: asyncpg.Pool) -> Callable[[bytes], Awaitable[None]]:
    """Inserts on a connection of a pool."""

    async def insert(body: bytes) -> None:
        event, job = rows_of(body)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(EVENT.format("$1", "$2", "$3", "$4"), *event)
            await connection.execute(JOB.format("$1", "$2", "$3", "$4", "$5"), *job)

    return insert


async def per_second(http: httpx.AsyncClient, path: str, callers: int) -> float:
    """Deliveries per second with so many callers at once."""
    waiting = [delivery() for _ in range(DELIVERIES)]
    at = int(time.time())
    signed = [
        f"t={at},v1={hmac.new(SECRET.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"
        for body in waiting
    ]

    async def call() -> None:
        while waiting:
            answer = await http.post(path, content=waiting.pop(), headers={"stripe-signature": signed.pop()})
            assert answer.status_code == 200

    start = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    return DELIVERIES / (time.perf_counter() - start)


async def main(url: str) -> None:
    """Measure and print."""
    async with contextlib.AsyncExitStack() as stack:
        settings = Settings.load(database_url=url, is_worker=False, stripe_webhook_secret=SecretStr(SECRET))
        platform = await stack.enter_async_context(open_platform(settings))
        if file := sqlite_file(url):
            insert = bare_sqlite(file)
        else:
            insert = bare_postgres(await stack.enter_async_context(asyncpg.create_pool(url, min_size=10, max_size=10)))

        async def bare(request: Request) -> Response:
            await insert(await request.body())
            return JSONResponse({"ok": True})

        ours = create_app(settings, platform=lambda: contextlib.nullcontext(platform))
        await stack.enter_async_context(ours.router.lifespan_context(ours))
        theirs = Starlette(routes=[Route("/bare", bare, methods=["POST"])])

        async def client(app: Starlette) -> httpx.AsyncClient:
            return await stack.enter_async_context(
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://b")
            )

        door, route = await client(ours), await client(theirs)
        for callers in (1, 8, 32):
            shares = []
            for number in range(ROUNDS + 1):  # the first warms up
                share = await per_second(door, "/webhooks/stripe", callers) / await per_second(route, "/bare", callers)
                shares += [share] if number else []
            print(f"{callers:3} callers {statistics.median(shares):5.2f} [{min(shares):.2f}..{max(shares):.2f}]")


if __name__ == "__main__":
    tune_interpreter()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'bench.sqlite3'}"))
