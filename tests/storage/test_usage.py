"""Usage: each fact once, and counters that equal the sums of the events, whatever happens at the same time."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tortoise.exceptions import IntegrityError

from inkmeter.billing_model import BillingModel, Line
from inkmeter.errors import Refused
from inkmeter.usage import Usage
from services import changes, operations, plans, usage
from services.changes import ChangeAt, ChangePlan
from services.commands import GrantCredits, Intent, Reserve
from services.metering import Metering
from services.operations import OperationKind, StoredOperation
from services.plans import CreatePlan
from services.platform import Platform
from services.tenants import Tenant, TenantState
from services.usage import NewEvent, RecordStatus
from storage.credits import CreditSource
from storage.database import insert_new, transaction
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.ids import new_id
from storage.ledgers import open_ledger
from storage.operations import Operation, OperationState
from tests.bookkeeping import PRICE, hard, sign_up, used_units
from tests.world import START, World

pytestmark = pytest.mark.anyio

METERS = ("api_calls", "downloads", "documents_created", "invites_sent")


@pytest.fixture
async def elsewhere(world: World, database_url: str) -> AsyncIterator[Platform]:
    """Another process's platform: the same database through a writer of its own."""
    async with Metering(open_ledger(database_url), world.clock, world.platform.plugins.publish).running() as metering:
        yield replace(world.platform, metering=metering)


class TestInsertNew:
    """The one idempotency there is."""

    pytestmark = pytest.mark.usefixtures("database")

    @staticmethod
    def tenant(**changes: object) -> Tenant:
        values = {
            "public_id": new_id(),
            "external_reference": "acme",
            "name": "Acme",
            "email": "billing@acme.test",
            "currency": "USD",
            "state": TenantState.ACTIVE,
            "created_at": START,
        }
        return Tenant(**{**values, **changes})

    async def test_the_first_row_stays(self) -> None:
        first, second = self.tenant(name="First"), self.tenant(name="Second")
        assert await insert_new(first, ["external_reference"]) is True
        assert await insert_new(second, ["external_reference"]) is False
        [stored] = await Tenant.all()
        assert (stored.name, stored.public_id, stored.created_at) == ("First", first.public_id, START)
        assert (stored.state, stored.grace_until) == (TenantState.ACTIVE, None)

    async def test_without_a_named_key_any_key_counts(self) -> None:
        first = self.tenant()
        assert await insert_new(first)
        assert not await insert_new(self.tenant())
        assert not await insert_new(self.tenant(public_id=first.public_id, external_reference="other"))
        assert await Tenant.all().count() == 1

    async def test_another_key_than_the_named_one_is_an_error(self) -> None:
        first = self.tenant()
        assert await insert_new(first, ["external_reference"])
        with pytest.raises(IntegrityError):
            await insert_new(self.tenant(public_id=first.public_id, external_reference="other"), ["external_reference"])

    async def test_a_taken_key_does_not_break_the_transaction(self) -> None:
        async with transaction():
            assert await insert_new(self.tenant())
            assert not await insert_new(self.tenant())
            assert await insert_new(self.tenant(external_reference="other"))
        assert await Tenant.all().count() == 2

    async def test_of_many_at_once_one_is_new(self) -> None:
        inserted = await asyncio.gather(*(insert_new(self.tenant(), ["external_reference"]) for _ in range(20)))
        assert sorted(inserted) == [False] * 19 + [True]

    async def test_values_come_back_as_they_were(self) -> None:
        await insert_new(self.tenant())
        tenant = await Tenant.get(external_reference="acme")
        evidence: dict[str, object] = {"lines": [["il_1", None, -5]], "deep": {"ü": True}}
        moment = datetime(2026, 3, 10, 9, 0, 0, 123456, tzinfo=UTC)
        row = Discrepancy(
            tenant_id=tenant.id,
            kind="INVOICE_TOTAL",
            subject="x'; DROP TABLE tenant; --",
            ours_minor=-(2**62),
            theirs_minor=2**62,
            currency="USD",
            evidence=evidence,
            state=DiscrepancyState.OPEN,
            created_at=moment,
        )
        assert await insert_new(row)
        stored = await Discrepancy.get(tenant_id=tenant.id, id=row.id)
        assert (stored.subject, stored.ours_minor, stored.theirs_minor) == (row.subject, -(2**62), 2**62)
        assert (stored.evidence, stored.created_at, stored.state) == (evidence, moment, DiscrepancyState.OPEN)


