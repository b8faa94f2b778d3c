"""Usage in batches against the raw limit of the database: `python -m bench.ingest [postgresql://…]`.

The raw limit is the same rows and the same counter, deduplicated by the same unique key and equally durable, written by
the bare driver, one transaction per batch, with nothing around it: no HTTP, no JSON, no checks. Ours is `POST /usage`
and the mutation `recordUsage`, as ASGI calls in this process. All take turns; ratios are of events per second.
"""

import asyncio
import contextlib
import sqlite3
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
from starlette.types import ASGIApp, Message
from strawberry.relay import GlobalID

from bench.quota import NOW, no_stripe, run_on_database, tenant
from inkmeter.clock import FrozenClock
from plugins.manager import load_plugins
from server.asgi import create_app
from server.serving import tune_interpreter
from server.settings import Settings
from server.wiring import open_platform
from services import keys
from services.plans import CreatePlan, NewPrice, create_plan
from storage.database import sqlite_file
from storage.ids import new_id
from storage.ledger_columns import EVENT

KEY = "ink_op_bench"
BATCHES = 12
ROUNDS = 5
MUTATION = (
    "mutation ($input: RecordUsageInput!) { recordUsage(input: $input) { results { status } userErrors { code } } }"
)


async def post(app: ASGIApp, path: str, query: str, body: bytes, kind: str) -> bytes:
    """One POST, straight into the application."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query.encode(),
        "headers": [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", kind.encode()), (b"host", b"b")],
    }  # fmt: skip
    sent: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    await app(scope, receive, send)
    return b"".join(sent)


def events(size: int) -> list[dict[str, Any]]:
    return [
        {"meter": "api_calls", "quantity": 3, "idempotencyKey": uuid4().hex, "occurredAt": "2026-03-10T08:00:00Z"}
        for _ in range(size)
    ]


def raw_rows(size: int) -> list[tuple[Any, ...]]:
    """The same events as rows, in the order of the table's columns."""
    same = {
        "tenant_id": 0, "meter": "api_calls", "quantity": 3, "occurred_at": 1, "recorded_at": 1, "is_late": False,
        "source": "raw", "upstream_units": 0,
    }  # fmt: skip
    made = [{**same, "id": str(new_id()), "idempotency_key": uuid4().hex} for _ in range(size)]
    return [tuple(row.get(name) for name in EVENT) for row in made]


class RawSqlite:
    """The standard library's driver: rows one by one, since only that tells which were new."""

    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            self.connection.execute(f"PRAGMA {pragma}")
        columns, marks = ", ".join(EVENT), ", ".join("?" * len(EVENT))
        self.sql = f"INSERT INTO raw_event ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        self.connection.execute(
            f"CREATE TABLE raw_event ({columns}, PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, idempotency_key))"
        )
        self.connection.execute(
            "CREATE INDEX raw_sum ON raw_event (tenant_id, meter, occurred_at, quantity, upstream_units)"
        )
        self.connection.execute("CREATE TABLE raw_counter (meter TEXT PRIMARY KEY, used INTEGER)")

    async def write(self, rows: list[tuple[Any, ...]]) -> None:
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        new = sum(row[4] for row in rows if connection.execute(self.sql, row).rowcount)
        connection.execute(
            "INSERT INTO raw_counter VALUES ('api_calls', ?) "
            "ON CONFLICT (meter) DO UPDATE SET used = used + excluded.used",
            (new,),
        )
        connection.execute("COMMIT")


