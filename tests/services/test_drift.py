"""What tenants lose at Stripe and SignNow: found, mended where that is safe, else kept for people."""

import asyncio
from datetime import timedelta

import pytest

from services import timetable
from storage.discrepancies import Discrepancy
from storage.tenants import Tenant
from tests.services.identity_steps import code_of, connect, dedicated, email_of, withdraw
from tests.services.identity_steps import world as world
from tests.services.steps import Customer, Json, do, fault, refused, sign_up, signnow_books
from tests.world import START, World

pytestmark = pytest.mark.anyio

KEY = {"authorization": "Bearer sandbox-api-key"}
DRIFTS = "drifts { tenantId kind message isRepaired }"


async def check(world: World, customer: Customer | None = None) -> list[Json]:
    details = {"tenantId": customer.id} if customer else {}
    answer = await do(world.operator, "checkTenants", DRIFTS, **details)
    assert answer["userErrors"] == []
    return list(answer["drifts"])


async def repair(world: World, customer: Customer) -> list[Json]:
    answer = await do(world.operator, "repairTenant", f"tenant {{ state }} {DRIFTS}", tenantId=customer.id)
    assert answer["userErrors"] == []
    return list(answer["drifts"])


def kinds(found: list[Json]) -> list[tuple[str, bool]]:
    return [(drift["kind"], drift["isRepaired"]) for drift in found]


async def lose_folder(world: World, customer: Customer) -> None:
    """It is not there any more: our books name one that never was."""
    await Tenant.filter(id=customer.tenant.id).update(signnow_folder_id="f" * 40)


async def lose_callbacks(world: World) -> None:
    listed = (await world.signnow.get("/v2/event-subscriptions", headers=KEY)).json()["data"]
    for entry in listed[:2]:
        path = f"/v2/event-subscriptions/{entry['id']}"
        (await world.signnow.delete(path, headers=KEY)).raise_for_status()


async def test_nothing_is_lost(world: World) -> None:
    await sign_up(world)
    await dedicated(world, "bolt")
    assert await check(world) == []
    assert await Discrepancy.all().count() == 0


async def test_what_can_be_mended_is(world: World) -> None:
    acme = await sign_up(world)
    folder_id = acme.tenant.signnow_folder_id
    await lose_folder(world, acme)
    await lose_callbacks(world)
    both = [("FOLDER_GONE", False), ("CALLBACKS_WRONG", False)]
    assert kinds(await check(world, acme)) == both
    assert kinds(await check(world)) == both, "a check changes nothing"
    [row] = await Discrepancy.all()
    assert (row.kind, row.state.value) == ("FOLDER_GONE", "OPEN")
    repaired = await asyncio.gather(*(repair(world, acme) for _ in range(3)))
    assert set(kinds([drift for found in repaired for drift in found])) <= {(kind, True) for kind, _ in both}
    assert await check(world) == []
    assert (await Tenant.get(id=acme.tenant.id)).signnow_folder_id == folder_id, "it was found by its name"
    [row] = await Discrepancy.all()
    assert row.state.value == "RESOLVED"


async def test_a_folder_is_not_made_again_while_an_upload_has_no_answer(world: World) -> None:
    acme = await sign_up(world)
    await fault(world.signnow, "timeout_after", on="/document")
    assert refused(await acme.upload())["__typename"] == "OutcomeUnknown"
    await lose_folder(world, acme)
    assert kinds(await repair(world, acme)) == [("FOLDER_GONE", False)]
    world.clock.travel_to(START + timedelta(minutes=5))
    await world.work()
    assert (await acme.usage())["documents_created"] == (1, 0), "it was found without its folder"
    assert kinds(await repair(world, acme)) == [("FOLDER_GONE", True)]
    assert (await signnow_books(world))["uploads"] == 1


async def test_what_is_for_people_stays(world: World) -> None:
    acme = await dedicated(world, "acme")
    await withdraw(world, acme)
    path = f"/v1/customers/{acme.tenant.stripe_customer_id}"
    await world.stripe.delete(path, headers={"authorization": "Bearer sk_test_inkmeter"})
    lost = [("CUSTOMER_GONE", False), ("NOT_CONNECTED", False)]
    assert kinds(await check(world)) == lost
    assert kinds(await repair(world, acme)) == lost
    [row] = await Discrepancy.all()
    assert (row.kind, row.times) == ("NOT_CONNECTED", 1)
    await connect(world, acme.id, await code_of(world, email_of("acme")))
    assert kinds(await check(world)) == lost[:1]
    [row] = await Discrepancy.all()
    assert row.state.value == "RESOLVED"


async def test_the_daily_check_mends_callbacks_and_leaves_folders_to_people(world: World) -> None:
    acme, bolt = await sign_up(world), await dedicated(world, "bolt")
    await timetable.schedule_all(world.platform)
    await lose_folder(world, acme)
    await lose_callbacks(world)
    await withdraw(world, bolt)
    world.clock.travel_to(START + timedelta(days=1, hours=1))
    await world.work()
    assert kinds(await check(world)) == [("FOLDER_GONE", False), ("NOT_CONNECTED", False)]
    assert sorted([row.kind for row in await Discrepancy.all()]) == ["FOLDER_GONE", "NOT_CONNECTED"]


async def test_a_tenant_that_cannot_be_looked_at_does_not_hold_up_the_others(world: World) -> None:
    await sign_up(world)
    bolt = await sign_up(world, reference="bolt", code="bolt")
    await lose_folder(world, bolt)
    await fault(world.signnow, "500", 3, on="/folder", method="GET")
    assert kinds(await check(world)) == [("NOT_CHECKED", False), ("FOLDER_GONE", False)]
