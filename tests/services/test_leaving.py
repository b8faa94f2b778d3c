"""A deprovisioned tenant leaves SignNow, and what it did before is counted first."""

from datetime import timedelta

import pytest

from storage.jobs import LEASE
from storage.operations import Operation
from storage.signnow_tokens import load_tokens
from storage.webhooks import WebhookEvent
from tests.services.identity_steps import code_of, connect, dedicated, email_of
from tests.services.identity_steps import world as world
from tests.services.steps import Customer, do, fault, refused, sign_up
from tests.world import START, World

pytestmark = pytest.mark.anyio

KEY = {"authorization": "Bearer sandbox-api-key"}


async def deprovision(world: World, customer: Customer) -> None:
    answer = await do(world.operator, "deprovisionTenant", "tenant { state }", tenantId=customer.id)
    assert answer["tenant"]["state"] == "DEPROVISIONED"


async def later(world: World, days: float) -> None:
    world.clock.travel_to(START + timedelta(days=days))
    await world.work()


async def test_callbacks_and_consent_end_and_the_documents_stay(world: World) -> None:
    acme = await dedicated(world, "acme")
    document = await acme.send(1)
    tokens = await load_tokens(acme.tenant.id)
    assert tokens is not None
    headers = {"authorization": f"Bearer {tokens.access}"}
    await deprovision(world, acme)
    await acme.sign(document)
    await world.work()
    assert await load_tokens(acme.tenant.id) == tokens, "for a day it is still listened to"
    await later(world, 1.1)
    assert await load_tokens(acme.tenant.id) is None
    assert (await world.signnow.get("/user", headers=headers)).json()["error"] == "invalid_token"
    code = await code_of(world, email_of("acme"))
    assert (await do(world.operator, "reactivateTenant", "tenant { state }", tenantId=acme.id))["userErrors"] == []
    assert refused(await acme.download(document))["__typename"] in ("SignNowNotConnected", "SubscriptionInactive")
    assert (await connect(world, acme.id, code))["userErrors"] == []
    fresh = await load_tokens(acme.tenant.id)
    assert fresh is not None
    folder = await world.signnow.get(
        f"/folder/{acme.tenant.signnow_folder_id}", headers={"authorization": f"Bearer {fresh.access}"}
    )
    assert len(folder.json()["documents"]) == 1


async def test_who_comes_back_in_time_stays_connected(world: World) -> None:
    acme = await dedicated(world, "acme")
    await deprovision(world, acme)
    assert (await do(world.operator, "reactivateTenant", "tenant { state }", tenantId=acme.id))["userErrors"] == []
    await later(world, 1.1)
    assert await load_tokens(acme.tenant.id) is not None


async def test_what_has_no_answer_is_settled_first(world: World) -> None:
    acme = await dedicated(world, "acme")
    await fault(world.signnow, "timeout_after", on="/document")
    assert refused(await acme.upload())["__typename"] == "OutcomeUnknown"
    await deprovision(world, acme)
    await fault(world.signnow, "500", 6, on="/folder", method="GET")
    world.clock.travel_to(START + timedelta(days=1.1))
    await world.work()
    await later(world, 1.2 + LEASE / timedelta(days=1))
    assert await load_tokens(acme.tenant.id) is None
    assert [operation.state.value for operation in await Operation.all()] == ["SUCCEEDED"]


async def test_the_shared_account_stays_as_it_is(world: World) -> None:
    acme = await sign_up(world)
    await deprovision(world, acme)
    await later(world, 1.1)
    listed = (await world.signnow.get("/v2/event-subscriptions", headers=KEY)).json()["data"]
    assert len(listed) == 5
    assert not await WebhookEvent.filter(state="FAILED").exists()