class RawPostgres:
    """asyncpg: arrays in, events and counter in one statement."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        columns = ", ".join(EVENT)
        arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(EVENT.values(), start=1))
        self.sql = (
            f"WITH new AS (INSERT INTO raw_event ({columns}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING "
            "RETURNING meter, quantity) INSERT INTO raw_counter SELECT meter, sum(quantity) FROM new GROUP BY meter "
            "ON CONFLICT (meter) DO UPDATE SET used = raw_counter.used + excluded.used"
        )

    async def prepare(self) -> None:
        await self.connection.execute("DROP TABLE IF EXISTS raw_event; DROP TABLE IF EXISTS raw_counter")
        await self.connection.execute("CREATE TABLE raw_event (LIKE usage_event INCLUDING INDEXES)")
        await self.connection.execute("CREATE TABLE raw_counter (meter text PRIMARY KEY, used bigint)")

    async def write(self, rows: list[tuple[Any, ...]]) -> None:
        await self.connection.execute(self.sql, *map(list, zip(*rows, strict=True)))


async def seconds(work: Callable[[Any], Awaitable[Any]], batches: list[Any]) -> float:
    """How long the batches take, two at a time, as two busy producers would send them."""
    waiting = list(batches)

    async def producer() -> None:
        while waiting:
            await work(waiting.pop())

    begun = time.perf_counter()
    await asyncio.gather(producer(), producer())
    return time.perf_counter() - begun


async def run(url: str) -> None:
    settings = Settings(database_url=url, is_worker=False)
    plugins = load_plugins(blocked=("event-log",))
    async with open_platform(settings, clock=FrozenClock(NOW), plugins=plugins, stripe_http=no_stripe()) as platform:
        prices = [NewPrice("api_calls", "metered", {"unitPrice": "0.01"})]
        terms = await create_plan(platform, CreatePlan(f"bench-{uuid4()}", "Bench", "USD", prices))
        who = await tenant(platform, 0, terms.plan.id)
        await keys.ensure_key(platform, KEY)
        app = create_app(settings, platform=lambda: _given(platform))
        name = str(GlobalID("Tenant", str(who.public_id)))
        file = sqlite_file(url)
        raw: RawSqlite | RawPostgres
        if file is not None:
            raw = RawSqlite(str(file.with_name("raw.sqlite3")))
        else:
            raw = RawPostgres(await asyncpg.connect(url))
            await raw.prepare()
        tune_interpreter()
        async with app.router.lifespan_context(app):

            async def bulk(body: bytes) -> None:
                answer = orjson.loads(await post(app, "/usage", f"tenantId={name}", body, "application/x-ndjson"))
                assert answer["recorded"] and not answer["refused"], answer

            async def graphql(body: bytes) -> None:
                answer = await post(app, "/graphql", "", body, "application/json")
                assert b"REFUSED" not in answer and b"errors" not in answer.replace(b"userErrors", b""), answer[:300]

            turn = asyncio.Lock()

            async def one_at_a_time(rows: list[tuple[Any, ...]]) -> None:
                async with turn:
                    await raw.write(rows)

            print(
                f"{'batch':>6}{'POST /usage':>14}{'recordUsage':>14}   (events/s, of the raw limit; median of {ROUNDS})"
            )
            for size in (500, 1000):
                ratios = []
                for _ in range(ROUNDS):
                    lines = [b"\n".join(map(orjson.dumps, events(size))) for _ in range(BATCHES)]
                    typed = [
                        orjson.dumps(
                            {"query": MUTATION, "variables": {"input": {"tenantId": name, "events": events(size)}}}
                        )
                        for _ in range(BATCHES // 3)
                    ]
                    limit = await seconds(one_at_a_time, [raw_rows(size) for _ in range(BATCHES)])
                    ours = await seconds(bulk, lines)
                    slow = await seconds(graphql, typed) * 3
                    ratios.append((limit / ours, limit / slow))
                middle = [statistics.median(column) for column in zip(*ratios, strict=True)]
                spread = [f"[{min(c):.2f}..{max(c):.2f}]" for c in zip(*ratios, strict=True)]
                print(f"{size:>6}{middle[0]:13.2f}x{middle[1]:13.2f}x   {' '.join(spread)}")


def _given(platform: Any) -> contextlib.AbstractAsyncContextManager[Any]:

    return contextlib.nullcontext(platform)


if __name__ == "__main__":
    run_on_database(run, *sys.argv[1:2])
