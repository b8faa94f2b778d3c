"""The random month: a parent with both sandboxes and the clock, and processes that are killed amid their deeds."""

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from inkmeter.clock import FrozenClock
from integrations.signnow.sandbox.app import create_app as create_signnow
from integrations.stripe.sandbox.app import create_app as create_stripe
from server.serving import listen, running
from services import closing, endings, timetable
from services.changes import ChangeAt
from services.platform import Platform
from services.subscriptions import SubscribeTenant, running_subscription, subscribe_tenant
from services.tenants import Tenant
from storage.database import rows
from storage.subscriptions import Period, PeriodState
from tests.crash.places import STRIPE_SECRET, Place
from tests.month.agenda import Agenda
from tests.month.cast import ROLES, START, Role, assemble
from tests.month.deeds import Deed, deliver, do_all
from tests.month.office import Office
from tests.processes import run_and_die

KILLED: Final = -9
PAUSES_S: Final = (0, 20, 70, 150, 400, 3_600, 5 * 3_600)
"""Between two rounds: within leases and beyond them, before and after a sweep."""


@dataclass(slots=True)
class Month:
    """`lanes` processes run at once. `platform` is this process's own Inkmeter, which shares the sandboxes' clock."""

    place: Place
    clock: FrozenClock
    platform: Platform
    signnow: httpx.AsyncClient
    stripe: httpx.AsyncClient
    office: Office
    agenda: Agenda
    notes: Path
    lanes: int
    deaths: Counter[str] = field(default_factory=Counter)
    rounds: int = 0

    @property
    def dice(self) -> random.Random:
        return self.agenda.dice

    async def play(self, days: int, each: timedelta) -> None:
        """So many days in bad weather, with something new about once in so much time; then all is finished in calm."""
        end = START + timedelta(days=days)
        while self.clock.now() < end:
            then = self.clock.now() + each * (2 * self.dice.random())
            for moment in [*await self._ends(then), then]:
                if moment == then or self.dice.random() < 0.3:
                    await self._pass_to(moment)
                    await self._spell()
        await self._finish()

    async def _spell(self) -> None:
        """A few rounds, soon after each other."""
        self.agenda.want_more(self.clock.now())
        for _ in range(self.dice.choice((1, 1, 1, 2, 3))):
            await self._change_weather()
            await self._round(is_deadly=True)
            await self._pass_to(self.clock.now() + timedelta(seconds=self.dice.choice(PAUSES_S)))

    async def _pass_to(self, moment: datetime) -> None:
        self.clock.travel_to(max(moment, self.clock.now()))
        (await self.stripe.post("/_sandbox/tick")).raise_for_status()
        self.place = replace(self.place, now=self.clock.now())

    async def _change_weather(self) -> None:
        dice = self.dice
        for _ in range(dice.choice((0, 0, 1, 2))):
            kind = dice.choice(("500", "429", "timeout_before", "timeout_after", "timeout_after"))
            where = {"method": "POST", "path_prefix": dice.choice(("/document", "/"))}
            await self._order(self.signnow, "faults", kind=kind, times=dice.randint(1, 2), **where)
        if dice.random() < 0.2:
            await self._order(self.signnow, "faults", kind="timeout_before", times=dice.randint(1, 3), method="GET")
        for _ in range(dice.choice((0, 0, 1, 2))):
            kind = dice.choice(("500", "500_remembered", "429", "409", "timeout_before", "timeout_after"))
            # Mostly for any call: those that only calls that change something meet would pile up to an endless outage.
            method = dice.choice(("POST", None, None))
            await self._order(self.stripe, "faults", kind=kind, times=dice.randint(1, 2), method=method)
        for role in ROLES:
            if role.has_bad_card and dice.random() < 0.1:
                await self._use_card(role, dice.choice(("decline", "success")))
        for sandbox in (self.signnow, self.stripe):
            await self._order(sandbox, "webhooks", duplicate=dice.random() < 0.3, reorder=dice.random() < 0.5)

    async def _use_card(self, role: Role, card: str) -> None:
        tenant = await Tenant.get(external_reference=role.reference)
        await self._order(self.stripe, f"customers/{tenant.stripe_customer_id}/card", card=card)

    async def _order(self, sandbox: httpx.AsyncClient, what: str, **order: Any) -> None:
        (await sandbox.post(f"/_sandbox/{what}", json=order)).raise_for_status()

    async def _round(self, *, is_deadly: bool) -> None:
        """Some sign; some processes do some of what is to be done, and may be killed while they do it."""
        self.rounds += 1
        await self._sign(0.3)
        lanes = [self._lane(is_deadly=is_deadly) for _ in range(self.lanes)]
        if self.lanes > 1:  # the same key by two processes at the same moment
            for deed in lanes[0]:
                if deed.kind != "work" and self.dice.random() < 0.3 and deed not in lanes[1]:
                    lanes[1].insert(self.dice.randint(0, len(lanes[1])), deed)
        heard = await asyncio.gather(*(self._process(n, lane, is_deadly) for n, lane in enumerate(lanes)))
        lines = list(chain.from_iterable(heard))
        self.agenda.hear(lines)
        for line in lines:
            if line["outcome"] == "done":
                self.office.confirm(line["key"])

    def _lane(self, *, is_deadly: bool) -> list[Deed]:
        dice, agenda = self.dice, self.agenda
        share = 0.8 / self.lanes if is_deadly else 1.0
        lane = [deed for deed in agenda.pending.values() if dice.random() < share]
        lane += self.office.hand_out(0.6 if is_deadly else 1.0)
        dice.shuffle(lane)
        for kind, chance in (("work", 0.8), ("work", 0.3), ("close", 0.3), ("look", 0.3)):
            if dice.random() < chance:
                deed = Deed(f"{kind}-{self.rounds}", dice.choice(ROLES).reference, kind, {})
                agenda.deeds[deed.key] = deed
                lane.insert(dice.randint(0, len(lane)), deed)
        return lane

    async def _process(self, number: int, lane: list[Deed], is_deadly: bool) -> list[Any]:
        for deed in lane:
            self.agenda.deeds[deed.key] = deed
        notes = self.notes / f"{self.rounds}-{number}"
        dice = self.dice
        step = int(dice.expovariate(1 / 20)) + 1 if is_deadly and dice.random() < 0.75 else 0
        # Clocks of two machines differ a little.
        place = replace(self.place, now=self.place.now - timedelta(seconds=dice.randint(0, 45) if number else 0))
        code = await run_and_die(do_all, place, lane, dice.randint(1, 6), step, notes)
        assert code in (0, KILLED), f"a process went wrong by itself: {code}"
        if code == KILLED:
            self.deaths[notes.with_suffix(".killed").read_text()] += 1
        journal = notes.with_suffix(".journal")
        lines = [orjson.loads(line) for line in journal.read_bytes().splitlines()] if journal.exists() else []
        trouble = [line["trouble"] for line in lines if "trouble" in line]
        assert not trouble, "\n".join(trouble)
        return lines

    async def _sign(self, chance: float) -> None:
        for paper in self.agenda.papers.values():
            for email in [*paper.open]:
                if self.dice.random() < chance:
                    url = f"/_sandbox/documents/{paper.signnow}/sign"
                    (await self.signnow.post(url, json={"email": email})).raise_for_status()
                    paper.open.remove(email)
                    self.agenda.outcomes["signed"] += 1
        for paper in self.agenda.papers.values():
            if not paper.open and paper.document not in self._downloaded() and self.dice.random() < 0.3:
                self.agenda.add(paper.tenant, "download", document=paper.document)

    def _downloaded(self) -> set[str]:
        return {deed.args["document"] for deed in self.agenda.deeds.values() if deed.kind == "download"}

    async def _finish(self) -> None:
        """Calm weather: what is open is done, lost webhooks are made up for, everybody leaves and pays."""
        for sandbox in (self.signnow, self.stripe):
            await self._order(sandbox, "webhooks", duplicate=False, reorder=False)
        for role in ROLES:
            await self._use_card(role, "success")
        # In endless bad weather a job may have been given up: somebody looks at it and has it run again.
        given_up = await rows("UPDATE job SET state = 'WAITING', attempts = 0 WHERE state = 'FAILED' RETURNING topic")
        self.agenda.outcomes["job given up"] += len(given_up)
        for _ in range(60):
            await self._round(is_deadly=False)
            await self._pass_to(self.clock.now() + timedelta(minutes=5))
            if not self.agenda.pending and not self.office.waiting:
                break
        assert not self.agenda.pending, f"never done: {list(self.agenda.pending.values())}"
        await self._wait((self.clock.now() - START) / 3)  # SignNow is asked ever more seldom about old documents
        tenants = [await Tenant.get(external_reference=role.reference) for role in ROLES]
        for role, tenant in zip(ROLES, tenants, strict=True):
            if await running_subscription(tenant.id) is None:  # what came late for those who left is billed by the next
                await subscribe_tenant(self.platform, SubscribeTenant(tenant, self.agenda.plans[role.plan], role.seats))
        await self._wait(timedelta(days=1))
        for tenant in tenants:
            await endings.cancel_subscription(self.platform, tenant, ChangeAt.NOW)
        await self._wait(timedelta(days=3))
        await closing.close_all(self.platform)
        await self._wait(timedelta(days=3))
        assert not await Period.exists(state=PeriodState.OPEN)

    async def _wait(self, span: timedelta) -> None:
        """Time passes, in calm: the worker of this process does what is due."""
        until = self.clock.now() + span
        while self.clock.now() < until:
            await self._pass_to(min([*await self._ends(until), self.clock.now() + timedelta(days=1)]))
            for _ in range(3):
                for sandbox in (self.signnow, self.stripe):
                    (await sandbox.post("/_sandbox/flush")).raise_for_status()
                for deed in self.office.hand_out(1.0):
                    await deliver(self.platform, await Tenant.get(external_reference=deed.tenant), deed)
                    self.office.confirm(deed.key)
                if not await timetable.run_due_work(self.platform) and not self.office.waiting:
                    break

    async def _ends(self, until: datetime) -> list[datetime]:
        """Moments at which a worker should look: when a period ends, and when it closes by itself."""
        now = self.clock.now()
        ends = [period.ends_at for period in await Period.filter(state=PeriodState.OPEN)]
        ends += [end + timedelta(minutes=minutes) for end in ends for minutes in (2, 61)]
        return sorted(end for end in ends if now < end <= until)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The server of the sandboxes does not tell of the answers that they were asked not to give."""
    log = logging.getLogger("uvicorn.error")
    log.disabled = True
    yield
    log.disabled = False


@contextlib.asynccontextmanager
async def open_month(database_url: str, seed: int, notes: Path, lanes: int) -> AsyncIterator[Month]:
    """Sandboxes that other processes reach over HTTP, an empty database that they share, and everybody subscribed."""
    clock = FrozenClock(START)
    dice = random.Random(seed)  # noqa: S311 - trouble need not be secret
    office = Office(random.Random(seed), ROLES[0].reference)  # noqa: S311
    async with contextlib.AsyncExitStack() as stack:

        async def client(url: str) -> httpx.AsyncClient:
            return await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))

        office_url = await stack.enter_async_context(running(office.app(), listen("127.0.0.1", 0)))
        signnow_url = await stack.enter_async_context(
            running(create_signnow(clock=clock, time_scale=0), listen("127.0.0.1", 0))
        )
        sandbox = create_stripe(clock=clock, webhook_url=f"{office_url}/webhooks/stripe", webhook_secret=STRIPE_SECRET)
        stripe_url = await stack.enter_async_context(running(sandbox, listen("127.0.0.1", 0)))
        stack.enter_context(quiet())
        place = Place(database_url, START, signnow_url, stripe_url, office_url)
        platform = await stack.enter_async_context(place.platform(clock))
        agenda = Agenda(dice, await assemble(platform))
        yield Month(
            place, clock, platform, await client(signnow_url), await client(stripe_url), office, agenda, notes, lanes
        )
