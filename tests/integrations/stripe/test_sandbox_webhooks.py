"""The sandbox's webhooks: signed, repeated until answered, and disturbed on request."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from inkmeter.clock import FrozenClock
from integrations.stripe.sandbox import create_app
from tests.integrations.stripe.conftest import START, World, answer_errors

pytestmark = pytest.mark.anyio


async def test_events_arrive_signed_with_the_sandboxs_time_and_stripes_shape(world: World) -> None:
    await world.post("/v1/customers", "key-1", name="Acme")
    await world.control("flush")
    assert world.inbox.types() == ["payment_method.attached", "customer.created"]
    [event] = (await world.get("/v1/events", type="customer.*"))["data"]
    assert event["created"] == int(START.timestamp())
    assert event["request"]["idempotency_key"] == "key-1"
    assert (event["data"]["object"]["name"], event["pending_webhooks"]) == ("Acme", 0)
    assert (await world.get(f"/v1/events/{event['id']}")) == event
    assert world.inbox.events[1].id == event["id"]
    assert answer_errors(event) == []


async def test_an_event_shows_the_object_as_it_was_and_what_changed(world: World) -> None:
    customer = await world.post("/v1/customers", name="Acme")
    await world.post(f"/v1/customers/{customer['id']}", name="Acme Inc")
    await world.post(f"/v1/customers/{customer['id']}", name="Acme Inc")
    updated, created = (await world.get("/v1/events", type="customer.*"))["data"]
    assert created["data"]["object"]["name"] == "Acme"
    assert updated["data"]["previous_attributes"] == {"name": "Acme"}


async def test_an_unanswered_webhook_is_repeated_later(world: World) -> None:
    world.inbox.status = 500
    await world.post("/v1/products", name="Business")
    undelivered = (await world.control("flush"))["undelivered"]
    assert len(undelivered) == 1
    await world.control("flush")
    assert len(world.inbox.events) == 1  # not before a minute has passed
    world.inbox.status = 200
    await world.travel(START + timedelta(minutes=1))
    assert [event.id for event in world.inbox.events] == undelivered * 2
    assert (await world.control("flush"))["undelivered"] == []


async def test_after_three_retries_only_the_api_knows_the_event(world: World) -> None:
    world.inbox.status = 500
    await world.post("/v1/products", name="Business")
    for hours in range(30):
        await world.travel(START + timedelta(hours=hours))
    assert len(world.inbox.events) == 4
    missed = await world.get("/v1/events", delivery_success="false")
    assert [event["type"] for event in missed["data"]] == ["product.created"]
    assert (await world.get("/v1/events", delivery_success="true"))["data"] == []


async def test_webhooks_can_be_doubled_turned_round_and_lost(world: World) -> None:
    await world.control("webhooks", duplicate=True, reorder=True)
    await world.post("/v1/customers")
    await world.control("flush")
    assert world.inbox.types() == ["customer.created"] * 2 + ["payment_method.attached"] * 2
    first, second, *_ = world.inbox.events
    assert first.id == second.id

    await world.control("webhooks", drop=1)
    await world.post("/v1/products", name="lost")
    await world.post("/v1/products", name="found")
    await world.control("flush")
    assert b"found" in world.inbox.bodies[-1]
    assert b"lost" not in b"".join(world.inbox.bodies)
    await world.travel(START + timedelta(days=1))
    assert b"lost" not in b"".join(world.inbox.bodies)


async def test_endpoints_get_what_they_ask_for(world: World) -> None:
    [everything] = (await world.get("/v1/webhook_endpoints"))["data"]
    await world.call("DELETE", f"/v1/webhook_endpoints/{everything['id']}")
    await world.post("/v1/webhook_endpoints", url="http://host/nowhere", **{"enabled_events[]": "product.created"})
    await world.post("/v1/customers")
    await world.post("/v1/products", name="Business")
    missed = (await world.control("flush"))["undelivered"]  # nobody answers there
    [event] = (await world.get("/v1/events", **{"types[]": "product.created"}))["data"]
    assert missed == [event["id"]]


async def test_deliveries_do_not_wait_for_a_flush(world: World) -> None:
    await world.post("/v1/products", name="Business")
    for _ in range(100):
        await asyncio.sleep(0)
    assert world.inbox.types() == ["product.created"]


async def test_a_host_that_is_down_is_a_failed_delivery() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody listens", request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as hooks:
        app = create_app(clock=FrozenClock(START), webhook_url="http://down", http=hooks)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://stripe") as http:
            headers = {"authorization": "Bearer sk_test_inkmeter"}
            await http.post("/v1/products", headers=headers, data={"name": "Business"})
            assert len((await http.post("/_sandbox/flush")).json()["undelivered"]) == 1
        await app.state.account.deliveries.aclose()
