"""The close of many tenants, against a bare client: `python -m bench.close [postgresql://…] [--tenants 100 1000]`.

Every tenant has a period that is over, with usage. Inkmeter hears of Stripe's drafts, closes, puts the lines onto them,
compares, finalizes and hears that they are paid; Stripe is the sandbox, which answers at once, in the same process. The
requests that Inkmeter sends meanwhile are sent again by a bare httpx loop, with their keys, so that the sandbox
answers the same from its memory. Printed is the time for each invoice: ours, without the sandbox's, which scans its
lists and grows; the sandbox's, from each request to its answer; the bare loop's; and how ours grows, by the time of the
processor, which depends less on what else the machine does. How long a month end takes at Stripe's limits follows from
the calls of each endpoint and our token buckets; it is not waited for.
The tenants are copies of one. On PostgreSQL each run makes a database of its own.
"""

import argparse
import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

from bench.copies import copy_tenant
from integrations.stripe.rates import endpoint
from server.serving import tune_interpreter
from server.settings import Settings
from services import timetable
from services.intake import NewEvent
from services.plans import CreatePlan, NewPrice, create_plan
from services.subscriptions import SubscribeTenant, subscribe_tenant
from services.tenants import Tenant
from services.usage import record_usage
from storage.database import row
from storage.fields import to_micros
from storage.invoices import Invoice, InvoiceState
from tests.databases import own_database
from tests.world import World, open_world

END: Final = datetime(2026, 4, 10, tzinfo=UTC)
MOMENTS: Final = (END, END + timedelta(minutes=60), END + timedelta(minutes=61))
"""The drafts are there; the periods are closed and pushed; whatever waited comes last."""
PRICES: Final = (
    NewPrice("invites_sent", "tiered", {"fee": "49.00", "included": 5, "overage": {"unitPrice": "4.25"}}),
    NewPrice("documents_created", "per-document", {"unitPrice": "0.40"}),
)


async def settle(world: World, count: int) -> None:
    """So many tenants with a plan and usage of this month."""
    made = await create_plan(world.platform, CreatePlan("bench", "Bench", "USD", list(PRICES)))
    tenant: Tenant = await world.provision("bench")
    await subscribe_tenant(world.platform, SubscribeTenant(tenant, made.plan.id))
    events = [NewEvent("invites_sent", 8, "i"), NewEvent("documents_created", 3, "d")]
    await record_usage(world.platform, tenant, events)
    await world.work()
    await copy_tenant(world, tenant, count - 1)


async def close(url: str, count: int) -> float:
    """Close so many tenants; prints, and answers the processor's seconds for each invoice that are ours."""
    async with open_world(url) as world:
        await settle(world, count)
        await world.stripe.post("/_sandbox/webhooks", json={"at_once": 8})
        sent: list[httpx.Request] = []
        whole = theirs = since = cpu = 0.0

        async def begin(request: httpx.Request) -> None:
            nonlocal since
            if request.url.path.startswith("/v1/"):
                sent.append(request)
            since = time.perf_counter()

        async def end(response: httpx.Response) -> None:
            # Nothing in the sandbox waits, so that no other request comes between.
            nonlocal theirs
            if response.request.url.path.startswith("/v1/"):
                theirs += time.perf_counter() - since

        for moment in MOMENTS:
            await world.travel_to(moment)
            world.stripe.event_hooks = {"request": [begin], "response": [end]}
            began, cpu_began = time.perf_counter(), time.process_time()
            await _work(world)
            whole += time.perf_counter() - began
            cpu += time.process_time() - cpu_began
            world.stripe.event_hooks = {}
        paid = await Invoice.filter(state=InvoiceState.PAID).count()
        assert paid == count, f"{paid} of {count} invoices are paid"
        bare, bare_cpu = await _send_again(world.stripe, sent)
    ours, ours_cpu = whole - theirs, cpu - theirs
    calls = Counter(endpoint(request.method, request.url.path) for request in sent)
    each = {"ours": ours, "of the processor": ours_cpu, "the sandbox": theirs, "a bare loop": bare}
    shown = ", ".join(f"{name} {1000 * seconds / count:.1f} ms" for name, seconds in each.items())
    print(f"{count:6} tenants, each invoice: {shown}; {len(sent) / count:.1f} calls")
    print(f"        {ours / bare:.1f} bare loops, {ours_cpu / bare_cpu:.1f} on the processor")
    _print_month_end(calls)
    return ours_cpu / count


async def _work(world: World) -> None:
    """Run a worker, as a server has one, until nothing is left to do."""
    working = asyncio.create_task(timetable.work(world.platform))
    try:
        while True:
            await world.stripe.post("/_sandbox/flush")
            now = to_micros(world.clock.now())
            if await row("SELECT 1 AS ok FROM job WHERE state = 'WAITING' AND run_at <= ? LIMIT 1", now) is None:
                return
            await asyncio.sleep(0.2)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _send_again(stripe: httpx.AsyncClient, sent: list[httpx.Request]) -> tuple[float, float]:
    """The seconds of a bare loop, and of the processor in it."""
    again = [(r.method, r.url, r.content, {**r.headers}) for r in sent]
    began, cpu_began = time.perf_counter(), time.process_time()
    for method, url, content, headers in again:
        await stripe.request(method, url, content=content, headers=headers)
    return time.perf_counter() - began, time.process_time() - cpu_began


def _print_month_end(calls: Counter[str]) -> None:
    limits = Settings.load()
    at_endpoint, most = calls.most_common(1)[0]
    seconds = max(calls.total() / limits.stripe_rate, most / limits.stripe_endpoint_rate)
    print(
        f"        at {limits.stripe_rate:g} calls a second in all, {limits.stripe_endpoint_rate:g} for each endpoint:"
        f" {timedelta(seconds=round(seconds))}; most are {most} of {at_endpoint}",
        flush=True,
    )


async def main(url: str | None, counts: list[int]) -> None:
    """Measure and print."""
    times = []
    for count in counts:
        async with own_database(url) as own:
            times.append(await close(own, count))
    growth = times[-1] / times[0]
    print(f"each invoice of {counts[-1]} takes {growth:.2f} times as much of the processor as of {counts[0]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--tenants", type=int, nargs="+", default=[100, 1000, 10_000])
    chosen = parser.parse_args()
    tune_interpreter()
    asyncio.run(main(chosen.url, chosen.tenants))
