"""The signing month: a parent with both sandboxes, the clock, the signers and the web app, and processes that are
killed amid their deeds while SignNow answers late, wrongly or not at all.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inkmeter.clock import FrozenClock
from integrations.signnow.sandbox.accounts import new_id
from integrations.signnow.sandbox.app import create_app as create_signnow
from integrations.signnow.sandbox.documents import Document as TheirDocument
from integrations.signnow.sandbox.documents import FieldInvite
from integrations.signnow.sandbox.world import World as SignNow
from integrations.stripe.sandbox.app import create_app as create_stripe
from server.demo.pdf import contract
from server.serving import listen, running
from services import closing, endings, identities, timetable
from services.changes import ChangeAt
from services.platform import Platform
from services.tenants import Tenant
from storage.database import rows
from storage.operations import Operation
from storage.subscriptions import Period, PeriodState
from tests.crash.places import STRIPE_SECRET, Place
from tests.month.deeds import Deed
from tests.month.month import KILLED, quiet
from tests.month.office import Office
from tests.processes import run_and_die
from tests.signing_month.cast import LIVE_AT, ROLES, START, Role, assemble, consent, user_id_of
from tests.signing_month.deeds import KINDS, deliver, do_all
from tests.signing_month.stories import ANN, STORIES, Story

PAUSES_S: Final = (0, 20, 70, 150, 400, 3_600)
FAULTS: Final = (
    "500",
    "503",
    "502_after",
    "502_after",
    "429",
    "timeout_before",
    "timeout_after",
    "timeout_after",
    "timeout_after",
    "invalid_token",
    "invalid_client",
)
REPEATED: Final = ("upload", "upload_tags", "upload_url", "template", "copy", "invite", "free_form", "embed", "cancel")
"""What may be asked for again, long after it was done, and is answered the same."""
RANK: Final = ("again", "spent", "refused", "done")
"""Where two processes did the same: the answer that stands."""


@dataclass(slots=True)
class SigningMonth:
    """`lanes` processes run at once. `world` is the sandbox's state: what signers and the web app do goes there."""

    place: Place
    clock: FrozenClock
    dice: random.Random
    platform: Platform
    world: SignNow
    signnow: httpx.AsyncClient
    stripe: httpx.AsyncClient
    office: Office
    notes: Path
    lanes: int
    stories: list[Story] = field(default_factory=list)
    foreign: set[str] = field(default_factory=set)
    """Documents in SignNow that did not come through us."""
    sent_there: set[str] = field(default_factory=set)
    """Ours that somebody else has sent."""
    done: list[Deed] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    rounds: int = 0

    @property
    def open_stories(self) -> list[Story]:
        return [story for story in self.stories if story.step is not None]

    async def play(self, days: int, stories: int) -> None:
        """So many stories spread over so many days in bad weather, a part of them in development mode; then all is
        finished in calm.
        """
        kinds = [kind for _ in range(stories // len(STORIES) + 1) for kind in self._shuffled(STORIES)][:stories]
        each = timedelta(days=days) / stories
        for number, kind in enumerate(kinds):
            if not self.place.is_signnow_live and self.clock.now() >= LIVE_AT:
                await self._go_live()
            tenant = ROLES[(number + number // len(ROLES)) % len(ROLES)].reference
            self.stories.append(Story(f"{kind}-{number}", tenant, kind, STORIES[kind]()))
            await self._spell()
            await self._pass_to(max(self.clock.now(), START + each * (number + 2 * self.dice.random())))
        await self._finish()

    def _shuffled(self, things: Any) -> list[Any]:
        return self.dice.sample(sorted(things), len(things))

    async def _spell(self) -> None:
        for _ in range(self.dice.choice((1, 1, 2))):
            await self._change_weather()
            await self._make_mischief()
            await self._round(is_deadly=True)
            await self._pass_to(self.clock.now() + timedelta(seconds=self.dice.choice(PAUSES_S)))

    async def _pass_to(self, moment: datetime) -> None:
        self.clock.travel_to(max(moment, self.clock.now()))
        (await self.stripe.post("/_sandbox/tick")).raise_for_status()
        self.world.let_invites_expire(self.place.signnow_url)
        self.place = replace(self.place, now=self.clock.now())

    async def _go_live(self) -> None:
        """The operator switches when no operation is without an answer. This process is in live mode from the start."""
        await self._calm_down()
        while await Operation.exists(state__in=["RESERVED", "UNKNOWN"]):
            await self._pass_to(self.clock.now() + timedelta(minutes=4))
            self.rounds += 1
            work = Deed(f"work-{self.rounds}", ROLES[0].reference, "work", {})
            await self._process(0, [work], is_deadly=False)
        self.place = replace(self.place, is_signnow_live=True)
        self.world.knobs = self.world.knobs.turned({"is_development": False})

    async def _change_weather(self) -> None:
        dice = self.dice
        for _ in range(dice.choice((0, 1, 1, 2, 3))):
            path = dice.choice(("/document", "/document", "/v2/", "/template", "/field", "/invite", "/oauth2", "/"))
            method = dice.choice(("POST", "PUT", "DELETE", None))
            fault = {"kind": dice.choice(FAULTS), "times": dice.randint(1, 2), "path_prefix": path, "method": method}
            await self._order("faults", **fault)
        if dice.random() < 0.2:
            await self._order("faults", kind="429", times=dice.randint(5, 25))
        if dice.random() < 0.2:
            await self._order("faults", kind="timeout_before", times=dice.randint(1, 4), method="GET")
        if dice.random() < 0.1:
            await self._order("faults", kind="not_ready", times=dice.randint(1, 5), path_prefix="/document/")
        await self._order(
            "webhooks",
            duplicate=dice.random() < 0.3,
            reorder=dice.random() < 0.5,
            early=dice.random() < 0.4,
            drop=dice.choice((0, 0, 0, 1, 3)),
        )
        self.office.is_refusing = dice.random() < 0.1

    async def _make_mischief(self) -> None:
        """Subscriptions vanish; consent is withdrawn, in the middle of whatever is going on, and given again."""
        dice = self.dice
        if dice.random() < 0.15:
            self.world.callbacks.subscriptions.clear()
            self.outcomes["unsubscribed"] += 1
        for role in ROLES:
            if role.has_own_user and dice.random() < 0.15:
                user = user_id_of(role)
                for token in [t for t in self.world.accounts.tokens.values() if t.user_id == user]:
                    self.world.accounts.terminate(token.access)
                self.outcomes["token revoked"] += 1

    async def _order(self, what: str, **order: Any) -> None:
        (await self.signnow.post(f"/_sandbox/{what}", json=order)).raise_for_status()

    async def _round(self, *, is_deadly: bool) -> None:
        """What others do is done; some processes do some of what is to be done, and may be killed while they do it."""
        self.rounds += 1
        for story in self.open_stories:
            while story.step is not None and story.step.what not in KINDS:
                if (is_deadly and self.dice.random() < 0.2) or not await self._do_ourselves(story):
                    break
                story.go_on()
        lanes = [self._lane(is_deadly=is_deadly) for _ in range(self.lanes)]
        for lane in lanes[1:]:  # the same key by two processes at the same moment
            lane += [deed for deed in lanes[0] if self.dice.random() < 0.3 and deed not in lane]
        lines = list(
            chain.from_iterable(
                await asyncio.gather(*(self._process(n, lane, is_deadly) for n, lane in enumerate(lanes)))
            )
        )
        self._hear({line["key"]: line for line in sorted(lines, key=lambda line: RANK.index(line["outcome"]))})
        await self._consent_again()

    def _lane(self, *, is_deadly: bool) -> list[Deed]:
        dice = self.dice
        share = 0.85 / self.lanes if is_deadly else 1.0
        lane = [self._deed(s) for s in self.open_stories if s.step and s.step.what in KINDS and dice.random() < share]
        lane += self.office.hand_out(0.6 if is_deadly else 1.0)
        lane += [deed for deed in self.done if deed.kind in REPEATED and dice.random() < 0.02]
        dice.shuffle(lane)
        if dice.random() < 0.8:
            lane.insert(dice.randint(0, len(lane)), Deed(f"work-{self.rounds}", ROLES[0].reference, "work", {}))
        return lane

    def _deed(self, story: Story) -> Deed:
        step = story.step
        assert step is not None
        args = {**step.args, "url": f"{self.place.public_url}/lease.pdf", "folder": str(self.notes)}
        args["document"] = self._strangers(story) if step.what == "strangers_document" else None
        args["document"] = args["document"] or story.documents.get(step.document)
        return Deed(story.deed_key, story.tenant, step.what, {**args, "documents": dict(story.documents)})

    def _strangers(self, story: Story) -> str:
        """A document of another tenant's, or an id that nobody has."""
        others = [s.documents["it"] for s in self.stories if s.tenant != story.tenant and "it" in s.documents]
        return self.dice.choice(others) if others else "00000000-0000-7000-8000-000000000000"

    async def _process(self, number: int, lane: list[Deed], is_deadly: bool) -> list[Any]:
        notes, dice = self.notes / f"{self.rounds}-{number}", self.dice
        step = int(dice.expovariate(1 / 15)) + 1 if is_deadly and dice.random() < 0.75 else 0
        code = await run_and_die(do_all, self.place, lane, dice.randint(1, 6), step, notes)
        assert code in (0, KILLED), f"a process went wrong by itself: {code}"
        if code == KILLED:
            self.deaths[notes.with_suffix(".killed").read_text()] += 1
        journal = notes.with_suffix(".journal")
        lines = [orjson.loads(line) for line in journal.read_bytes().splitlines()] if journal.exists() else []
        trouble = [line["trouble"] for line in lines if "trouble" in line]
        assert not trouble, "\n".join(trouble)
        return lines

    def _hear(self, lines: dict[str, Any]) -> None:
        waiting = {story.deed_key: story for story in self.open_stories}
        for key, line in lines.items():
            self.office.confirm(key) if line["outcome"] == "done" else None
            if (story := waiting.get(key)) is None or (step := story.step) is None:
                assert line["outcome"] != "refused", f"refused again: {line}"
                continue
            self.outcomes[f"{step.what} {line['outcome']}"] += 1
            match line["outcome"]:
                case "spent":
                    story.attempt += 1
                case "refused":
                    assert line["refusal"] == step.refused, (story, line)
                    story.go_on()
                case "done":
                    assert step.refused is None, (story, line)
                    assert step.expects.items() <= line.items(), (story, line)
                    self.done.append(self._deed(story))
                    story.heard = {**line, "at": self.place.now}
                    if step.makes is not None:
                        story.documents[step.makes] = line["document"]
                        story.documents[f"{step.makes}@"] = line["signnow"]
                    story.go_on()

    async def _consent_again(self) -> None:
        for role in ROLES:
            tenant = await Tenant.get(external_reference=role.reference)
            if not await identities.is_connected(tenant) and self.dice.random() < 0.5:
                await self._consent(role)

    async def _consent(self, role: Role) -> None:
        self.world.faults.planned.clear()  # the user tries until it works
        await consent(self.platform, self.world, role)

    # What signers and people in SignNow's web app do.

    async def _do_ourselves(self, story: Story) -> bool:
        """Whether it could be done now."""
        step = story.step
        assert step is not None
        args, url = step.args, self.place.signnow_url
        theirs = self.world.documents.get(story.documents.get(f"{step.document}@", ""))
        match step.what:
            case "wait":
                until = story.heard.setdefault("until", self.clock.now() + timedelta(hours=args["hours"]))
                return bool(self.clock.now() >= until)
            case "opens":
                link = story.heard["link"].replace(url, "")
                self.world.faults.planned.clear()
                is_young = self.clock.now() - story.heard["at"] < timedelta(minutes=15)
                assert ((await self.signnow.get(link)).status_code == 200) is is_young
            case "foreign":
                self._make_foreign(story.tenant, args["email"])
            case "sign":
                assert theirs is not None
                self.world.sign(theirs, args["email"], url)
            case "decline":
                assert theirs is not None
                self.world.decline(theirs, args["email"], "no", url)
            case "vanish":
                assert theirs is not None
                del self.world.documents[theirs.id]
            case "send_there":
                assert theirs is not None
                self._send_there(theirs, args["email"])
                self.sent_there.add(theirs.id)
            case other:
                raise AssertionError(f"nobody can {other}")
        self.outcomes[step.what] += 1
        return True

    def _make_foreign(self, reference: str, email: str) -> None:
        role = next(role for role in ROLES if role.reference == reference)
        user = self.world.accounts.users[user_id_of(role)]
        folder = next(f for f in user.folders.values() if reference in f.name.lower())
        now = self.clock.now()
        made = TheirDocument(new_id(), user.id, folder.id, "Own", "Own.pdf", contract("Own"), now, now)
        self.foreign.add(made.id)
        self.world.add(made, "document_uploaded", self.place.signnow_url)
        self._send_there(made, email)
        self.world.sign(made, email, self.place.signnow_url)

    def _send_there(self, theirs: TheirDocument, email: str) -> None:
        theirs.place([{"role": "Signer 1", "page_number": 0, "x": 1, "y": 1, "width": 9, "height": 9}])
        invites = [FieldInvite(email, "Signer 1", 1, self.clock.now())]
        self.world.send_field_invite(theirs, invites, self.place.signnow_url)

    # The end.

    async def _calm_down(self) -> None:
        self.world.faults.planned.clear()
        self.office.is_refusing = False
        await self._order("webhooks", duplicate=False, reorder=False, early=False, drop=0)
        for role in ROLES:
            if role.has_own_user:
                await self._consent(role)

    async def _settle_all(self) -> None:
        """Until no operation is without an answer."""
        for _ in range(20):
            await self._pass_to(self.clock.now() + timedelta(minutes=4))
            await self._work()
            if not await Operation.exists(state__in=["RESERVED", "UNKNOWN"]):
                return
        raise AssertionError("some operations are never settled")

    async def _work(self) -> None:
        """The worker of this process does what is due."""
        for _ in range(5):
            for sandbox in (self.signnow, self.stripe):
                (await sandbox.post("/_sandbox/flush")).raise_for_status()
            for deed in self.office.hand_out(1.0):
                await deliver(self.platform, await Tenant.get(external_reference=deed.tenant), deed)
                self.office.confirm(deed.key)
            if not await timetable.run_due_work(self.platform) and not self.office.waiting:
                return

    async def _finish(self) -> None:
        """Calm weather: every story ends, what was lost is made up for, everybody leaves and pays."""
        await self._calm_down()
        await rows("UPDATE job SET state = 'WAITING', attempts = 0 WHERE state = 'FAILED'")
        for _ in range(80):
            await self._round(is_deadly=False)
            await self._pass_to(self.clock.now() + timedelta(hours=6 if self._are_waiting() else 0, minutes=5))
            if not self.open_stories and not self.office.waiting:
                break
        assert not self.open_stories, f"never told to the end: {self.open_stories}"
        await self._settle_all()
        for _ in range(8):  # SignNow is asked ever more seldom about old documents
            await self._pass_to(self.clock.now() + timedelta(days=2))
            await self._work()
        for role in ROLES:
            tenant = await Tenant.get(external_reference=role.reference)
            await endings.cancel_subscription(self.platform, tenant, ChangeAt.NOW)
        for _ in range(3):
            await self._pass_to(self.clock.now() + timedelta(days=1))
            await self._work()
        await closing.close_all(self.platform)
        for _ in range(3):
            await self._pass_to(self.clock.now() + timedelta(days=1))
            await self._work()
        assert not await Period.exists(state=PeriodState.OPEN)

    def _are_waiting(self) -> bool:
        return all(story.step is not None and story.step.what == "wait" for story in self.open_stories)


@contextlib.asynccontextmanager
async def open_signing_month(database_url: str, seed: int, notes: Path, lanes: int) -> AsyncIterator[SigningMonth]:
    """Sandboxes that other processes reach over HTTP, an empty database that they share, and everybody subscribed."""
    clock = FrozenClock(START)
    office = Office(random.Random(seed), ROLES[0].reference)  # noqa: S311 - trouble need not be secret
    async with contextlib.AsyncExitStack() as stack:

        async def client(url: str) -> httpx.AsyncClient:
            return await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))

        async def lease(_: Request) -> Response:
            return Response(contract(ANN), media_type="application/pdf")

        post = office.app()
        post.router.routes.append(Route("/lease.pdf", lease))
        office_url = await stack.enter_async_context(running(post, listen("127.0.0.1", 0)))
        their_app = create_signnow(clock=clock, time_scale=0)
        signnow_url = await stack.enter_async_context(running(their_app, listen("127.0.0.1", 0)))
        sandbox = create_stripe(clock=clock, webhook_url=f"{office_url}/webhooks/stripe", webhook_secret=STRIPE_SECRET)
        stripe_url = await stack.enter_async_context(running(sandbox, listen("127.0.0.1", 0)))
        stack.enter_context(quiet())
        place = Place(database_url, START, signnow_url, stripe_url, office_url, is_signnow_live=False)
        platform = await stack.enter_async_context(replace(place, is_signnow_live=True).platform(clock))
        world: SignNow = their_app.state.world
        world.knobs = world.knobs.turned({"is_development": True})
        signnow, stripe = await client(signnow_url), await client(stripe_url)
        await assemble(platform, signnow, world)
        dice = random.Random(seed)  # noqa: S311
        yield SigningMonth(place, clock, dice, platform, world, signnow, stripe, office, notes, lanes)
