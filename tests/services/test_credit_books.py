"""Credits through the services and a database: whatever is done in whatever order, each unit is accounted for."""

import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from inkmeter.errors import Conflict, TopUpRequired
from services import balances, credits, operations
from services.commands import Correct, Correction, Fact
from services.credits import CreditSource, GivenCredits
from services.limits import NewPack, NewQuota
from services.plans import LimitPolicy
from services.usage import NewEvent, record_usage
from storage.charges import Charge
from storage.credits import CreditEntry, CreditEntryKind, CreditGrant
from storage.operations import Operation
from storage.subscriptions import Period
from storage.usage import UsageEvent, read_counters, sum_events
from tests.bookkeeping import sign_up
from tests.crash.racing import reserve
from tests.world import World, open_world

METER = "documents_created"
PRICE = 1_000
UNITS = st.integers(1, 6)
WHICH = st.integers(0, 5)
ACTION = st.one_of(
    st.tuples(st.just("give"), UNITS, st.sampled_from([None, 1, 3]), st.integers(0, 2)),
    st.tuples(st.just("buy")),
    st.tuples(st.just("use"), UNITS),
    st.tuples(st.just("reserve"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["succeed", "fail", "undo"]), WHICH),
    st.tuples(st.just("correct"), WHICH, st.sampled_from([None, 1, 4])),
    st.tuples(st.sampled_from(["revoke", "refund"]), WHICH, st.sampled_from([None, 1, 2])),
    st.tuples(st.just("wait"), st.integers(1, 2)),
)