async def test_many_at_once_count_each_fact_once(world: World, elsewhere: Platform) -> None:
    """Two writers get the same facts in batches of any size and order."""
    tenant = await sign_up(world.platform, "acme")
    chance = random.Random(20260310)  # noqa: S311 - the same batches each time
    facts = [NewEvent(METERS[n % len(METERS)], n % 7 + 1, f"fact-{n}") for n in range(120)]
    batches = [chance.sample(facts, chance.randint(1, 30)) for _ in range(60)]
    async with asyncio.timeout(60):
        answers = await asyncio.gather(
            *(usage.record_usage((world.platform, elsewhere)[n % 2], tenant, batch) for n, batch in enumerate(batches))
        )
    results = [result for answer in answers for result in answer]
    recorded = [result.idempotency_key for result in results if result.status is RecordStatus.RECORDED]
    given_keys = {fact.idempotency_key for batch in batches for fact in batch}
    assert len(recorded) == len(set(recorded))
    assert set(recorded) == given_keys
    assert {result.status for result in results} == {RecordStatus.RECORDED, RecordStatus.DUPLICATE}
    expected = dict.fromkeys(METERS, 0)
    for fact in facts:
        expected[fact.meter] += int(fact.quantity) if fact.idempotency_key in given_keys else 0
    assert await used_units(tenant) == expected


async def test_callers_who_give_up_lose_nothing(world: World) -> None:
    """Cancelled while their fact is queued, written or answered; repeated with the same key it counts once."""
    tenant = await sign_up(world.platform, "acme")
    chance = random.Random(20260310)  # noqa: S311 - a storm that can be repeated
    answered: set[str] = set()

    async def record(key: str) -> RecordStatus:
        [result] = await usage.record_usage(world.platform, tenant, [NewEvent("downloads", 1, key)])
        answered.add(key)
        return result.status

    async def give_up(task: "asyncio.Task[RecordStatus]") -> None:
        await asyncio.sleep(chance.choice([0, chance.uniform(0, 0.02)]))
        task.cancel()

    keys = [f"fact-{n}" for n in range(120)]
    async with asyncio.timeout(60):
        for wave in range(0, len(keys), 12):
            tasks = [asyncio.create_task(record(key)) for key in keys[wave : wave + 12]]
            await asyncio.gather(*(give_up(task) for task in tasks))
            await asyncio.wait(tasks)
        assert answered < set(keys), "nobody gave up"
        await record(keys[0])  # one after the other: what was queued before is written now
        counted = (await used_units(tenant)).get("downloads", 0)
        assert counted >= len(answered), "what was acknowledged is lost"
        repeated = [await record(key) for key in keys]
    assert repeated.count(RecordStatus.DUPLICATE) >= counted  # what was still queued is written too
    assert await used_units(tenant) == {"downloads": len(keys)}


async def reserve(platform: Platform, tenant: Tenant, key: str, units: dict[str, int]) -> StoredOperation:
    intent = Intent(OperationKind.UPLOAD, key, {}, units, new_id())
    operation, _ = await operations.reserve(platform, tenant, intent)
    return operation


async def test_an_operation_that_two_processes_end_ends_once(world: World, elsewhere: Platform) -> None:
    """A sweep gives it up, in the next billing period, at the moment at which its slow caller sees it succeed."""
    tenant = await sign_up(world.platform, "acme")
    opened = [await reserve(world.platform, tenant, f"key-{n}", {"downloads": 1, "api_calls": 2}) for n in range(40)]
    world.clock.travel_to(START + timedelta(days=40))
    async with asyncio.timeout(60):
        for operation in opened:
            await asyncio.gather(
                operations.succeed(world.platform, operation, {"downloads": 1}),
                operations.give_up(elsewhere, operation),
            )
    assert await used_units(tenant) == {"downloads": 40}
    assert await Operation.filter(state=OperationState.SUCCEEDED).count() == 40


class Broken(BillingModel):
    """A partner's model that breaks when it is asked what it includes."""

    code = "broken"

    def rate(self, usage: Usage) -> Iterable[Line]:
        return ()

    def allowance(self, seats: int) -> Decimal | None:
        raise RuntimeError("a bug of the partner's")


