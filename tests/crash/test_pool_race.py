"""Pools of invites that processes set at once: days belong to one of them."""

import pytest

from storage.upstream import InvitePool
from tests.crash.places import Place
from tests.crash.racing import set_pools
from tests.processes import run_at_once
from tests.world import START, World

pytestmark = pytest.mark.anyio

YEARS = range(2030, 2050)


async def test_pools_that_are_set_at_once_do_not_overlap(world: World, database_url: str) -> None:
    place = Place(database_url, START)
    taken = await run_at_once(set_pools, [(place, month, YEARS) for month in (1, 4, 7)])
    assert sorted(year for years in taken for year in years) == list(YEARS)
    assert await InvitePool.all().count() == len(YEARS)
