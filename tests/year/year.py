"""A year of some tenants: deeds, ends of periods, cards, banks and the operator's monthly look at the books."""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services import timetable
from storage.database import rows
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.fields import from_micros, to_micros
from tests.services.dunning_steps import card
from tests.services.spoiling import FOUND
from tests.services.steps import Json, do, global_id
from tests.world import World
from tests.year.agenda import agenda
from tests.year.cast import ROLES, START, join, make_plans, terms_of
from tests.year.deeds import DONE, Actor
from tests.year.weather import Postman, disturb, trouble

WINDOW: Final = (0, 15, 35, 60, 62, 75, 120)
"""Minutes after the end of a period at which a worker is awake: Stripe's draft waits an hour."""
EACH: Final = 3
"""Days from one round of deeds to the next."""
CALM_DAYS: Final = 75
"""After the deeds: two ends of periods for everybody."""
BY_HAND: Final = (
    "REFUND_OF_INVOICE",
    "DISPUTE_OF_INVOICE",
    "REFUND_OF_USED_CREDITS",
)
"""What a person decides, by the docs."""


@dataclass(slots=True)
class Year:
    """`weather` are the dice of trouble, None in a year of calm."""

    world: World
    seed: int
    postman: Postman | None = None
    weather: random.Random | None = None
    actors: dict[str, Actor] = field(default_factory=dict)
    outcomes: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def told(self) -> Counter[tuple[str, str]]:
        return Counter((kind, outcome) for _, kind, outcome in self.outcomes)

    async def play(self, days: int) -> None:
        """So many days of deeds, then calm until all is settled."""
        self.world.clock.travel_to(START)
        if self.postman is not None:
            self.postman.now = self.world.clock.now
        plans = await make_plans(self.world)
        deeds = agenda(self.seed, days)
        for day in range(0, days, EACH):
            await self._pass_to(START + timedelta(days=day))
            await self._begin_day(day, plans)
            while deeds and deeds[0].at <= self.world.clock.now():
                deed = deeds.pop(0)
                outcome = await self.actors[deed.role.reference].do(deed)
                self.outcomes.append((deed.key, deed.kind, outcome))
                await self.work()
        self.weather = None
        await disturb(self.world)
        for actor in self.actors.values():
            await card(self.world, actor.customer, "success")
        for day in range(days, days + CALM_DAYS, EACH):
            await self._pass_to(START + timedelta(days=day))
        await self.look_after()
        await self.look_after()

    async def _begin_day(self, day: int, plans: dict[str, str]) -> None:
        for role in ROLES:
            if role.joins_on == day:
                actor = Actor(await join(self.world, role), role, plans)
                self.actors[role.reference] = actor
                terms = terms_of(role, (START + timedelta(days=day)).date())
                assert await actor.subscribe(plans[role.plan], terms) == DONE
                await self.work()
        if day % 30 == 0 and day:
            await self.look_after()
        if self.weather is not None:
            await trouble(self.world, self.weather)

    async def _pass_to(self, until: datetime) -> None:
        """Let time pass; a worker is awake at the ends of periods, and at last."""
        now = self.world.clock.now()
        found = await rows(
            "SELECT DISTINCT ends_at FROM billing_period WHERE ends_at > ? AND ends_at <= ?",
            to_micros(now - timedelta(hours=3)),
            to_micros(until),
        )
        ends = [from_micros(entry["ends_at"]) for entry in found]
        moments = {end + timedelta(minutes=minutes) for end in ends for minutes in WINDOW}
        for moment in sorted({m for m in moments if now < m < until} | {until}):
            await self.world.travel_to(moment)
            await self.work()

    async def work(self) -> None:
        """Deliver what is due and do all the work that is due, until nothing is left."""
        while True:
            await self.world.signnow.post("/_sandbox/flush")
            await self.world.stripe.post("/_sandbox/flush")
            delivered = await self.postman.deliver() if self.postman is not None else 0
            if not await timetable.run_due_work(self.world.platform) and not delivered:
                return

    async def look_after(self) -> Json:
        """The operator compares and repairs, and explains what only a person can."""
        report: Json = {}
        for _ in range(6):
            how = {"repair": True, "since": START.isoformat(), "first": 50}
            payload = await do(self.world.operator, "reconcileStripe", FOUND, **how)
            await self.work()
            report = payload["report"] or {}
            if report and not report["failures"]:
                break
        for row in await Discrepancy.filter(state=DiscrepancyState.OPEN, kind__in=BY_HAND):
            told = {"id": global_id("Discrepancy", row.id), "note": "Agreed with the tenant."}
            answer = await do(self.world.operator, "explainDiscrepancy", "discrepancy { state }", **told)
            assert answer["userErrors"] == []
        return report