async def test_a_command_that_breaks_in_the_middle_leaves_nothing_behind(world: World) -> None:
    """Its event is planned before credits ask the model: the event must not be stored without its counter."""
    acme, bolt = await sign_up(world.platform, "acme"), await sign_up(world.platform, "bolt")
    now = world.clock.now()
    grant = GrantCredits(acme.id, "gift", "invites_sent", 5, CreditSource.OTHER, now)
    await operations.submit(world.platform, grant)
    for tenant in (acme, bolt):
        await record(world.platform, tenant, f"before-{tenant.id}")
    known = world.platform.metering.terms
    for plan_id, terms in list(known.items()):
        if terms.plan.code == "plan-acme":
            known[plan_id] = replace(terms, prices=tuple((price, Broken()) for price, _ in terms.prices))
    broken, others = await asyncio.gather(
        record(world.platform, acme, "broken"), record(world.platform, bolt, "other"), return_exceptions=True
    )
    assert isinstance(broken, RuntimeError)
    assert others is RecordStatus.RECORDED
    assert await used_units(acme) == {"invites_sent": 1}
    assert await used_units(bolt) == {"invites_sent": 2}


async def record(platform: Platform, tenant: Tenant, key: str) -> RecordStatus:
    [result] = await usage.record_usage(platform, tenant, [NewEvent("invites_sent", 1, key)])
    return result.status


async def test_terms_that_changed_since_the_call_began_are_fetched_first(world: World) -> None:
    """Another process has changed the plan between the call and its decision: reserved once, with its counter."""
    acme = await sign_up(world.platform, "acme")
    began = world.clock.now()
    await operations.submit(world.platform, GrantCredits(acme.id, "gift", "invites_sent", 5, CreditSource.OTHER, began))
    world.clock.travel_to(began + timedelta(seconds=1))
    second = await plans.create_plan(world.platform, CreatePlan("second", "Second", "USD", [PRICE]))
    await changes.change_plan(world.platform, ChangePlan(acme, second.plan.id, ChangeAt.NOW, "up"))
    world.platform.metering.terms.clear()
    intent = Intent(OperationKind.UPLOAD, "key", {}, {"invites_sent": 2}, new_id())
    operation, is_new = await operations.submit(world.platform, Reserve(acme.id, intent, "hash", began))
    assert is_new
    assert operation.decision["credits"] == {"invites_sent": 1}
    assert await used_units(acme) == {}, "which fails if what is reserved is not what the operation holds"


Kind = Literal["record", "reserve", "succeed", "fail", "undo", "no answer"]
Step = tuple[Kind, int, int, int]
STEPS = st.tuples(
    st.sampled_from(["record", "reserve", "reserve", "succeed", "succeed", "fail", "undo", "no answer"]),
    st.integers(0, 5),  # whose key
    st.integers(1, 3),  # how many units
    st.integers(0, 1),  # in which process
)
ROUNDS = st.lists(st.tuples(st.lists(STEPS, min_size=1, max_size=8), st.sampled_from([0, 0, 0, 20])), max_size=6)
numbers = count()


@given(rounds=ROUNDS)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_happens_at_once_the_books_agree(
    rounds: list[tuple[list[Step], int]], world: World, elsewhere: Platform
) -> None:
    """Each round's steps happen at the same time; days may pass after it."""
    world.clock.travel_to(START)
    tenant = await sign_up(world.platform, f"tenant-{next(numbers)}", hard("documents_created", 9))
    opened: dict[int, StoredOperation] = {}

    async def take(step: Step) -> None:
        kind, key, units, process = step
        platform = (world.platform, elsewhere)[process]
        if kind == "record":
            await usage.record_usage(platform, tenant, [NewEvent("downloads", units, f"event-{key}")])
        elif kind == "reserve":
            wanted = {"documents_created": units, "api_calls": 1}
            opened[key] = await reserve(platform, tenant, f"key-{key}", wanted)
        elif key in opened:
            operation = opened[key]
            if kind == "succeed":
                await operations.succeed(platform, operation, {"documents_created": units, "api_calls": 1})
            elif kind == "fail":
                await operations.give_up(platform, operation)
            elif kind == "undo":
                await operations.undo(platform, operation)
            else:
                await Operation.filter(id=operation.id, state=OperationState.RESERVED).update(
                    state=OperationState.UNKNOWN
                )

    async def try_to_take(step: Step) -> None:
        with contextlib.suppress(Refused):
            await take(step)

    async with asyncio.timeout(60):
        for steps, days in rounds:
            await asyncio.gather(*(try_to_take(step) for step in steps))
            world.clock.travel_to(world.clock.now() + timedelta(days=days))
            await used_units(tenant)
