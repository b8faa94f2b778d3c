"""One pool for all tenants: its parts add up, and the forecast follows the last 30 days."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.services.steps import INVITES, Json, do, problems, refused, sign_up
from tests.services.upstream_steps import POOL, pool, set_cost
from tests.world import START, World

pytestmark = pytest.mark.anyio


async def set_pool(world: World, units: int, start: str = "2026-01-01", end: str = "2027-01-01") -> Json:
    return await do(
        world.operator, "setInvitePool", f"pool {{ {POOL} }}", **{"units": str(units), "from": start, "to": end}
    )


async def test_a_pool_is_shared_and_runs_out(world: World) -> None:
    acme = await sign_up(world, INVITES)
    bolt = await sign_up(world, INVITES, reference="bolt", code="other")
    assert await pool(world) is None
    assert (await set_pool(world, 12))["userErrors"] == []
    await set_cost(world, "10.00", "2026-01-01T00:00:00Z", "MONTHLY_FEE")
    await acme.send(1)
    await bolt.send(1)
    await world.travel_to(START + timedelta(days=31))
    await acme.send(2)
    await acme.send(3)
    found = await pool(world)
    assert found is not None
    assert (found["used"], found["remaining"], found["fixedCost"]["amount"]) == ("4", "8", "40.00")
    assert [(t["name"], t["used"], t["percent"], t["fixedCost"]["amount"]) for t in found["tenants"]] == [
        ("acme Inc", "3", "75.00", "30.00"),
        ("bolt Inc", "1", "25.00", "10.00"),
    ]
    # Two units in 30 days: the eight that are left last for 120.
    assert found["exhaustsAt"] == "2026-08-08T09:00:00Z"
    assert found["drivers"] == [
        {"name": "acme Inc", "recent": "2", "growth": "1", "percentOfUse": "100.00", "percentOfGrowth": "100.00"}
    ]
    assert (await set_pool(world, 3))["userErrors"] == [], "the same day again replaces it"
    found = await pool(world)
    assert found is not None
    assert (found["remaining"], found["exhaustsAt"]) == ("-1", "2026-04-10T09:00:00Z")
    assert (await set_pool(world, 2000))["userErrors"] == []
    found = await pool(world)
    assert found is not None
    assert found["exhaustsAt"] is None, "it lasts to its end"


async def test_a_pool_that_nobody_uses(world: World) -> None:
    await sign_up(world, INVITES)
    await set_pool(world, 10)
    await set_cost(world, "84.00", "2026-01-01T00:00:00Z", "MONTHLY_FEE")
    found = await pool(world)
    assert found is not None
    assert (found["tenants"], found["drivers"], found["exhaustsAt"]) == ([], [], None)
    assert found["fixedCost"]["amount"] == "252.00"
    assert await pool(world, on="2027-01-01") is None
    assert await pool(world, on="2026-12-31") is not None


async def test_a_pool_beyond_all_need_lasts_to_its_end(world: World) -> None:
    acme = await sign_up(world, INVITES)
    await acme.send(1)
    assert (await set_pool(world, 10**12))["userErrors"] == []
    found = await pool(world)
    assert found is not None
    assert (found["remaining"], found["exhaustsAt"]) == (str(10**12 - 1), None)
    assert problems(await set_pool(world, 10**12 + 1)) == {"units": "is a number from 1 to 1000000000000"}


async def test_a_pool_that_has_not_begun_is_used_from_its_first_day(world: World) -> None:
    acme = await sign_up(world, INVITES)
    await acme.send(1)
    await set_pool(world, 2, "2026-06-01", "2027-01-01")
    asked = await world.operator.ask('{ invitePool(on: "2026-06-01") { remaining exhaustsAt } }')
    assert asked["invitePool"] == {"remaining": "2", "exhaustsAt": "2026-07-31T00:00:00Z"}


async def test_pools_do_not_overlap(world: World) -> None:
    await set_pool(world, 10, "2026-01-01", "2026-07-01")
    assert refused(await set_pool(world, 5, "2026-06-30", "2027-01-01"))["__typename"] == "Conflict"
    assert (await set_pool(world, 5, "2026-07-01", "2027-01-01"))["userErrors"] == []
    assert list(problems(await set_pool(world, 0, "2026-07-01", "2026-07-01"))) == ["units", "to"]
    world.clock.travel_to(datetime(2026, 8, 1, tzinfo=UTC))
    found = await pool(world)
    assert found is not None
    assert found["units"] == "5"
