"""SignNow's callbacks: kept subscribed for each identity, made up for from SignNow's log, counted once."""

from collections import Counter
from datetime import timedelta

import pytest

from services import callbacks, timetable
from storage.database import rows
from storage.documents import Document
from storage.signnow_tokens import load_tokens
from storage.webhooks import WebhookEvent
from tests.services.identity_steps import dedicated, withdraw
from tests.services.identity_steps import world as world
from tests.services.signing_steps import delete, delete_there
from tests.services.steps import Json, do, fault, problems, raw_id, sign_up
from tests.world import START, World

pytestmark = pytest.mark.anyio

KEY = {"authorization": "Bearer sandbox-api-key"}


async def subscriptions(world: World, bearer: str) -> list[Json]:
    headers = {"authorization": f"Bearer {bearer}"}
    return list((await world.signnow.get("/v2/event-subscriptions", headers=headers)).json()["data"])


async def lose_all(world: World, bearer: str) -> None:
    for entry in await subscriptions(world, bearer):
        path = f"/v2/event-subscriptions/{entry['id']}"
        await world.signnow.delete(path, headers={"authorization": f"Bearer {bearer}"})


async def catch_up(world: World, **details: int) -> Json:
    return await do(world.operator, "catchUpSignNow", "mended listed new", **details)


async def test_each_identity_is_subscribed_again(world: World) -> None:
    await sign_up(world, reference="shared")
    acme = await dedicated(world, "acme")
    tokens = await load_tokens(acme.tenant.id)
    assert tokens is not None
    await timetable.schedule_all(world.platform)
    for bearer in ("sandbox-api-key", tokens.access):
        assert len(await subscriptions(world, bearer)) == 5
        await lose_all(world, bearer)
    world.clock.travel_to(START + timedelta(hours=1, minutes=1))
    await world.work()
    for bearer in ("sandbox-api-key", tokens.access):
        assert len(await subscriptions(world, bearer)) == 5


async def test_a_subscription_of_the_older_generation_is_mended_in_its_place(world: World) -> None:
    await sign_up(world)
    [entry] = [e for e in await subscriptions(world, "sandbox-api-key") if e["event"] == "user.document.complete"]
    await world.signnow.delete(f"/v2/event-subscriptions/{entry['id']}", headers=KEY)
    older = {
        "event": "user.document.complete",
        "entity_id": entry["entity_unique_id"],
        "action": "callback",
        "attributes": {"callback": "http://inkmeter.test/webhooks/signnow"},
        "secret_key": "another",
    }
    (await world.signnow.post("/api/v2/events", json=older, headers=KEY)).raise_for_status()
    assert (await catch_up(world))["mended"] == 1
    events = [e["event"] for e in await subscriptions(world, "sandbox-api-key")]
    assert sorted(events) == sorted(set(events))
    assert (await catch_up(world))["mended"] == 0


async def test_an_outage_is_made_up_for_from_signnows_log(world: World) -> None:
    """What the log tells is what was not taken in; and it has the same keys as what was."""
    shared, acme = await sign_up(world, reference="shared"), await dedicated(world, "acme")
    await world.work()
    (await world.signnow.post("/_sandbox/webhooks", json={"drop": 1000})).raise_for_status()
    for customer in (shared, acme):
        await customer.sign(await customer.send(1))
    await world.work()
    assert "signatures" not in await shared.usage()
    before = await WebhookEvent.filter(source="SIGNNOW").count()
    found = await catch_up(world)
    assert found["userErrors"] == []
    assert found["new"] == 6, "created, signed and complete, of each"
    await world.work()
    for customer in (shared, acme):
        usage = await customer.usage()
        assert (usage["signatures"], usage["documents_completed"]) == ((1, 0), (1, 0))
    assert await WebhookEvent.filter(source="SIGNNOW").count() == before + 6
    again = await catch_up(world)
    assert (again["listed"] >= 6, again["new"]) == (True, 0)


