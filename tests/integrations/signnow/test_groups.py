"""Document groups: signed in steps, charged once, cancelled for all, downloaded together."""

import httpx
import pytest

from inkmeter.errors import SignNowRefused
from integrations.protocols import GroupSigner, SignatureField, SignNow

pytestmark = pytest.mark.anyio

PLACES = [SignatureField(role, 0, 1, 1, 10, 10) for role in ("Tenant", "Landlord")]


@pytest.fixture
async def document_id(client: SignNow, lease: bytes) -> str:
    """A document with a place for two."""
    folder_id = await client.ensure_folder("acme")
    made = await client.upload_document(folder_id=folder_id, name="Lease", file_name="op.pdf", content=lease)
    await client.place_fields(made, PLACES)
    return made


async def sign(http: httpx.AsyncClient, document_id: str, email: str) -> httpx.Response:
    return await http.post(f"/_sandbox/documents/{document_id}/sign", json={"email": email})


async def test_a_group_is_signed_in_steps_and_completes(
    client: SignNow, http: httpx.AsyncClient, document_id: str, lease: bytes, callback_url: str, bodies: list[bytes]
) -> None:
    account = await client.account()
    event = {
        "event": "user.document_group.complete",
        "entity_id": account.user_id,
        "attributes": {"callback": callback_url},
    }
    (await http.post("/v2/event-subscriptions", json=event)).raise_for_status()
    folder_id = await client.ensure_folder("acme")
    annex = await client.upload_document(folder_id=folder_id, name="Annex", file_name="annex.pdf", content=lease)
    await client.place_fields(annex, PLACES[:1])
    group_id = await client.create_group("Closing", [document_id, annex])
    assert await client.find_group("Closing") == await client.group(group_id)
    assert await client.find_group("Opening") is None
    signers = [
        GroupSigner("ann@x.test", document_id, "Tenant", 1),
        GroupSigner("bob@x.test", document_id, "Landlord", 2),
        GroupSigner("eve@x.test", annex, "Tenant", 2),
        GroupSigner("boss@x.test", annex, "", 2, action="view"),
    ]
    invite_id = await client.send_group_invite(group_id, signers=signers, subject="Please sign", message=None)
    first = await client.group_invite(group_id, invite_id)
    assert [(a.email, a.status) for a in first.actions] == [
        ("ann@x.test", "pending"),
        ("bob@x.test", "created"),
        ("eve@x.test", "created"),
        ("boss@x.test", "created"),
    ]
    await client.resend_group_invite(group_id, invite_id, email="ann@x.test")
    with pytest.raises(SignNowRefused, match="could not resend"):
        await client.resend_group_invite(group_id, invite_id, email="bob@x.test")
    assert (await sign(http, annex, "eve@x.test")).status_code == 403
    for document, email in ((document_id, "ann@x.test"), (annex, "eve@x.test"), (document_id, "bob@x.test")):
        (await sign(http, document, email)).raise_for_status()
    assert (await client.group_invite(group_id, invite_id)).is_completed
    await http.post("/_sandbox/flush")
    assert [b"document_group.complete" in body for body in bodies] == [True]
    assert (await http.get("/_sandbox/books")).json()["totals"]["invites_charged"] == 1
    for is_merged, beginning in ((True, b"%PDF-"), (False, b"PK")):
        async with client.open_group_download(group_id, is_merged=is_merged, with_history=True) as file:
            assert (await anext(file.chunks)).startswith(beginning)
    await client.delete_group(group_id)
    assert await client.find_group("Closing") is None
    assert (await client.document(annex)).is_completed


async def test_a_groups_invite_is_cancelled_for_all(client: SignNow, document_id: str) -> None:
    group_id = await client.create_group("Closing", [document_id])
    signers = [GroupSigner("ann@x.test", document_id, "Tenant"), GroupSigner("bob@x.test", document_id, "Landlord")]
    invite_id = await client.send_group_invite(group_id, signers=signers, subject=None, message=None)
    for _ in range(2):
        await client.cancel_group_invite(group_id, invite_id)
    assert not (await client.document(document_id)).is_invited
    with pytest.raises(SignNowRefused):
        await client.group_invite(group_id, invite_id)
    with pytest.raises(SignNowRefused):
        await client.create_group("Again", [document_id])
    with pytest.raises(SignNowRefused):
        await client.send_group_invite(
            group_id, signers=[GroupSigner("a@x.test", "0" * 40, "Tenant")], subject=None, message=None
        )