@dataclass
class Story:
    """A tenant and what is done in its name; `open` are the operations of which no answer was seen here: a sweep
    may have given them up, and a late "yes" still counts.
    """

    world: World
    tenant: Any
    open: list[Any]
    turn: int = 0

    async def play(self, action: Sequence[Any]) -> None:
        self.turn += 1
        with contextlib.suppress(TopUpRequired, Conflict):  # a refusal changes nothing, as the books tell
            await getattr(self, action[0])(*action[1:])
        await self.check()

    async def give(self, units: int, hours: int | None, priority: int) -> None:
        expires_at = self.world.clock.now() + timedelta(hours=hours) if hours else None
        wanted = GivenCredits(METER, units, CreditSource.OTHER, f"k{self.turn}", priority, expires_at)
        for _ in range(2):
            await credits.grant_credits(self.world.platform, self.tenant, wanted)

    async def buy(self) -> None:
        for _ in range(2):
            await credits.top_up(self.world.platform, self.tenant, METER, 3, f"k{self.turn}")

    async def use(self, units: int) -> None:
        for _ in range(2):
            await record_usage(self.world.platform, self.tenant, [NewEvent(METER, units, f"k{self.turn}")])

    async def reserve(self, units: int) -> None:
        self.open.append(await reserve(self.world.platform, self.tenant, f"k{self.turn}", units))

    async def succeed(self, which: int) -> None:
        if operation := self._open(which):
            await operations.succeed(self.world.platform, operation, {METER: operation.reserved[METER]})

    async def fail(self, which: int) -> None:
        if operation := self._open(which):
            await operations.give_up(self.world.platform, operation)

    async def undo(self, which: int) -> None:
        if operation := self._open(which):
            await operations.undo(self.world.platform, operation)

    def _open(self, which: int) -> Any:
        return self.open.pop(which % len(self.open)) if self.open else None

    async def correct(self, which: int, quantity: int | None) -> None:
        events = await UsageEvent.filter(tenant_id=self.tenant.id, meter=METER, quantity__gt=0).order_by("id")
        if events:
            event = events[which % len(events)]
            fact = Fact(METER, event.quantity, event.idempotency_key, event.occurred_at)
            command = Correct(self.tenant.id, [Correction(fact, f"k{self.turn}", quantity)], self.world.clock.now())
            await operations.submit(self.world.platform, command)

    async def revoke(self, which: int, units: int | None) -> None:
        await self._take(credits.revoke_credits, which, units)

    async def refund(self, which: int, units: int | None) -> None:
        await self._take(credits.refund_credits, which, units)

    async def _take(self, take: Any, which: int, units: int | None) -> None:
        grants = await CreditGrant.filter(tenant_id=self.tenant.id).order_by("id")
        if grants:
            grant = grants[which % len(grants)]
            for _ in range(2):
                await take(self.world.platform, self.tenant.id, grant.id, units, f"k{self.turn}")

    async def wait(self, hours: int) -> None:
        self.world.clock.travel_to(self.world.clock.now() + timedelta(hours=hours))
        await self.world.work()

    async def check(self) -> None:
        """Every grant, counter and balance follows from the entries, and the charges from the grants."""
        tenant_id = self.tenant.id
        entries = await CreditEntry.filter(tenant_id=tenant_id)
        credited = 0
        for grant in await CreditGrant.filter(tenant_id=tenant_id):
            sums = {
                kind: sum(e.units for e in entries if e.grant_id == grant.id and e.kind == kind)
                for kind in CreditEntryKind
            }
            assert grant.remaining == sum(sums.values())
            assert 0 <= grant.remaining <= grant.units == sums[CreditEntryKind.GRANTED]
            credited -= sums[CreditEntryKind.CONSUMED] + sums[CreditEntryKind.RETURNED]
            charges = await Charge.filter(tenant_id=tenant_id, idempotency_key=f"grant:{grant.idempotency_key}")
            assert len(charges) == (grant.source is CreditSource.TOP_UP)
            await self._check_refunds(grant, entries)
        assert all(e.event_id is not None for e in entries if e.kind in ("CONSUMED", "RETURNED"))
        [shown] = await balances.read_balances(self.world.platform, tenant_id, METER)
        gone = shown.consumed + shown.expired + shown.revoked + shown.refunded
        assert shown.balance == shown.granted - gone == sum(grant.remaining for grant in shown.grants)
        assert shown.consumed == credited
        period = await Period.get(tenant_id=tenant_id)
        counter = (await read_counters(tenant_id, period.starts_at)).get(METER)
        if counter is not None:
            assert counter.credited == credited <= counter.used
            assert counter.pledged <= counter.reserved
            assert counter.used == (await sum_events(tenant_id, period.span)).get(METER, 0)
            waiting = await Operation.filter(tenant_id=tenant_id, state__in=["RESERVED", "UNKNOWN"])
            assert counter.reserved == sum(operation.reserved[METER] for operation in waiting)
            held = sum(grant.remaining for grant in await CreditGrant.filter(tenant_id=tenant_id))
            assert counter.pledged == shown.pledged <= held

    async def _check_refunds(self, grant: CreditGrant, entries: Sequence[CreditEntry]) -> None:
        back = [e for e in entries if e.grant_id == grant.id and e.kind == CreditEntryKind.REFUNDED]
        keys = [f"refund:{entry.id}" for entry in back]
        charges = await Charge.filter(tenant_id=grant.tenant_id, idempotency_key__in=keys) if keys else []
        units = -sum(entry.units for entry in back)
        assert len(charges) == len(back)
        assert -sum(charge.amount_minor for charge in charges) == PRICE * units // grant.units


async def tell(actions: Sequence[Sequence[Any]]) -> None:
    packs = [NewPack(3, Decimal("10.00"))]
    quota = NewQuota(METER, LimitPolicy.TOP_UP, 2, packs=packs)
    with tempfile.TemporaryDirectory() as folder:
        async with open_world(f"sqlite:///{Path(folder) / 'test.sqlite3'}") as world:
            tenant = await sign_up(world.platform, "acme", quota)
            story = Story(world, tenant, [])
            for action in actions:
                await story.play(action)


@settings(max_examples=20, deadline=None)
@given(st.lists(ACTION, min_size=4, max_size=20))
def test_the_books_of_credits_add_up(actions: list[tuple[Any, ...]]) -> None:
    asyncio.run(tell(actions))
