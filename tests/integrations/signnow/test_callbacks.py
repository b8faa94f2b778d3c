"""Callbacks from the sandbox to an operator's end, which verifies each."""

import json
from datetime import timedelta

import httpx
import pytest

from inkmeter.clock import FrozenClock
from integrations.protocols import SignatureField, Signer, SignNow, SignNowCallback
from integrations.signnow.sandbox import create_app
from integrations.signnow.sandbox.accounts import id_of
from integrations.signnow.sandbox.callbacks import RETRY_DELAYS

pytestmark = pytest.mark.anyio

ALL_EVENTS = [
    "user.document.create",
    "user.document.open",
    "user.document.complete",
    "user.document.fieldinvite.create",
    "user.document.fieldinvite.sent",
    "user.document.fieldinvite.signed",
    "user.document.fieldinvite.decline",
    "user.document.freeform.create",
    "user.document.freeform.signed",
]


async def subscribe(http: httpx.AsyncClient, event: str, callback_url: str, **attributes: object) -> str:
    entity_id = (await http.get("/user")).json()["id"]
    body = {"event": event, "entity_id": entity_id, "action": "callback"}
    attributes = {"callback": callback_url, "secret_key": "whsec_test", "delete_access_token": True, **attributes}
    answer = await http.post("/v2/event-subscriptions", json={**body, "attributes": attributes})
    return str(answer.json()["data"]["id"])


async def flush(http: httpx.AsyncClient, *, final: bool = False) -> None:
    (await http.post("/_sandbox/flush", json={"final": final})).raise_for_status()


async def sign(http: httpx.AsyncClient, document_id: str, email: str) -> None:
    (await http.post(f"/_sandbox/documents/{document_id}/sign", json={"email": email})).raise_for_status()


async def upload(client: SignNow, content: bytes) -> str:
    folder_id = await client.ensure_folder("acme")
    return await client.upload_document(folder_id=folder_id, name="Lease", file_name="op-1.pdf", content=content)


async def upload_for_two(client: SignNow, content: bytes) -> str:
    document_id = await upload(client, content)
    await client.place_fields(document_id, [SignatureField(role, 0, 1, 1, 9, 9) for role in ("A", "B")])
    roles = (await client.document(document_id)).roles
    signers = [Signer("ann@x.test", "A", 1), Signer("bob@x.test", "B", 2)]
    await client.send_field_invite(document_id, signers=signers, roles=roles, subject=None, message=None)
    return document_id


async def test_two_signers_in_turn_are_told_in_signnows_order(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, lease: bytes, received: list[SignNowCallback]
) -> None:
    for event in ALL_EVENTS:
        await subscribe(http, event, callback_url)
    document_id = await upload_for_two(client, lease)
    await sign(http, document_id, "ann@x.test")
    await sign(http, document_id, "bob@x.test")
    await flush(http)
    ann, bob = (await client.document(document_id)).field_invites
    assert received[0].event == "user.document.create"
    assert [callback.key for callback in received if callback.event in ALL_EVENTS[2:]] == [
        f"created:{ann.id}",
        f"created:{bob.id}",
        f"sent:{ann.id}",
        f"signed:{ann.id}",
        f"sent:{bob.id}",
        f"signed:{bob.id}",
        f"complete:{document_id}",
    ]
    assert {callback.document_id for callback in received} == {document_id}


async def test_free_form_and_decline_are_told(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, lease: bytes, received: list[SignNowCallback]
) -> None:
    for event in ALL_EVENTS[2:]:
        await subscribe(http, event, callback_url)
    declined = await upload_for_two(client, lease)
    await http.post(f"/_sandbox/documents/{declined}/decline", json={"email": "ann@x.test", "reason": "too dear"})
    document_id = await upload(client, lease)
    invite_id = await client.send_free_form_invite(document_id, email="ann@x.test", subject=None, message=None)
    await sign(http, document_id, "ann@x.test")
    await flush(http)
    assert [callback.event for callback in received if callback.document_id == declined][-1] == ALL_EVENTS[6]
    keys = [callback.key for callback in received if callback.document_id == document_id]
    assert keys == [f"created:{invite_id}", f"signed:{invite_id}", f"complete:{document_id}"]


