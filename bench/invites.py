"""What `sendInvite` costs over its bare calls to SignNow: `python -m bench.invites [postgresql://…]`.

Both sides make the same four calls through the same client to SignNow's sandbox, a process of its own: look, place
fields, look, send. Ours reserves under a hard quota before, and commits events and counters afterwards. They take
turns; each figure is the median of the ratios of the rounds.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

import httpx
from pydantic import SecretStr

from bench.quota import NOW, no_stripe, run_on_database, tenant
from bench.signnow import KEY, sandbox
from inkmeter.clock import FrozenClock
from integrations.protocols import Signer
from plugins.manager import load_plugins
from server.serving import tune_interpreter
from server.settings import Settings
from server.wiring import open_platform
from services import documents, invites
from services.documents import Document, UploadDocument
from services.invites import SendInvite
from services.plans import CreatePlan, NewPrice, NewQuota, create_plan
from services.platform import Platform
from storage.plans import LimitPolicy
from storage.tenants import Tenant

ROUNDS = 5
CALLERS = {1: 100, 64: 256}
"""How many invites a round sends, by how many callers at once."""
SIGNERS = [Signer("ann@bench.test", "Signer 1")]
PDF = b"%PDF-1.7\n" + b"x" * 1000

Send = Callable[[Platform, Tenant, Document], Awaitable[object]]


async def ours(platform: Platform, who: Tenant, document: Document) -> None:
    await invites.send_invite(platform, SendInvite(who, document.id, SIGNERS, idempotency_key=uuid4().hex))


async def bare(platform: Platform, who: Tenant, document: Document) -> None:
    signnow, theirs = platform.signnow, document.signnow_document_id
    await signnow.document(theirs)
    await signnow.place_fields(theirs, invites.default_fields(SIGNERS))
    roles = (await signnow.document(theirs)).roles
    await signnow.send_field_invite(theirs, signers=SIGNERS, roles=roles, subject=None, message=None)


async def upload(platform: Platform, who: Tenant, count: int) -> list[Document]:
    async def one() -> Document:
        command = UploadDocument(who, "Lease", PDF, uuid4().hex)
        return (await documents.upload_document(platform, command))[0]

    return await asyncio.gather(*(one() for _ in range(count)))


async def measure(send: Send, platform: Platform, who: Tenant, callers: int, count: int) -> tuple[float, float]:
    """The median and the 99th percentile of one invite, in seconds."""
    waiting = await upload(platform, who, count)
    times: list[float] = []

    async def caller() -> None:
        while waiting:
            document, begun = waiting.pop(), time.perf_counter()
            await send(platform, who, document)
            times.append(time.perf_counter() - begun)

    await asyncio.gather(*(caller() for _ in range(callers)))
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.99)]


async def run(url: str) -> None:
    plugins = load_plugins(blocked=("event-log",))
    with sandbox() as signnow:
        settings = Settings(database_url=url, is_worker=False, signnow_api_base=signnow, signnow_api_key=SecretStr(KEY))
        http = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=64))
        async with (
            http,
            open_platform(
                settings, clock=FrozenClock(NOW), plugins=plugins, stripe_http=no_stripe(), signnow_http=http
            ) as platform,
        ):
            prices = [NewPrice("invites_sent", "flat", {"fee": "1.00"})]
            quotas = [NewQuota("invites_sent", LimitPolicy.HARD, 10**9)]
            terms = await create_plan(platform, CreatePlan(f"bench-{uuid4()}", "Bench", "USD", prices, quotas))
            who = await tenant(platform, 0, terms.plan.id)
            who.signnow_folder_id = await platform.signnow.ensure_folder("bench")
            tune_interpreter()
            print(f"{'':14}{'p50':>8}{'p99':>8}   (sendInvite / its bare calls, median of {ROUNDS})")
            for callers, count in CALLERS.items():
                ratios = []
                for number in range(ROUNDS + 1):
                    sides = (ours, bare) if number % 2 else (bare, ours)
                    took = {side: await measure(side, platform, who, callers, count) for side in sides}
                    if number:  # the first round warms up
                        ratios.append([a / b for a, b in zip(took[ours], took[bare], strict=True)])
                p50, p99 = (statistics.median(column) for column in zip(*ratios, strict=True))
                print(f"{callers:>2} at once".ljust(14) + f"{p50:7.2f}x{p99:7.2f}x")


if __name__ == "__main__":
    run_on_database(run, *sys.argv[1:2])
