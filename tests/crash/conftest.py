"""Sandboxes that other processes reach over HTTP, and a database that they share."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from inkmeter.clock import FrozenClock
from integrations.signnow.sandbox.app import create_app as create_signnow
from integrations.stripe.sandbox.app import create_app as create_stripe
from server.serving import listen, running
from services.platform import Platform
from services.tenants import Tenant
from tests.bookkeeping import sign_up
from tests.crash.places import Place
from tests.crash.stories import Story, go_on, interfere, tell
from tests.processes import run_and_die, run_at_once
from tests.world import START

KILLED: Final = -9
AT_ONCE: Final = 4


@dataclass(slots=True)
class City:
    """Where the victims live. `platform` is this process's own Inkmeter, at the moment at which the city was made."""

    place: Place
    clock: FrozenClock
    platform: Platform
    signnow: httpx.AsyncClient
    stripe: httpx.AsyncClient
    notes: Path

    async def travel_to(self, moment: datetime) -> None:
        """Let time pass for the sandboxes, and for the processes that start from now on."""
        self.clock.travel_to(moment)
        (await self.stripe.post("/_sandbox/tick")).raise_for_status()
        self.place = replace(self.place, now=moment)

    async def kill_everywhere(self, story: Story, *, prepared: bool) -> dict[str, str]:
        """Tell a story to one tenant after the other, killing the first before its first step, the second before its
        second, until one tenant hears the end. Answers where each was killed; "nowhere" for those who survived.
        """
        fates: dict[str, str] = {}
        while "nowhere" not in fates.values():
            steps = {f"{story.__name__}-{step}": step for step in range(len(fates) + 1, len(fates) + 1 + AT_ONCE)}
            if not prepared:
                for reference in steps:
                    await sign_up(self.platform, reference)
            notes = {reference: self.notes / reference for reference in steps}
            codes = await asyncio.gather(
                *(run_and_die(tell, self.place, story, name, step, notes[name]) for name, step in steps.items())
            )
            assert set(codes) <= {0, KILLED}, "a story went wrong by itself"
            fates |= {
                reference: notes[reference].read_text() if code == KILLED else "nowhere"
                for reference, code in zip(steps, codes, strict=True)
            }
        return fates

    async def go_on(self, story: Story, references: list[str], later: timedelta) -> None:
        """Other processes take over, some time after the murders: two that get into each other's way, then one."""
        await self.travel_to(self.clock.now() + later)
        await run_at_once(interfere, [(self.place, story, half) for half in (references[::2], references[1::2])])
        await run_at_once(go_on, [(self.place, story, references)])

    async def signnow_books(self, tenant: Tenant) -> dict[str, int]:
        """What SignNow has seen in the tenant's folder."""
        folders = (await self.signnow.get("/_sandbox/books")).json()["folders"]
        counts: dict[str, int] = folders.get(tenant.signnow_folder_id, {})
        return counts

    async def metered_units(self, tenant: Tenant) -> float:
        """What Stripe's one meter has counted for the tenant, some minutes from now."""
        await self.travel_to(self.clock.now() + timedelta(minutes=5))
        [meter] = (await self.stripe.get("/_sandbox/books")).json()["billing.meter"]
        now = int(self.clock.now().timestamp()) // 60 * 60
        span: dict[str, Any] = {"customer": tenant.stripe_customer_id, "start_time": now - 86_400, "end_time": now + 60}
        headers = {"authorization": "Bearer sk_test_inkmeter"}
        path = f"/v1/billing/meters/{meter['id']}/event_summaries"
        found = (await self.stripe.get(path, params=span, headers=headers)).json()["data"]
        return float(sum(summary["aggregated_value"] for summary in found))

    async def stripe_books(self, tenant: Tenant) -> dict[str, list[dict[str, Any]]]:
        """Everything of the tenant's that Stripe has, by kind: its customers by our reference, the rest by theirs."""
        books = (await self.stripe.get("/_sandbox/books")).json()
        customers = [
            c for c in books["customer"] if c["metadata"].get("external_reference") == tenant.external_reference
        ]
        ids = {customer["id"] for customer in customers}
        kinds = ("subscription", "invoice", "invoiceitem")
        owned = {kind: [o for o in books.get(kind, []) if o["customer"] in ids] for kind in kinds}
        return {"customer": customers, **owned, "product": books.get("product", []), "price": books.get("price", [])}


@pytest.fixture
async def city(database_url: str, tmp_path: Path) -> AsyncIterator[City]:
    clock = FrozenClock(START)
    notes = tmp_path / "notes"
    notes.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        signnow_url = await stack.enter_async_context(running(create_signnow(clock=clock), listen("127.0.0.1", 0)))
        stripe_url = await stack.enter_async_context(running(create_stripe(clock=clock), listen("127.0.0.1", 0)))
        place = Place(database_url, START, signnow_url, stripe_url)
        yield City(
            place,
            clock,
            await stack.enter_async_context(place.platform()),
            await stack.enter_async_context(httpx.AsyncClient(base_url=signnow_url)),
            await stack.enter_async_context(httpx.AsyncClient(base_url=stripe_url)),
            notes,
        )
