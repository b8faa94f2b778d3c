"""Invites and what becomes of them: texts and times, expiry, other signers, embedded pages."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from inkmeter.clock import FrozenClock
from inkmeter.errors import SignNowRefused
from integrations.protocols import (
    EmbeddedSigner,
    Reminder,
    SignatureField,
    Signer,
    SigningStatus,
    SignNow,
    SignNowDocument,
    SignNowInvite,
)

pytestmark = pytest.mark.anyio

PLACES = [SignatureField(role, 0, 1, 1, 10, 10) for role in ("Tenant", "Landlord")]
TWO = [Signer("ann@x.test", "Tenant", order=1), Signer("bob@x.test", "Landlord", order=2)]


@pytest.fixture
async def document_id(client: SignNow, lease: bytes) -> str:
    """A document with a place for two."""
    folder_id = await client.ensure_folder("acme")
    made = await client.upload_document(folder_id=folder_id, name="Lease", file_name="op.pdf", content=lease)
    await client.place_fields(made, PLACES)
    return made


async def invite(client: SignNow, document_id: str, signers: list[Signer], **texts: Any) -> None:
    roles = (await client.document(document_id)).roles
    said = {"subject": "Please sign", "message": None, **texts}
    await client.send_field_invite(document_id, signers=signers, roles=roles, **said)


async def sign(http: httpx.AsyncClient, document_id: str, email: str) -> httpx.Response:
    return await http.post(f"/_sandbox/documents/{document_id}/sign", json={"email": email})


async def status(client: SignNow, document_id: str, clock: FrozenClock) -> SigningStatus:
    return (await client.document(document_id)).status_at(clock.now())


async def test_a_document_goes_from_nobody_to_completed(
    client: SignNow, http: httpx.AsyncClient, clock: FrozenClock, document_id: str
) -> None:
    assert await status(client, document_id, clock) is SigningStatus.NOT_INVITED
    await invite(client, document_id, TWO, cc=["boss@x.test"])
    assert await status(client, document_id, clock) is SigningStatus.PENDING
    for email in ("ann@x.test", "bob@x.test"):
        (await sign(http, document_id, email)).raise_for_status()
    assert await status(client, document_id, clock) is SigningStatus.COMPLETED


async def test_an_invite_expires_and_can_no_longer_be_signed(
    client: SignNow,
    http: httpx.AsyncClient,
    clock: FrozenClock,
    document_id: str,
    callback_url: str,
    bodies: list[bytes],
) -> None:
    account = await client.account()
    subscription = {
        "event": "user.invite.expired",
        "entity_id": account.user_id,
        "attributes": {"callback": callback_url},
    }
    (await http.post("/v2/event-subscriptions", json=subscription)).raise_for_status()
    await invite(client, document_id, [Signer("ann@x.test", "Tenant", expiration_days=3)])
    (sent,) = (await client.document(document_id)).field_invites
    assert sent.expires_at == clock.now() + timedelta(days=3)
    clock.travel_to(clock.now() + timedelta(days=3))
    assert await status(client, document_id, clock) is SigningStatus.EXPIRED
    assert (await sign(http, document_id, "ann@x.test")).status_code == 403
    await client.document(document_id)
    await http.post("/_sandbox/flush")
    assert [b"user.invite.expired" in body for body in bodies] == [True]
    await client.cancel_field_invite(document_id)
    assert await status(client, document_id, clock) is SigningStatus.NOT_INVITED


async def test_a_declined_document_says_so(
    client: SignNow, http: httpx.AsyncClient, clock: FrozenClock, document_id: str
) -> None:
    await invite(client, document_id, TWO)
    await http.post(f"/_sandbox/documents/{document_id}/decline", json={"email": "ann@x.test"})
    assert await status(client, document_id, clock) is SigningStatus.DECLINED
    assert (await sign(http, document_id, "bob@x.test")).status_code == 403


@pytest.mark.parametrize("word", ["skipped", "cancelled"])
def test_invites_that_ask_nobody_do_not_hold_up_a_document(word: str) -> None:
    done, idle = SignNowInvite("1", "a@x.test", "A", "fulfilled"), SignNowInvite("2", "b@x.test", "B", word)
    document = SignNowDocument("d", "n", "f", {}, (done, idle), (), datetime(2026, 1, 1, tzinfo=UTC))
    assert document.status_at(datetime(2026, 1, 2, tzinfo=UTC)) is SigningStatus.COMPLETED


@pytest.mark.parametrize(
    "signer",
    [
        Signer("ann@x.test", "Tenant", expiration_days=2),
        Signer("ann@x.test", "Tenant", expiration_days=181),
        Signer("ann@x.test", "Tenant", reminder=Reminder(every=8)),
        Signer("ann@x.test", "Tenant", language="de"),
        Signer("nobody", "Tenant"),
    ],
)
async def test_what_signnow_does_not_take_is_refused(client: SignNow, document_id: str, signer: Signer) -> None:
    with pytest.raises(SignNowRefused):
        await invite(client, document_id, [signer])
    assert not (await client.document(document_id)).is_invited


async def test_texts_and_reminders_are_taken(client: SignNow, document_id: str) -> None:
    signer = Signer(
        "ann@x.test", "Tenant", 1, 10, Reminder(3, 1, 2), "For Ann", "Hello", "https://operator.test/done", "es"
    )
    await invite(client, document_id, [signer])
    (sent,) = (await client.document(document_id)).field_invites
    assert (sent.email, sent.role, sent.status) == ("ann@x.test", "Tenant", "pending")


async def test_copies_need_addresses(client: SignNow, document_id: str) -> None:
    with pytest.raises(SignNowRefused, match="Cc must contain valid emails"):
        await invite(client, document_id, TWO, cc=["nobody"])


async def test_resending_takes_the_invites_request(client: SignNow, document_id: str) -> None:
    await invite(client, document_id, TWO)
    sent = (await client.document(document_id)).field_invites[0]
    assert sent.request_id is not None
    await client.resend_field_invite(sent.request_id)
    with pytest.raises(SignNowRefused, match="could not resend"):
        await client.resend_field_invite(sent.id)


async def test_a_signer_is_replaced_and_the_first_one_is_out(
    client: SignNow, http: httpx.AsyncClient, document_id: str
) -> None:
    await invite(client, document_id, TWO)
    await client.replace_signer(document_id, role="Tenant", email="eve@x.test")
    invites = {i.role: i for i in (await client.document(document_id)).field_invites}
    assert {role: (i.email, i.status) for role, i in invites.items()} == {
        "Tenant": ("eve@x.test", "pending"),
        "Landlord": ("bob@x.test", "created"),
    }
    assert (await sign(http, document_id, "ann@x.test")).status_code == 404
    (await sign(http, document_id, "eve@x.test")).raise_for_status()
    with pytest.raises(SignNowRefused, match="signed already"):
        await client.replace_signer(document_id, role="Tenant", email="ann@x.test")
    assert (await http.get("/_sandbox/books")).json()["totals"]["invites_charged"] == 1


@pytest.mark.parametrize("step", ["/field_invite/", "/field_invite", "/document/"])
@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after"])
async def test_replacing_goes_on_where_it_was(
    client: SignNow, http: httpx.AsyncClient, document_id: str, step: str, kind: str
) -> None:
    await invite(client, document_id, TWO)
    method = "DELETE" if step == "/field_invite/" else "POST"
    await http.post("/_sandbox/faults", json={"kind": kind, "path_prefix": step, "method": method})
    with pytest.raises(Exception, match="may have happened"):
        await client.replace_signer(document_id, role="Tenant", email="eve@x.test")
    await client.replace_signer(document_id, role="Tenant", email="eve@x.test")
    sent = [i for i in (await client.document(document_id)).field_invites if i.role == "Tenant"]
    assert [(i.email, i.status) for i in sent] == [("eve@x.test", "pending")]


async def test_deleting_cancels_first(client: SignNow, http: httpx.AsyncClient, document_id: str, lease: bytes) -> None:
    await invite(client, document_id, TWO)
    await client.delete_document(document_id)
    free = await client.upload_document(
        folder_id=await client.ensure_folder("acme"), name="N", file_name="n.pdf", content=lease
    )
    await client.send_free_form_invite(free, email="ann@x.test", subject=None, message=None)
    await client.delete_document(free)
    assert (await http.get("/user/documents")).json() == []
    with pytest.raises(SignNowRefused) as refused:
        await client.delete_document(free)
    assert refused.value.upstream_code == "65582"


async def test_cancelling_may_be_repeated(client: SignNow, document_id: str) -> None:
    await invite(client, document_id, TWO)
    for _ in range(2):
        await client.cancel_field_invite(document_id, reason="changed")
        await client.cancel_embedded_invites(document_id)
    await invite(client, document_id, TWO)


async def test_an_embedded_signer_signs_on_the_page(
    client: SignNow, http: httpx.AsyncClient, clock: FrozenClock, document_id: str
) -> None:
    roles = (await client.document(document_id)).roles
    signers = [
        EmbeddedSigner("ann@x.test", "Tenant", 1, "Ann", "A", redirect_uri="https://operator.test/done"),
        EmbeddedSigner("bob@x.test", "Landlord", 2),
    ]
    ann, bob = await client.create_embedded_invites(document_id, signers=signers, roles=roles)
    assert [(i.email, i.role, i.status) for i in (ann, bob)] == [
        ("ann@x.test", "Tenant", "pending"),
        ("bob@x.test", "Landlord", "created"),
    ]
    with pytest.raises(SignNowRefused) as refused:
        await client.create_embedded_link(document_id, bob.id)
    assert refused.value.upstream_code == "19001028"
    link = await client.create_embedded_link(document_id, ann.id)
    page = await http.get(link, headers={"Authorization": ""})
    assert "ann@x.test" in page.text
    assert 'value="sign"' in page.text
    done = await http.post(link, data={"do": "sign"}, headers={"Authorization": ""})
    assert done.status_code == 303
    assert done.headers["location"].startswith("https://operator.test/done?")
    assert (await http.post(link, data={"do": "sign"})).status_code == 404  # there is nothing left to sign
    late = await client.create_embedded_link(document_id, bob.id)
    clock.travel_to(clock.now() + timedelta(minutes=15))
    assert (await http.post(late, data={"do": "sign"})).status_code == 403
    again = await client.create_embedded_link(document_id, bob.id, minutes=45)
    assert "Declined" in (await http.post(again, data={"do": "decline"})).text
    assert await status(client, document_id, clock) is SigningStatus.DECLINED


@pytest.mark.parametrize("minutes", [0, 14, 46])
async def test_a_link_lives_for_15_to_45_minutes(client: SignNow, document_id: str, minutes: int) -> None:
    roles = (await client.document(document_id)).roles
    signers = [EmbeddedSigner("a@x.test", "Tenant"), EmbeddedSigner("b@x.test", "Landlord")]
    first, _ = await client.create_embedded_invites(document_id, signers=signers, roles=roles)
    if minutes:
        with pytest.raises(SignNowRefused, match="link_expiration"):
            await client.create_embedded_link(document_id, first.id, minutes=minutes)
    with pytest.raises(SignNowRefused) as refused:
        await client.create_embedded_link(document_id, "0" * 40)
    assert refused.value.upstream_code == "19002002"


async def test_mailed_links_lead_to_the_page(client: SignNow, http: httpx.AsyncClient, document_id: str) -> None:
    await invite(client, document_id, TWO)
    (mail,) = (await http.get(f"/_sandbox/documents/{document_id}/links")).json()
    assert mail["email"] == "ann@x.test"
    assert "Thank you" in (await http.post(mail["link"], data={"do": "sign"})).text
    open_link = await client.create_signing_link(document_id)
    assert "Your e-mail" in (await http.get(open_link)).text
    assert (await http.post(open_link, data={"do": "sign", "email": "<b>nobody</b>"})).status_code == 404
    assert "<b>" not in (await http.post(open_link, data={"do": "sign", "email": "<b>nobody</b>"})).text
    other = open_link.replace(document_id, "0" * 40)
    assert (await http.get(other)).status_code == 403


async def test_in_development_mode_nothing_is_charged_and_documents_say_so(
    client: SignNow, http: httpx.AsyncClient, document_id: str
) -> None:
    await http.post("/_sandbox/knobs", json={"is_development": True})
    await invite(client, document_id, TWO)
    assert (await client.document(document_id)).is_development
    assert (await http.get("/_sandbox/books")).json()["totals"]["invites_charged"] == 0
