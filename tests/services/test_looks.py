"""Where a document stands, and its history: derived, counted as calls, open to whoever may only read."""

from datetime import timedelta

import pytest

from storage.tenants import Tenant
from tests.services.signing_steps import cancel, decline, delete_there, status
from tests.services.steps import Customer, Json, fault, quota, sign_up
from tests.world import START, World

pytestmark = pytest.mark.anyio


async def history(customer: Customer, document: str) -> list[Json]:
    query = """query ($id: ID!, $tenant: ID) { documentHistory(documentId: $id, tenantId: $tenant) {
        event email occurredAt } }"""
    return list((await customer.api.ask(query, id=document, tenant=customer.id))["documentHistory"])


async def test_a_document_goes_from_one_status_to_another(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    assert await status(customer, document) == {
        "status": "NO_INVITE",
        "document": {"state": "UPLOADED"},
        "signers": [],
    }
    await customer.invite(document, "in", "ann@x.test", "bob@x.test")
    shown = await status(customer, document)
    assert (shown["status"], [s["email"] for s in shown["signers"]]) == ("PENDING", ["ann@x.test", "bob@x.test"])
    await decline(customer, document, "ann@x.test")
    shown = await status(customer, document)
    assert (shown["status"], [s["isDeclined"] for s in shown["signers"]]) == ("DECLINED", [True, False])
    await cancel(customer, document)
    assert (await status(customer, document))["status"] == "CANCELLED"
    await customer.invite(document, "again", "ann@x.test", "bob@x.test")
    world.clock.travel_to(START + timedelta(days=31))
    assert (await status(customer, document))["status"] == "EXPIRED"


async def test_a_look_counts_what_was_signed_without_any_callback(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    await world.signnow.post("/_sandbox/webhooks", json={"drop": 10})
    await customer.sign(document)
    before = (await customer.usage())["api_calls"][0]
    for _ in range(2):
        shown = await status(customer, document)
        assert (shown["status"], shown["document"]["state"]) == ("COMPLETED", "COMPLETED")
    used = await customer.usage()
    assert (used["signatures"], used["documents_completed"]) == ((1, 0), (1, 0))
    assert used["api_calls"] == (before + 2, 0)


async def test_history_is_what_signnow_has_written(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    await customer.sign(document)
    before = (await customer.usage())["api_calls"][0]
    entries = await history(customer, document)
    assert entries[-1]["event"] == "document_signed"
    assert entries[-1]["email"] == "ann@x.test"
    assert (await customer.usage())["api_calls"] == (before + 1, 0)


async def test_no_quota_and_no_overdue_payment_stops_a_look(world: World) -> None:
    customer = await sign_up(world, quotas=[quota("api_calls", "HARD", 1)])
    document = await customer.document()
    await Tenant.filter(id=customer.tenant.id).update(state="GRACE", grace_until=START - timedelta(days=1))
    assert (await status(customer, document))["status"] == "NO_INVITE"
    assert (await history(customer, document)) != []
    assert (await customer.usage())["api_calls"] == (3, 0)


async def test_a_look_that_fails_says_why_and_is_not_counted(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    query = "query ($id: ID!, $tenant: ID) { documentStatus(documentId: $id, tenantId: $tenant) { status } }"
    await fault(world.signnow, "500", 3, on="/document", method="GET")
    answer = await customer.api.post(query, id=document, tenant=customer.id)
    assert [e["extensions"]["code"] for e in answer["errors"]] == ["UPSTREAM_UNAVAILABLE"]
    await delete_there(customer, document)
    answer = await customer.api.post(query, id=document, tenant=customer.id)
    assert [e["extensions"]["code"] for e in answer["errors"]] == ["SIGNNOW_REFUSED"]
    assert (await customer.usage())["api_calls"] == (1, 0)