async def test_the_clients_own_subscriptions_are_served(
    client: SignNow,
    http: httpx.AsyncClient,
    callback_url: str,
    secret: str,
    lease: bytes,
    received: list[SignNowCallback],
    clock: FrozenClock,
) -> None:
    await client.ensure_callbacks(callback_url, secret)
    document_id = await upload_for_two(client, lease)
    clock.travel_to(clock.now() + timedelta(days=3))
    await sign(http, document_id, "ann@x.test")
    await sign(http, document_id, "bob@x.test")
    await flush(http)
    assert [callback.event.removeprefix("user.document.") for callback in received] == [
        "create",
        "fieldinvite.signed",
        "fieldinvite.signed",
        "complete",
    ]
    assert received[-1].occurred_at == clock.now()


async def test_a_callback_carries_a_token_only_where_it_is_not_deleted(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, lease: bytes, bodies: list[bytes]
) -> None:
    await subscribe(http, "user.document.create", callback_url)
    await subscribe(http, "user.document.create", callback_url, delete_access_token=False)
    await upload(client, lease)
    await flush(http)
    careful, careless = (json.loads(body)["meta"] for body in bodies)
    assert "access_token" not in careful
    answer = await http.get("/user", headers={"Authorization": f"Bearer {careless['access_token']}"})
    assert answer.is_success
    log = (await http.get("/v2/event-subscriptions/callbacks")).json()["data"]
    assert log[0]["request_content"]["meta"]["access_token"] == "********"


async def test_a_server_error_is_repeated_with_the_same_body(
    client: SignNow,
    http: httpx.AsyncClient,
    callback_url: str,
    lease: bytes,
    received: list[SignNowCallback],
    bodies: list[bytes],
    answers: list[int],
) -> None:
    subscription_id = await subscribe(http, "user.document.create", callback_url)
    answers += [500, 503]
    await upload(client, lease)
    await flush(http, final=True)
    assert len(received) == 1
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    log = (await http.get(f"/v2/event-subscriptions/{subscription_id}/callbacks")).json()["data"]
    assert [attempt["response_status_code"] for attempt in log] == [200, 503, 500]
    one = await http.get(f"/v2/event-subscriptions/{subscription_id}/callbacks/{log[0]['id']}")
    assert one.json()["data"] == log[0]


async def test_repeating_ends(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, lease: bytes, bodies: list[bytes], answers: list[int]
) -> None:
    await subscribe(http, "user.document.create", callback_url)
    await subscribe(http, "user.document.create", callback_url, retry_count=2)
    answers += [500] * 100
    await upload(client, lease)
    await flush(http, final=True)
    assert len(bodies) == (1 + len(RETRY_DELAYS)) + (1 + 2)


async def test_a_refusal_is_not_repeated_and_thirty_in_an_hour_unsubscribe(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, lease: bytes, bodies: list[bytes], answers: list[int]
) -> None:
    subscription_id = await subscribe(http, "user.document.create", callback_url)
    answers += [404] * 30
    for _ in range(30):
        await upload(client, lease)
    await flush(http, final=True)
    assert len(bodies) == 30
    assert (await http.get(f"/v2/event-subscriptions/{subscription_id}")).status_code == 400
    await upload(client, lease)
    await flush(http, final=True)
    assert len(bodies) == 30


