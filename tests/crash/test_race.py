"""A hard limit under fire: many tasks in several processes want the last units of one tenant."""

import asyncio
import random

import pytest

from storage.operations import Operation
from tests.bookkeeping import hard, sign_up, used_units
from tests.crash.places import Place
from tests.crash.racing import reserve_all, reserve_here, take_and_give_back
from tests.processes import run_at_once
from tests.world import START, World

pytestmark = pytest.mark.anyio

LIMIT = 50


async def test_the_limit_is_met_exactly(world: World, database_url: str) -> None:
    tenant = await sign_up(world.platform, "acme", hard("documents_created", LIMIT))
    place = Place(database_url, START)
    theirs, ours = await asyncio.gather(
        run_at_once(
            reserve_all, [(place, tenant.id, [(f"{process}-{n}", 1) for n in range(30)]) for process in range(3)]
        ),
        reserve_here(world.platform, tenant, [(f"here-{n}", 1) for n in range(10)]),
    )
    answers = [answer for given in [*theirs, ours] for answer in given]
    assert answers.count("granted") == LIMIT
    assert answers.count("refused") == 100 - LIMIT
    assert await Operation.filter(tenant_id=tenant.id).count() == LIMIT
    assert await used_units(tenant) == {}


async def test_nothing_is_refused_while_it_fits(world: World, database_url: str) -> None:
    tenant = await sign_up(world.platform, "acme", hard("documents_created", LIMIT))
    chance = random.Random(20260310)  # noqa: S311 - the same demand each time
    demand = [[(f"{process}-{n}", chance.randint(1, 4)) for n in range(20)] for process in range(3)]
    answers = await run_at_once(reserve_all, [(Place(database_url, START), tenant.id, wanted) for wanted in demand])
    granted = [
        units
        for wanted, answered in zip(demand, answers, strict=True)
        for (_, units), answer in zip(wanted, answered, strict=True)
        if answer == "granted"
    ]
    assert {answer for answered in answers for answer in answered} == {"granted", "refused"}
    assert LIMIT - 4 < sum(granted) <= LIMIT
    assert sum(o.reserved["documents_created"] for o in await Operation.filter(tenant_id=tenant.id)) == sum(granted)
    assert await used_units(tenant) == {}


async def test_the_same_keys_in_every_process_are_reserved_once(world: World, database_url: str) -> None:
    """Also the key of the last unit: whoever repeats it meets the operation, not the limit."""
    tenant = await sign_up(world.platform, "acme", hard("documents_created", LIMIT))
    wanted = [(f"key-{n}", 1) for n in range(LIMIT)]
    answers = await run_at_once(reserve_all, [(Place(database_url, START), tenant.id, wanted)] * 3)
    for answered in zip(*answers, strict=True):
        assert sorted(answered) == ["granted", "known", "known"]
    assert await used_units(tenant) == {}


async def test_units_that_are_given_back_are_free_at_once(world: World, database_url: str) -> None:
    tenant = await sign_up(world.platform, "acme", hard("documents_created", 3 * 8))
    answers = await run_at_once(take_and_give_back, [(Place(database_url, START), tenant.id, 8, 6)] * 3)
    assert {answer for answered in answers for answer in answered} == {"granted"}
    assert await Operation.filter(tenant_id=tenant.id, state="FAILED").count() == 3 * 8 * 3
    assert await used_units(tenant) == {}
