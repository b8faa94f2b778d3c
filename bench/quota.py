"""Reserve and commit under load, against a conditional UPDATE per caller: `python -m bench.quota [postgresql://…]`.

The yardstick is what a careful hand would write without group commit: one statement that takes a unit only while the
limit allows it, and one that turns it into usage with its event, each its own durable transaction. Both sides run in
one process, in turns, on the same kind of file or server, and count whole cycles.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from inkmeter.clock import FrozenClock
from plugins.manager import load_plugins
from server.serving import tune_interpreter
from server.settings import Settings
from server.wiring import open_platform
from services import operations
from services.commands import Intent
from services.plans import CreatePlan, NewPrice, NewQuota, create_plan
from services.platform import Platform
from services.subscriptions import SubscribeTenant, subscribe_tenant
from storage.database import insert_new, rows, transaction
from storage.ids import new_id
from storage.operations import OperationKind
from storage.plans import LimitPolicy
from storage.tenants import Tenant, TenantState

CYCLES = 1200
ROUNDS = 3
NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)


def no_stripe() -> httpx.AsyncClient:
    """A Stripe that refuses at once: what is measured here never needs it."""
    return httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(400, json={"error": {}})))


async def tenant(platform: Platform, number: int, plan_id: object) -> Tenant:
    """A tenant with a running subscription, as far as metering is concerned."""
    made = Tenant(
        public_id=new_id(), external_reference=f"bench-{uuid4()}", name="Bench", email="b@b.test", currency="USD",
        state=TenantState.ACTIVE, created_at=NOW,
    )  # fmt: skip
    await insert_new(made, ["external_reference"])
    made = await Tenant.get(external_reference=made.external_reference)
    await subscribe_tenant(platform, SubscribeTenant(made, plan_id))  # type: ignore[arg-type]
    return made


async def ours(platform: Platform, tenants: list[Tenant], number: int) -> None:
    who, key = tenants[number % len(tenants)], uuid4().hex
    intent = Intent(OperationKind.UPLOAD, key, {"n": key}, {"documents_created": 1}, new_id())
    operation, _ = await operations.reserve(platform, who, intent)
    await operations.succeed(platform, operation, {"documents_created": 1})


async def theirs(_: Platform, tenants: list[Tenant], number: int) -> None:
    who, key = tenants[number % len(tenants)], uuid4().hex
    async with transaction():
        taken = await rows(
            "UPDATE usage_counter SET reserved = reserved + 1 WHERE tenant_id = ? AND period_starts_at = 0 "
            "AND meter = 'bench' AND used + reserved + 1 <= 1000000000 RETURNING 1 AS ok",
            who.id,
        )
        assert taken
    async with transaction():
        await rows(
            "INSERT INTO usage_event (tenant_id, id, idempotency_key, meter, quantity, occurred_at, recorded_at, "
            "is_late, source, upstream_units) VALUES (?, ?, ?, 'bench', 1, 0, 0, ?, 'bench', 0)",
            who.id, str(new_id()), key, False,
        )  # fmt: skip
        await rows(
            "UPDATE usage_counter SET reserved = reserved - 1, used = used + 1 "
            "WHERE tenant_id = ? AND period_starts_at = 0 AND meter = 'bench'",
            who.id,
        )


async def measure(
    cycle: Callable[[Platform, list[Tenant], int], Awaitable[None]],
    platform: Platform,
    tenants: list[Tenant],
    callers: int,
    cycles: int,
) -> tuple[float, float, float]:
    """Cycles per second, and the median and 99th percentile of one in milliseconds."""
    times: list[float] = []

    async def caller(first: int) -> None:
        for number in range(first, cycles, callers):
            begun = time.perf_counter()
            await cycle(platform, tenants, number)
            times.append((time.perf_counter() - begun) * 1000)

    begun = time.perf_counter()
    await asyncio.gather(*(caller(first) for first in range(callers)))
    took = time.perf_counter() - begun
    times.sort()
    return cycles / took, statistics.median(times), times[int(len(times) * 0.99)]


async def run(url: str) -> None:
    settings = Settings(database_url=url, is_worker=False)
    plugins = load_plugins(blocked=("event-log",))
    async with open_platform(settings, clock=FrozenClock(NOW), plugins=plugins, stripe_http=no_stripe()) as platform:
        command = CreatePlan(
            f"bench-{uuid4()}", "Bench", "USD",
            [NewPrice("documents_created", "flat", {"fee": "1.00"})],
            [NewQuota("documents_created", LimitPolicy.HARD, 10**9)],
        )  # fmt: skip
        plan_id = (await create_plan(platform, command)).plan.id
        everyone = [await tenant(platform, number, plan_id) for number in range(1000)]
        for who in everyone:
            await rows("INSERT INTO usage_counter (tenant_id, period_starts_at, meter) VALUES (?, 0, 'bench')", who.id)
        tune_interpreter()
        print(f"{'':26}{'throughput':>14}{'p50':>10}{'p99':>10}   (ours / conditional UPDATE, median of {ROUNDS})")
        for title, tenants in (("one hot tenant", everyone[:1]), ("1,000 tenants", everyone)):
            for callers in (1, 8, 64):
                cycles = CYCLES if callers > 1 else CYCLES // 5
                ratios = []
                for _ in range(ROUNDS):
                    a = await measure(ours, platform, tenants, callers, cycles)
                    b = await measure(theirs, platform, tenants, callers, cycles)
                    ratios.append([x / y for x, y in zip(a, b, strict=True)])
                middle = [statistics.median(column) for column in zip(*ratios, strict=True)]
                print(
                    f"{title}, {callers:>2} callers".ljust(26) + f"{middle[0]:13.1f}x{middle[1]:9.2f}x{middle[2]:9.2f}x"
                )


def run_on_database(bench: Callable[[str], Coroutine[Any, Any, None]], url: str | None = None) -> None:
    """Run a bench on that database, or on a SQLite file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(bench(url or f"sqlite:///{Path(folder) / 'bench.sqlite3'}"))


if __name__ == "__main__":
    run_on_database(run, *sys.argv[1:2])
