"""Webhooks: both doors take in what is authentic, once, and answer everything else in words."""

import asyncio
import hashlib
import hmac
import json
import time
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from inkmeter.periods import BillingPeriod
from integrations.signnow.webhooks import sign
from services.webhooks import FOREIGN_NOTE
from storage.database import rows
from storage.documents import Document, DocumentState
from storage.usage import sum_events
from storage.webhooks import WebhookEvent
from tests.services.steps import Customer, Json, fault, sign_up, signnow_books
from tests.services.terms import cancel
from tests.world import SECRET, SIGNNOW_SECRET, START, World, open_world

pytestmark = pytest.mark.anyio

MUTATIONS = {"stripe": "receiveStripeWebhook", "signnow": "receiveSignNowWebhook"}
HEADERS = {"stripe": "stripe-signature", "signnow": "x-signnow-signature"}
STRIPE_EVENT: Json = {
    "id": "evt_1",
    "object": "event",
    "type": "customer.updated",
    "created": 1_795_334_799,
    "data": {"object": {"id": "cus_1", "object": "customer"}},
}
SIGNNOW_EVENT: Json = {
    "meta": {"timestamp": 1_773_133_200, "event": "user.document.create"},
    "content": {"document_id": "unknown"},
}


def signature(source: str, payload: bytes, *, secret: str | None = None, at: float | None = None) -> str:
    if source == "signnow":
        return sign(payload, secret or SIGNNOW_SECRET)
    signed_at = int(time.time() if at is None else at)
    digest = hmac.new((secret or SECRET).encode(), f"{signed_at}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={signed_at},v1={digest}"


def payload_of(source: str, **changes: Any) -> bytes:
    return json.dumps({**(STRIPE_EVENT if source == "stripe" else SIGNNOW_EVENT), **changes}).encode()


async def post(world: World, source: str, payload: bytes, signed: str | None) -> tuple[int, Json]:
    """What the HTTP route answers."""
    headers = {} if signed is None else {HEADERS[source]: signed}
    response = await world.http.post(f"/webhooks/{source}", content=payload, headers=headers)
    return response.status_code, response.json()


async def mutate(world: World, source: str, payload: bytes, signed: str | None) -> Json:
    """What the mutation answers; it takes no API key."""
    mutation = f"""mutation ($input: ReceiveWebhookInput!) {{ {MUTATIONS[source]}(input: $input) {{
        receipt {{ isDuplicate }} userErrors {{ __typename }} }} }}"""
    answer = await world.api(None).ask(mutation, input={"payload": payload.decode(), "signature": signed or ""})
    return dict(answer[MUTATIONS[source]])


async def stored() -> int:
    return await WebhookEvent.all().count()


async def assert_rejected(world: World, source: str, payload: bytes, signed: str | None) -> None:
    before = await stored()
    status, answer = await post(world, source, payload, signed)
    assert (status, answer["code"]) == ({"stripe": 400, "signnow": 200}[source], "WEBHOOK_REJECTED")
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        pass
    else:
        if "\0" not in text:
            [error] = (await mutate(world, source, payload, signed))["userErrors"]
            assert error["__typename"] == "WebhookRejected"
    assert await stored() == before


@pytest.mark.parametrize("source", ["stripe", "signnow"])
async def test_what_is_not_authentic_is_rejected(world: World, source: str) -> None:
    payload = payload_of(source)
    good = signature(source, payload)
    for wrong in (
        None,
        "",
        "nonsense",
        "t=1,v1=",
        "t=,v1=x",
        "t=a,v1=b",
        "v1=b",
        good[:-2] + "xx",
        good.upper(),
        signature(source, payload, secret="another"),
        signature(source, payload + b" "),
        "x" * 100_000,
    ):
        await assert_rejected(world, source, payload, wrong)
    assert await stored() == 0


@pytest.mark.parametrize("source", ["stripe", "signnow"])
async def test_a_signature_that_is_not_ascii_is_rejected(world: World, source: str) -> None:
    payload = payload_of(source)
    response = await world.http.post(
        f"/webhooks/{source}", content=payload, headers={HEADERS[source].encode(): "t=1,v1=\xe9".encode("latin-1")}
    )
    assert response.json()["code"] == "WEBHOOK_REJECTED"
    [error] = (await mutate(world, source, payload, "t=1,v1=é\U0001f600"))["userErrors"]
    assert error["__typename"] == "WebhookRejected"


async def test_a_stripe_delivery_is_recent(world: World) -> None:
    payload = payload_of("stripe")
    for off in (-301, 301, -(10**6), 10**12):
        await assert_rejected(world, "stripe", payload, signature("stripe", payload, at=time.time() + off))
    status, _ = await post(world, "stripe", payload, signature("stripe", payload, at=time.time() - 290))
    assert status == 200


@pytest.mark.parametrize("source", ["stripe", "signnow"])
async def test_authentic_nonsense_is_rejected_too(world: World, source: str) -> None:
    """Whoever has the secret may still send anything."""
    identity = "id" if source == "stripe" else "event"
    for payload in (
        b"",
        b"nonsense",
        b"null",
        b"[]",
        b"{}",
        b"1",
        b'"text"',
        b"\xff\xfe",
        b'{"id": "\xff"}',
        b"{" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        payload_of(source).replace(b"1", b"1" * 5000),
        json.dumps({**STRIPE_EVENT, **SIGNNOW_EVENT, "event": "x"}).encode("utf-16"),
        payload_of(source, **{identity: "a\0b", "meta": {"timestamp": 1, "event": "a\0b"}}),
        payload_of(source, **{identity: "a\ud800b", "meta": {"timestamp": 1, "event": "a\ud800b"}}),
        payload_of(source, **{identity: "x" * 3000, "meta": {"timestamp": 1, "event": "x" * 3000}}),
        payload_of(source, meta={"timestamp": 10**20, "event": "x"}, created=10**20),
        payload_of(source, meta={"timestamp": "soon", "event": "x"}, created="soon"),
        payload_of(source, meta={"event": "x"}, created=None),
        payload_of(source, content={"document_id": "a\0b"}, data={"object": {"object": "invoice", "id": "a\0b"}}),
        payload_of(source, content={"document_id": 5}, data={"object": []}),
    ):
        await assert_rejected(world, source, payload, signature(source, payload))
    assert await stored() == 0


@pytest.mark.parametrize("source", ["stripe", "signnow"])
async def test_a_delivery_is_stored_once_whichever_door_it_takes(world: World, source: str) -> None:
    payload = payload_of(source)
    signed = signature(source, payload)
    status, first = await post(world, source, payload, signed)
    assert (status, first["isDuplicate"]) == (200, False)
    assert await post(world, source, payload, signed) == (200, {**first, "isDuplicate": True})
    again = await mutate(world, source, payload, signed)
    assert again == {"receipt": {"isDuplicate": True}, "userErrors": []}
    assert await stored() == 1
    await world.work()
    [event] = await WebhookEvent.all()
    assert event.state.value == ("FOREIGN" if source == "signnow" else "IGNORED")
    assert event.payload.encode() == payload
    assert (await post(world, source, payload, signed))[1]["isDuplicate"]
    await world.work()
    assert (await WebhookEvent.all())[0].applied_at == event.applied_at


@pytest.mark.parametrize("source", ["stripe", "signnow"])
async def test_many_at_once_are_one(world: World, source: str) -> None:
    payload = payload_of(source)
    signed = signature(source, payload)
    posted, mutated = await asyncio.gather(
        asyncio.gather(*(post(world, source, payload, signed) for _ in range(6))),
        asyncio.gather(*(mutate(world, source, payload, signed) for _ in range(2))),
    )
    receipts = [answer for _, answer in posted] + [answer["receipt"] for answer in mutated]
    new = [receipt for receipt in receipts if not receipt["isDuplicate"]]
    assert len(new) == 1
    assert await stored() == 1
    assert (await rows("SELECT count(*) AS jobs FROM job WHERE topic = 'webhook.apply'"))[0]["jobs"] == 1


@pytest.mark.parametrize("source", ["stripe", "signnow"])
async def test_a_huge_delivery_is_turned_away(world: World, source: str) -> None:
    payload = payload_of(source, padding="x" * 80_000_000)
    response = await world.http.post(f"/webhooks/{source}", content=payload, headers={HEADERS[source]: "x"})
    assert response.status_code in (200, 400, 413)
    assert await stored() == 0


async def test_signnows_try_of_the_address_is_answered(world: World) -> None:
    assert (await world.http.get("/webhooks/signnow")).status_code == 200
    assert (await world.http.get("/webhooks/stripe")).status_code == 405


async def test_a_token_that_signnow_sends_along_is_not_kept(world: World) -> None:
    leaky = {**SIGNNOW_EVENT, "meta": {**SIGNNOW_EVENT["meta"], "access_token": "opens-the-account"}}
    payload = json.dumps(leaky).encode()
    assert (await post(world, "signnow", payload, signature("signnow", payload)))[0] == 200
    (kept,) = await WebhookEvent.all()
    assert json.loads(kept.payload) == SIGNNOW_EVENT


async def test_without_a_secret_the_doors_are_closed(database_url: str) -> None:
    closed: dict[str, Any] = {
        "stripe_webhook_secret": SecretStr(""),
        "signnow_webhook_secret": SecretStr(""),
        "public_url": None,
    }
    async with open_world(database_url, **closed) as world:
        for source in ("stripe", "signnow"):
            payload = payload_of(source)
            for signed in (signature(source, payload), signature(source, payload, secret=" "), None, ""):
                await assert_rejected(world, source, payload, signed)
        payload = payload_of("stripe")
        empty = hmac.new(b"", f"{int(time.time())}.".encode() + payload, hashlib.sha256).hexdigest()
        await assert_rejected(world, "stripe", payload, f"t={int(time.time())},v1={empty}")


async def test_a_secret_may_be_rolled(database_url: str) -> None:
    async with open_world(database_url, stripe_webhook_secret=SecretStr("whsec_new, whsec_old")) as world:
        for number, secret in enumerate(("whsec_old", "whsec_new")):
            payload = payload_of("stripe", id=f"evt_{number}")
            assert (await post(world, "stripe", payload, signature("stripe", payload, secret=secret)))[0] == 200
        payload = payload_of("stripe", id="evt_3")
        await assert_rejected(world, "stripe", payload, signature("stripe", payload, secret="whsec_new, whsec_old"))


async def signed_document(world: World) -> tuple[Customer, str]:
    customer = await sign_up(world)
    return customer, await customer.send(1, "ann@x.test", "bob@x.test")


SIGNED = {"signatures": (2, 0), "documents_completed": (1, 0)}


async def assert_signed(customer: Customer) -> None:
    used = await customer.usage()
    assert {meter: used.get(meter) for meter in SIGNED} == SIGNED


async def test_twice_and_in_the_wrong_order_counts_once(world: World) -> None:
    await world.signnow.post("/_sandbox/webhooks", json={"duplicate": True, "reorder": True})
    customer, document = await signed_document(world)
    await customer.sign(document, "ann@x.test", "bob@x.test")
    await world.work()
    await assert_signed(customer)


async def test_the_completion_alone_tells_of_every_signature(world: World) -> None:
    customer, document = await signed_document(world)
    await world.work()
    await world.signnow.post("/_sandbox/webhooks", json={"drop": 2})
    await customer.sign(document, "ann@x.test", "bob@x.test")
    await world.work()
    await assert_signed(customer)


async def test_callbacks_that_are_lost_for_good_are_made_up_for(world: World) -> None:
    customer, document = await signed_document(world)
    await world.work()
    await world.signnow.post("/_sandbox/webhooks", json={"drop": 1000})
    await customer.sign(document, "ann@x.test")
    world.clock.travel_to(START + timedelta(days=1))
    await world.work()
    assert (await customer.usage())["signatures"] == (1, 0)
    await customer.sign(document, "bob@x.test")
    world.clock.travel_to(START + timedelta(days=2))
    await world.work()
    await assert_signed(customer)
    assert (await customer.download(document))["document"]["state"] == "COMPLETED"
    world.clock.travel_to(START + timedelta(days=20))
    await world.work()
    assert await signnow_books(world) == {
        "uploads": 1,
        "invites_sent": 1,
        "invites_charged": 1,
        "signatures": 2,
        "completions": 1,
        "downloads": 1,
    }
    await assert_signed(customer)


@pytest.mark.parametrize("is_called", [True, False])
async def test_what_is_signed_after_the_end_is_nobodys_usage(world: World, is_called: bool) -> None:
    customer, document = await signed_document(world)
    await world.work()
    await customer.sign(document, "ann@x.test")
    await world.work()
    assert (await cancel(customer))["userErrors"] == []
    await world.travel_to(START + timedelta(hours=2))
    await world.work()
    await world.signnow.post("/_sandbox/webhooks", json={"drop": 0 if is_called else 1000})
    await customer.sign(document, "bob@x.test")
    await world.work()
    world.clock.travel_to(START + timedelta(days=2))
    await world.work()
    assert await sum_events(customer.tenant.id, BillingPeriod(START, START + timedelta(days=9))) == {
        "documents_created": 1,
        "invites_sent": 1,
        "signatures": 1,
        "api_calls": 5,
    }
    assert (await Document.get(tenant_id=customer.tenant.id)).state is DocumentState.COMPLETED
    assert await rows("SELECT topic, last_error FROM job WHERE last_error IS NOT NULL") == []


async def test_signnow_being_down_while_a_callback_is_applied(world: World) -> None:
    customer, document = await signed_document(world)
    await world.work()
    await customer.sign(document, "ann@x.test", "bob@x.test")
    await world.signnow.post("/_sandbox/flush")
    await fault(world.signnow, "500", 30, on="/document", method="GET")
    for minutes in (0, 1, 5, 30, 60, 120):
        world.clock.travel_to(START + timedelta(minutes=minutes))
        await world.work()
    await assert_signed(customer)


async def test_documents_of_nobody_are_left_alone(world: World) -> None:
    customer = await sign_up(world)
    headers = {"authorization": "Bearer sandbox-api-key"}
    files = {"file": ("stranger.pdf", world.pdf(), "application/pdf")}
    theirs = (await world.signnow.post("/document", files=files, headers=headers)).json()["id"]
    body = {"to": "ann@x.test", "from": "owner@sandbox.test"}
    (await world.signnow.post(f"/document/{theirs}/invite", json=body, headers=headers)).raise_for_status()
    await world.sign(theirs, "ann@x.test")
    for seconds in (0, 10, 20, 40, 80):
        world.clock.travel_to(START + timedelta(seconds=seconds))
        await world.work()
    kept = await WebhookEvent.filter(source="SIGNNOW")
    assert kept
    assert {(e.state.value, e.note) for e in kept} == {("FOREIGN", FOREIGN_NOTE)}
    assert await customer.usage() == {}


async def test_a_forged_callback_of_a_document_counts_only_what_signnow_says(world: World) -> None:
    """Even with the secret: the callback says where to look, not what happened."""
    customer, document = await signed_document(world)
    [row] = await rows("SELECT signnow_document_id AS id FROM document")
    forged = {
        "meta": {"timestamp": int(START.timestamp()), "event": "user.document.complete"},
        "content": {"document_id": row["id"]},
    }
    payload = json.dumps(forged).encode()
    assert (await post(world, "signnow", payload, sign(payload, SIGNNOW_SECRET)))[0] == 200
    await world.work()
    assert not SIGNED.keys() & (await customer.usage()).keys()
    await customer.sign(document, "ann@x.test", "bob@x.test")
    await world.work()
    world.clock.travel_to(START + timedelta(days=1))
    await world.work()
    await assert_signed(customer)
