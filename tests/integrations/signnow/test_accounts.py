"""Beside signing: lists and filters, histories, counters, organizations, subscriptions and their log."""

from datetime import date, timedelta

import httpx
import pytest

from inkmeter.clock import FrozenClock
from inkmeter.errors import SignNowRefused
from integrations.protocols import SignNow, SignNowCallback
from integrations.signnow.objects import read_history
from integrations.signnow.subscriptions import CALLBACK_EVENTS
from integrations.signnow.webhooks import without_token

pytestmark = pytest.mark.anyio


async def upload(client: SignNow, content: bytes, name: str) -> str:
    folder_id = await client.ensure_folder("acme")
    return await client.upload_document(folder_id=folder_id, name=name, file_name=f"{name}.pdf", content=content)


async def test_a_folder_is_listed_by_what_became_of_its_documents(
    client: SignNow, http: httpx.AsyncClient, clock: FrozenClock, lease: bytes
) -> None:
    idle, pending, signed = [await upload(client, lease, name) for name in ("idle", "pending", "signed")]
    for document_id in (pending, signed):
        await client.send_free_form_invite(document_id, email="ann@x.test", subject=None, message=None)
    clock.travel_to(clock.now() + timedelta(hours=1))
    await http.post(f"/_sandbox/documents/{signed}/sign", json={"email": "ann@x.test"})
    folder_id = await client.ensure_folder("acme")

    async def listed(status: str) -> list[str]:
        return [document.id async for document in client.list_documents(folder_id, signing_status=status)]

    assert await listed("unsent") == [idle]
    assert await listed("pending") == await listed("waiting-for-others") == [pending]
    assert await listed("signed") == [signed]
    assert await listed("signed,unsent") == [signed, idle]
    assert [d.id async for d in client.list_documents(folder_id)] == [signed, pending, idle]
    assert [d.id async for d in client.list_documents(folder_id, updated_since=clock.now())] == [signed]
    assert [d.id async for d in client.list_documents(folder_id, created_since=clock.now())] == []
    with pytest.raises(SignNowRefused, match="unknown signing status"):
        await listed("lost")


@pytest.mark.parametrize("shape", ["array", "object", "single"])
async def test_a_history_is_read_in_all_its_shapes(
    client: SignNow, http: httpx.AsyncClient, lease: bytes, shape: str
) -> None:
    document_id = await upload(client, lease, "lease")
    await client.rename_document(document_id, "Renamed")
    (await http.post("/_sandbox/knobs", json={"history": shape})).raise_for_status()
    events = [entry.event for entry in await client.history(document_id)]
    assert events == ["document_uploaded", "document_updated"][-1 if shape == "single" else 0 :]


def test_a_history_that_is_none_is_no_history() -> None:
    for nonsense in ("", 1, None):
        with pytest.raises(TypeError):
            read_history(nonsense)
    assert read_history([]) == ()


async def test_the_search_by_name_ends_with_what_is_too_old(client: SignNow, clock: FrozenClock, lease: bytes) -> None:
    old = await upload(client, lease, "Lease [op-1]")
    began = clock.now() + timedelta(hours=1)
    clock.travel_to(began)
    await upload(client, lease, "Another")
    found = await client.find_document_named(folder_id=None, name="Lease [op-1]")
    assert found is not None
    assert found.id == old
    await upload(client, lease, "Third")
    assert await client.find_document_named(folder_id=None, name="Fourth", since=began) is None
    in_folder = await client.find_document_named(
        folder_id=await client.ensure_folder("acme"), name="Third", since=began
    )
    assert in_folder is not None


async def test_counters_are_read_as_numbers(client: SignNow, lease: bytes) -> None:
    kept, deleted = await upload(client, lease, "kept"), await upload(client, lease, "deleted")
    await client.delete_document(deleted)
    counters = await client.counters()
    assert (counters.documents, counters.documents_this_month, counters.documents_ever) == (1, 1, 2)
    assert (counters.period_starts_on, counters.period_ends_on) == (date(2026, 10, 1), date(2026, 11, 1))
    assert kept != deleted


async def test_organizations_are_capped_and_joined_by_consent(client: SignNow, http: httpx.AsyncClient) -> None:
    await http.post("/_sandbox/knobs", json={"organizations": 1, "members": 2})
    made = await client.create_organization("Acme")
    assert await client.organizations() == (made,)
    with pytest.raises(SignNowRefused, match="no more organizations"):
        await client.create_organization("Globex")
    for _ in range(2):
        await client.add_member(made.id, "ann@x.test")
    with pytest.raises(SignNowRefused, match="no more seats"):
        await client.add_member(made.id, "bob@x.test")
    assert [(m.email, m.status) for m in await client.members(made.id)][1:] == [("ann@x.test", "pending")]
    accepted = {"organization_id": made.id, "email": "ann@x.test"}
    (await http.post("/_sandbox/organizations/accept", json=accepted)).raise_for_status()
    assert [m.status for m in await client.members(made.id)] == ["active", "active"]
    with pytest.raises(SignNowRefused):
        await client.members("0" * 40)


