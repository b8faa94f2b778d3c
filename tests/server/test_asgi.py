"""The application around GraphQL: health, webhooks by HTTP, who asks, and a database that goes away."""

import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.webhooks import MAX_BYTES
from storage import database
from tests.world import OPERATOR_KEY, SECRET, World

pytestmark = pytest.mark.anyio

VIEWER = "{ viewer { role } }"


@pytest.fixture
async def broken(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A world whose database does not answer any more."""

    def gone(_: str) -> Any:
        raise ConnectionRefusedError("the database is down")

    with monkeypatch.context() as patched:
        patched.setattr(database, "get_connection", gone)
        yield world


async def test_health(world: World) -> None:
    response = await world.http.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_health_without_a_database(broken: World, caplog: pytest.LogCaptureFixture) -> None:
    response = await broken.http.get("/health")
    assert (response.status_code, response.json()) == (503, {"status": "the database does not answer"})
    assert "the database is down" in caplog.text


async def test_the_home_page_leads_to_graphql(world: World) -> None:
    response = await world.http.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "/graphql")


async def test_graphiql_is_off_unless_asked_for(world: World) -> None:
    response = await world.http.get("/graphql", headers={"accept": "text/html"})
    assert response.status_code == 405
    assert response.json()["errors"][0]["extensions"]["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer ink_op_unknown",
        f"Basic {OPERATOR_KEY}",
        f"Bearer {OPERATOR_KEY}x",
        "Bearer \xff",
    ],
)
async def test_without_a_good_key_nothing_is_told(world: World, authorization: str) -> None:
    headers = [(b"authorization", authorization.encode("latin-1"))]
    response = await world.http.post("/graphql", json={"query": VIEWER}, headers=headers)
    assert response.status_code == 200
    [error] = response.json()["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_good_key_is_known(world: World, scheme: str) -> None:
    headers = {"authorization": f"{scheme} {OPERATOR_KEY}"}
    response = await world.http.post("/graphql", json={"query": VIEWER}, headers=headers)
    assert response.json() == {"data": {"viewer": {"role": "OPERATOR"}}}


def stripe_event(key: str) -> bytes:
    data = {"object": {"id": "cus_1", "object": "customer"}}
    event = {"id": key, "object": "event", "type": "customer.created", "created": 1773133200, "data": data}
    return json.dumps(event).encode()


def stripe_signature(payload: bytes, at: int) -> str:
    mac = hmac.new(SECRET.encode(), f"{at}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


async def test_a_delivery_is_stored_once(world: World) -> None:
    payload = stripe_event("evt_1")
    headers = {"stripe-signature": stripe_signature(payload, int(time.time()))}
    first = await world.http.post("/webhooks/stripe", content=payload, headers=headers)
    second = await world.http.post("/webhooks/stripe", content=payload, headers=headers)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["eventId"] == second.json()["eventId"]
    assert (first.json()["isDuplicate"], second.json()["isDuplicate"]) == (False, True)


@pytest.mark.parametrize(("path", "status"), [("/webhooks/stripe", 400), ("/webhooks/signnow", 200)])
@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff\x00", b"[" * 10_000], ids=["none", "empty", "bytes", "deep"])
async def test_a_delivery_that_is_not_authentic(world: World, path: str, status: int, payload: bytes) -> None:
    headers = {"stripe-signature": "t=1,v1=00", "x-signnow-signature": "AAAA"}
    for sent in ({}, headers):
        response = await world.http.post(path, content=payload, headers=sent)
        assert response.status_code == status
        assert response.json()["code"] == "WEBHOOK_REJECTED"
    assert not await database.rows("SELECT 1 FROM webhook_event")


@pytest.mark.parametrize("path", ["/webhooks/stripe", "/webhooks/signnow"])
async def test_a_delivery_that_is_too_large(world: World, path: str) -> None:
    response = await world.http.post(path, content=b" " * (MAX_BYTES + 1))
    assert response.status_code == 413


async def test_a_delivery_that_cannot_be_stored_is_asked_for_again(
    broken: World, caplog: pytest.LogCaptureFixture
) -> None:
    payload = stripe_event("evt_2")
    headers = {"stripe-signature": stripe_signature(payload, int(time.time()))}
    with caplog.at_level(logging.ERROR):
        response = await broken.http.post("/webhooks/stripe", content=payload, headers=headers)
    assert response.status_code == 503
    assert response.json()["reference"] in caplog.text
    assert "database is down" not in response.text


async def test_signnow_may_try_the_address(world: World) -> None:
    response = await world.http.get("/webhooks/signnow")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})


async def test_other_paths_and_methods(world: World) -> None:
    assert (await world.http.get("/nothing")).status_code == 404
    assert (await world.http.get("/webhooks/stripe")).status_code == 405
    assert (await world.http.delete("/graphql")).status_code == 405
