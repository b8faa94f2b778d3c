"""SignNow's own counters of documents: taken daily, kept with versions, shown beside ours."""

from datetime import timedelta

import pytest

from services import account_counters, timetable, upstream_reconciling
from storage.database import rows
from storage.upstream import UpstreamFigure
from tests.services.identity_steps import dedicated
from tests.services.identity_steps import world as world
from tests.services.steps import Json, do, fault, sign_up
from tests.world import START, World

pytestmark = pytest.mark.anyio


async def documents(world: World) -> dict[str | None, Json | None]:
    selection = "rows { name unexplained documents { ours theirs takenAt } }"
    answer = await do(world.operator, "reconcileSignNow", selection, month="2026-03")
    return {row["name"]: row["documents"] for row in answer["rows"]}


async def test_each_account_is_asked_daily_and_stands_beside_ours(world: World) -> None:
    shared, own = await sign_up(world), await dedicated(world, "cedar")
    await shared.document("one")
    await shared.document("two")
    await own.document("three")
    assert set((await documents(world)).values()) == {None}
    await timetable.schedule_all(world.platform)
    await world.travel_to(START + timedelta(days=1, minutes=1))
    await world.work()
    at = (START + timedelta(days=1, minutes=1)).isoformat().replace("+00:00", "Z")
    seen = await documents(world)
    assert seen[None] == {"ours": "2", "theirs": "2", "takenAt": at}
    assert seen["cedar Inc"] == {"ours": "1", "theirs": "1", "takenAt": at}
    assert seen[shared.tenant.name] is None
    await shared.document("four")
    await world.travel_to(START + timedelta(days=2, minutes=2))
    await world.work()
    assert ((await documents(world))[None] or {})["theirs"] == "3"
    versions = await UpstreamFigure.filter(source=account_counters.SOURCE).order_by("account", "version")
    assert sorted(figure.units for figure in versions) == [1, 2, 3], "the same number is no new version"
    [job] = await rows("SELECT state FROM job WHERE topic = ?", account_counters.TAKE)
    assert job["state"] == "WAITING"


async def test_a_counter_is_never_read_as_invites(world: World) -> None:
    customer = await sign_up(world)
    await customer.send(1)
    await customer.document("more")
    assert await account_counters.take_counters(world.platform) == 1
    for row in await upstream_reconciling.reconcile_signnow(world.platform, "2026-03"):
        assert (row.basis, row.ours, row.theirs, row.unexplained) == ("DOCUMENTS", 1, 1, 0)


async def test_an_account_that_cannot_be_asked_is_left_to_the_next_look(world: World) -> None:
    await sign_up(world)
    await dedicated(world, "cedar")
    await fault(world.signnow, "500", 3, on="/user", method="GET")
    assert await account_counters.take_counters(world.platform) == 1
    assert await account_counters.take_counters(world.platform) == 2