async def test_an_organization_is_searched_over_all_pages(
    client: SignNow, http: httpx.AsyncClient, lease: bytes
) -> None:
    made = await client.create_organization("Acme")
    ids = [await upload(client, lease, f"d{number}") for number in range(3)]
    await client.send_free_form_invite(ids[0], email="ann@x.test", subject=None, message=None)
    await http.post(f"/_sandbox/documents/{ids[0]}/sign", json={"email": "ann@x.test"})
    assert {found.id async for found in client.search_organization(made.id)} == set(ids)
    signed = [found async for found in client.search_organization(made.id, signing_status="signed")]
    assert [(found.id, found.owner, found.file_name) for found in signed] == [(ids[0], "owner@sandbox.test", "d0.pdf")]
    assert [found async for found in client.search_organization(made.id, owner="other@x.test")] == []


@pytest.mark.parametrize("knobs", [{"speed": 1}, {"organizations": -1}, {"history": "poem"}, {"is_development": 1}])
async def test_knobs_that_are_none_are_refused(http: httpx.AsyncClient, knobs: dict[str, object]) -> None:
    assert (await http.post("/_sandbox/knobs", json=knobs)).status_code == 400


async def test_subscriptions_are_mended_after_signnow_dropped_them(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, secret: str, answers: list[int], lease: bytes
) -> None:
    assert await client.ensure_callbacks(callback_url, secret) == len(CALLBACK_EVENTS)
    assert await client.ensure_callbacks(callback_url, secret) == 0
    answers[:] = [403] * 30
    for number in range(30):
        await upload(client, lease, f"d{number}")
        await http.post("/_sandbox/flush")
    assert "user.document.create" not in {s.event for s in await client.subscriptions()}
    assert await client.ensure_callbacks(callback_url, secret) == 1
    assert all(s.is_token_deleted and s.secret == secret for s in await client.subscriptions())
    assert secret not in repr(await client.subscriptions())
    await client.remove_callbacks(callback_url)
    assert await client.subscriptions() == ()


async def test_the_older_generation_is_seen_and_ended_too(
    client: SignNow, http: httpx.AsyncClient, callback_url: str
) -> None:
    account = await client.account()
    body = {"event": "user.document.complete", "entity_id": account.user_id, "attributes": {"callback": callback_url}}
    (await http.post("/api/v2/events", json=body)).raise_for_status()
    (listed,) = await client.subscriptions()
    assert (listed.event, listed.callback_url, listed.is_token_deleted) == (
        "user.document.complete",
        callback_url,
        False,
    )
    await client.remove_callbacks(callback_url)
    assert await client.subscriptions() == ()


async def test_the_log_tells_what_was_missed(
    client: SignNow,
    http: httpx.AsyncClient,
    callback_url: str,
    secret: str,
    answers: list[int],
    received: list[SignNowCallback],
    clock: FrozenClock,
    lease: bytes,
) -> None:
    await client.ensure_callbacks(callback_url, secret)
    await upload(client, lease, "before")
    await http.post("/_sandbox/flush")
    clock.travel_to(clock.now() + timedelta(hours=1))
    outage = clock.now()
    answers[:] = [404]
    document_id = await upload(client, lease, "missed")
    await http.post("/_sandbox/flush", json={"final": True})
    assert document_id not in [callback.document_id for callback in received]
    (entry,) = [delivery async for delivery in client.deliveries(since=outage)]
    assert (entry.status, entry.callback.event, entry.callback.document_id) == (
        404,
        "user.document.create",
        document_id,
    )
    assert len([delivery async for delivery in client.deliveries(since=outage - timedelta(days=1))]) == 2


async def test_a_callback_may_come_before_the_answer(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, secret: str, bodies: list[bytes], lease: bytes
) -> None:
    await client.ensure_callbacks(callback_url, secret)
    await http.post("/_sandbox/webhooks", json={"early": True})
    document_id = await upload(client, lease, "early")
    assert [document_id.encode() in body for body in bodies] == [True]


def test_a_token_in_a_callback_is_dropped() -> None:
    body = b'{"meta":{"event":"e","access_token":"secret"},"content":{}}'
    assert b"secret" not in without_token(body)
    for other in (b'{"meta": {"event": "e"}}', b"nonsense", b"[]", b'{"meta": 1}'):
        assert without_token(other) == other