async def test_the_hourly_look_catches_up_too(world: World) -> None:
    acme = await sign_up(world)
    await timetable.schedule_all(world.platform)
    (await world.signnow.post("/_sandbox/webhooks", json={"drop": 1000})).raise_for_status()
    await acme.sign(await acme.send(1))
    world.clock.travel_to(START + timedelta(hours=1, minutes=1))
    await world.work()
    assert (await acme.usage())["signatures"] == (1, 0)


async def test_what_arrived_is_in_the_log_under_the_same_key(world: World) -> None:
    """Also twice, in another order, and of kinds that are known by what they say alone."""
    acme = await sign_up(world)
    await world.signnow.post("/_sandbox/webhooks", json={"duplicate": True, "reorder": True})
    other = {
        "event": "user.document.open",
        "entity_id": (await subscriptions(world, "sandbox-api-key"))[0]["entity_unique_id"],
        "action": "callback",
        "attributes": {"callback": "http://inkmeter.test/webhooks/signnow", "secret_key": "signnow-test"},
    }
    (await world.signnow.post("/v2/event-subscriptions", json=other, headers=KEY)).raise_for_status()
    await acme.sign(await acme.send(1, "ann@x.test", "bob@x.test"), "ann@x.test", "bob@x.test")
    await world.work()
    kinds = Counter(event.type.removeprefix("user.document.") for event in await WebhookEvent.filter(source="SIGNNOW"))
    assert kinds == {"create": 1, "fieldinvite.signed": 2, "complete": 1, "open": 2}
    assert (await catch_up(world))["new"] == 0
    assert (await acme.usage())["signatures"] == (2, 0)


async def test_callbacks_before_the_answer_of_their_call_count_once(world: World) -> None:
    acme = await dedicated(world, "acme")
    await world.signnow.post("/_sandbox/webhooks", json={"early": True})
    document = await acme.send(1)
    await acme.sign(document)
    for seconds in (0, 10, 30, 90):
        world.clock.travel_to(START + timedelta(seconds=seconds))
        await world.work()
    usage = await acme.usage()
    assert (usage["documents_created"], usage["invites_sent"], usage["signatures"]) == ((1, 0), (1, 0), (1, 0))
    assert {event.state.value for event in await WebhookEvent.filter(source="SIGNNOW")} == {"APPLIED"}


async def test_an_identity_that_cannot_be_asked_leaves_the_others(world: World) -> None:
    await sign_up(world, reference="shared")
    acme = await dedicated(world, "acme")
    await lose_all(world, "sandbox-api-key")
    await withdraw(world, acme)
    assert (await catch_up(world))["mended"] == 5
    await fault(world.signnow, "500", 3, on="/v2/event-subscriptions", method="GET")
    assert (await catch_up(world))["userErrors"] == []


async def test_days_have_bounds(world: World) -> None:
    for days in (0, -1, 31, 2**31 - 1):
        assert list(problems(await catch_up(world, days=days))) == ["days"]
    assert timedelta(hours=1) == callbacks.KEEP_EVERY


@pytest.mark.parametrize("who_deletes", ["we", "they"])
async def test_what_a_callback_says_counts_after_the_document_was_deleted(world: World, who_deletes: str) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    await customer.sign(document)
    await world.signnow.post("/_sandbox/flush")  # the callbacks are stored, and nobody has looked yet
    if who_deletes == "we":
        assert (await delete(customer, document))["userErrors"] == []
    else:
        await delete_there(customer, document)
    await world.work()
    usage = await customer.usage()
    assert (usage["signatures"], usage["documents_completed"]) == ((1, 0), (1, 0))
    assert not await rows("SELECT * FROM job WHERE topic = 'webhook.apply' AND state <> 'DONE'")
    assert (await Document.get(id=raw_id(document))).state == ("DELETED" if who_deletes == "we" else "COMPLETED")
