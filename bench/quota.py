"""Reserve and commit under load, against a conditional UPDATE per caller.

    python -m bench.quota [postgresql://…] [--flush-us 1000]

The yardstick is what a careful hand would write without group commit: one statement that takes a unit only while the
limit allows it, and one that turns it into usage with its event, each its own durable transaction. Both sides run in
one process, in turns, on the same kind of file or server, and count whole cycles.

What it comes to depends on how long the disk takes for a flush: from some 50 µs, if a cache answers for it, to 1 to 3
ms of the disks of a cloud. To measure as on a slower disk than is at hand, PostgreSQL is told to wait (`--flush-us`,
as a superuser); for SQLite see `bench/slow_disk.c`.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
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
from tests.databases import own_database

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


def run_on_database(
    bench: Callable[[str], Coroutine[Any, Any, None]], server: str | None = None, **settings: int
) -> None:
    """Run a bench on a database of its own, of that PostgreSQL server or a SQLite file; `settings` are the server's."""

    async def on_its_own() -> None:
        async with own_database(server, **settings) as url:
            await bench(url)

    asyncio.run(on_its_own())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", nargs="?")
    parser.add_argument("--flush-us", type=int, default=0, help="so long does PostgreSQL wait before each flush")
    chosen = parser.parse_args()
    slow = {"commit_delay": chosen.flush_us, "commit_siblings": 0} if chosen.flush_us else {}
    run_on_database(run, chosen.server, **slow)
