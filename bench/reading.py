"""Usage of the running period with few and with many events: `python -m bench.reading [postgresql://…] [--events N]`.

Two tenants, one with 10,000 events in the period and one with N (10 million unless given), in one database. The answer
comes from counters, so it must take the same time. Both are asked in turns, through the API in this process; the ratio
is of the medians.
"""

import argparse
import contextlib
import statistics
import time
from uuid import uuid4

import orjson
from strawberry.relay import GlobalID

from bench.ingest import KEY, post
from bench.quota import NOW, no_stripe, run_on_database, tenant
from inkmeter.clock import FrozenClock
from plugins.manager import load_plugins
from server.asgi import create_app
from server.serving import tune_interpreter
from server.settings import Settings
from server.wiring import open_platform
from services import keys
from services.plans import CreatePlan, NewPrice, create_plan
from services.tenants import Tenant
from storage.database import row, rows, sqlite_file
from storage.fields import to_micros

FEW = 10_000
ASKED = 300
QUERY = "query ($id: ID!) { usage(tenantId: $id) { period { start end } meters { meter used reserved } } }"


async def fill(who: Tenant, events: int, *, is_sqlite: bool) -> None:
    """So many events of one API call each, with the counter that they make."""
    series = (
        "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ?) SELECT n FROM s)"
        if is_sqlite
        else "generate_series(1, ?) AS s(n)"
    )
    number = f"n + {who.id * 10**8 % 10**11}"
    last = f"printf('%012d', {number})" if is_sqlite else f"lpad(({number})::text, 12, '0')"
    key = f"'00000000-0000-7000-8000-' || {last}"
    if not is_sqlite:
        key = f"({key})::uuid"
    first = to_micros(NOW) - 3_600_000_000
    await rows(
        "INSERT INTO usage_event (tenant_id, id, idempotency_key, meter, quantity, occurred_at, recorded_at, is_late, "
        f"source, upstream_units) SELECT {who.id}, {key}, 'bench-' || n, 'api_calls', 1, {first} + n % 3600000000, "
        f"{first}, {0 if is_sqlite else 'FALSE'}, 'bench', 0 FROM {series}",
        events,
    )
    period = await row("SELECT starts_at FROM billing_period WHERE tenant_id = ?", who.id)
    assert period is not None
    await rows(
        "INSERT INTO usage_counter (tenant_id, period_starts_at, meter, used) VALUES (?, ?, 'api_calls', ?)",
        who.id,
        period["starts_at"],
        events,
    )


async def run(url: str, many: int) -> None:
    settings = Settings(database_url=url, is_worker=False)
    plugins = load_plugins(blocked=("event-log",))
    async with open_platform(settings, clock=FrozenClock(NOW), plugins=plugins, stripe_http=no_stripe()) as platform:
        price = NewPrice("api_calls", "metered", {"unitPrice": "0.01"})
        plan = (await create_plan(platform, CreatePlan(f"bench-{uuid4()}", "Bench", "USD", [price]))).plan
        sizes = (FEW, many)
        tenants = [await tenant(platform, number, plan.id) for number in range(2)]
        for who, size in zip(tenants, sizes, strict=True):
            await fill(who, size, is_sqlite=sqlite_file(url) is not None)
        await rows("ANALYZE")
        await keys.ensure_key(platform, KEY)
        app = create_app(settings, platform=lambda: contextlib.nullcontext(platform))
        tune_interpreter()
        async with app.router.lifespan_context(app):
            took: tuple[list[float], list[float]] = ([], [])
            for _ in range(ASKED):
                for who, size, times in zip(tenants, sizes, took, strict=True):
                    variables = {"id": str(GlobalID("Tenant", str(who.public_id)))}
                    body = orjson.dumps({"query": QUERY, "variables": variables})
                    begun = time.perf_counter()
                    answer = orjson.loads(await post(app, "/graphql", "", body, "application/json"))
                    times.append(time.perf_counter() - begun)
                    used = {m["meter"]: m["used"] for m in answer["data"]["usage"]["meters"]}
                    assert used["api_calls"] == str(size), used
        few, large = map(statistics.median, took)
        print(f"usage of the running period, {many:,} events against {FEW:,}: {large / few:.2f}x the time")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("database", nargs="?")
    parser.add_argument("--events", type=int, default=10_000_000)
    given = parser.parse_args()
    run_on_database(lambda url: run(url, given.events), given.database)