async def test_a_receiver_that_cannot_be_reached_is_tried_again(lease: bytes, clock: FrozenClock) -> None:
    attempts = []

    def refuse(request: httpx.Request) -> httpx.Response:
        attempts.append(request)
        raise httpx.ConnectError("nobody there")

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as outgoing:
        transport = httpx.ASGITransport(create_app(clock=clock, http=outgoing, time_scale=0))
        headers = {"Authorization": "Bearer sandbox-api-key"}
        async with httpx.AsyncClient(transport=transport, base_url="http://signnow.test", headers=headers) as http:
            await subscribe(http, "user.document.create", "https://nowhere.test/")
            await http.post("/document", files={"file": ("a.pdf", lease)})
            await flush(http, final=True)
            log = (await http.get("/v2/event-subscriptions/callbacks")).json()["data"]
    assert [attempt["response_status_code"] for attempt in log] == [0] * (1 + len(RETRY_DELAYS))
    assert len(attempts) == len(log)


@pytest.mark.parametrize("callback_url", ["nowhere", "ftp://operator.test/", "https://", ""])
async def test_only_a_web_address_can_be_called(http: httpx.AsyncClient, callback_url: str) -> None:
    body = {"event": "user.document.create", "entity_id": "e", "attributes": {"callback": callback_url}}
    assert (await http.post("/v2/event-subscriptions", json=body)).status_code == 400


async def test_callbacks_can_come_twice_in_disorder_or_not_at_all(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, lease: bytes, received: list[SignNowCallback]
) -> None:
    for event in ("user.document.fieldinvite.signed", "user.document.complete"):
        await subscribe(http, event, callback_url)
    document_id = await upload_for_two(client, lease)
    ann, bob = (await client.document(document_id)).field_invites
    await http.post("/_sandbox/webhooks", json={"drop": 1})
    await sign(http, document_id, "ann@x.test")
    await http.post("/_sandbox/webhooks", json={"duplicate": True, "reorder": True})
    await sign(http, document_id, "bob@x.test")
    await flush(http, final=True)
    complete, signed = f"complete:{document_id}", f"signed:{bob.id}"
    assert [callback.key for callback in received] == [complete, complete, signed, signed]
    log = (await http.get("/v2/event-subscriptions/callbacks")).json()["data"]
    assert [entry["request_content"]["content"].get("invite_id") for entry in log].count(ann.id) == 1


async def test_the_older_api_subscribes_with_the_secret_beside_the_attributes(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, lease: bytes, received: list[SignNowCallback]
) -> None:
    body = {
        "event": "user.document.create",
        "entity_id": id_of("owner@sandbox.test"),
        "action": "callback",
        "attributes": {"callback": callback_url},
        "secret_key": "whsec_test",
    }
    created = await http.post("/api/v2/events", json=body)
    assert (created.is_success, created.json()) == (True, {})
    basic = httpx.BasicAuth("sandbox-client", "sandbox-secret")
    (listed,) = (await http.get("/api/v2/events", auth=basic)).json()["data"]
    await upload(client, lease)
    await flush(http)
    assert len(received) == 1
    assert (await http.delete(f"/api/v2/events/{listed['id']}", auth=basic)).is_success
    await upload(client, lease)
    await flush(http)
    assert len(received) == 1


async def test_one_documents_events_can_be_asked_for_and_its_id_put_into_the_url(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, lease: bytes, received: list[SignNowCallback]
) -> None:
    document_id, other = await upload_for_two(client, lease), await upload_for_two(client, lease)
    attributes = {"callback": callback_url, "secret_key": "whsec_test", "docid_queryparam": True}
    body = {"event": "document.fieldinvite.signed", "entity_id": document_id, "action": "callback"}
    await http.post("/v2/event-subscriptions", json={**body, "attributes": attributes})
    await sign(http, document_id, "ann@x.test")
    await sign(http, other, "ann@x.test")
    await flush(http)
    assert [callback.document_id for callback in received] == [document_id]
    log = (await http.get("/v2/event-subscriptions/callbacks")).json()["data"]
    assert httpx.URL(log[0]["callback_url"]).params["Param"] == f'{{"docId":"{document_id}"}}'
