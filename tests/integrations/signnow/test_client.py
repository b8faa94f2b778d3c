"""What `integrations.protocols.SignNow` promises, kept by our client against the sandbox."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import httpx
import pytest
from pypdf import PdfReader

from inkmeter.errors import SignNowRefused, UpstreamError, UpstreamTimeout
from integrations.protocols import SignatureField, Signer, SignNow, SignNowDocument, SignNowInvite
from integrations.signnow.auth import ApiKey
from integrations.signnow.client import CALLBACK_EVENTS, SignNowClient
from integrations.signnow.objects import clean_email, read_document
from integrations.signnow.sandbox.accounts import id_of

pytestmark = pytest.mark.anyio

TWO_PLACES = [
    SignatureField(role="Tenant", page=0, x=10, y=20, width=100, height=20),
    SignatureField(role="Landlord", page=0, x=10, y=60, width=100, height=20),
]


async def upload(client: SignNow, content: bytes, file_name: str = "op-1.pdf", folder: str = "acme") -> str:
    folder_id = await client.ensure_folder(folder)
    return await client.upload_document(folder_id=folder_id, name="Lease", file_name=file_name, content=content)


async def invite_two(client: SignNow, document_id: str) -> None:
    await client.place_fields(document_id, TWO_PLACES)
    roles = (await client.document(document_id)).roles
    signers = [Signer("ann@x.test", "Tenant", order=1), Signer("bob@x.test", "Landlord", order=2)]
    await client.send_field_invite(document_id, signers=signers, roles=roles, subject="Please sign", message=None)


async def test_the_account_is_the_tokens(client: SignNow) -> None:
    account = await client.account()
    assert (account.user_id, account.email) == (id_of("owner@sandbox.test"), "owner@sandbox.test")


@pytest.mark.parametrize("foreign", ["..", ".", "", "../user", "a/b", "a?b=c", "a#b"])
async def test_an_id_leads_nowhere_else(client: SignNow, foreign: str) -> None:
    with pytest.raises(SignNowRefused):
        await client.document(foreign)


async def test_a_folder_is_made_once(client: SignNow) -> None:
    first, again, other = [await client.ensure_folder(name) for name in ("acme", "acme", "globex")]
    assert first == again != other


async def test_an_upload_can_be_read_and_found_again(client: SignNow, lease: bytes) -> None:
    document_id = await upload(client, lease)
    document = await client.document(document_id)
    assert document == SignNowDocument(
        id=document_id,
        name="Lease",
        file_name="op-1.pdf",
        roles={},
        field_invites=(),
        free_form_invites=(),
        created_at=datetime(2026, 10, 1, 12, tzinfo=UTC),
        folder_id=await client.ensure_folder("acme"),
        owner="owner@sandbox.test",
    )
    assert await client.find_document(folder_id=await client.ensure_folder("acme"), file_name="op-1.pdf") == document


async def test_a_document_is_found_in_its_folder_only(client: SignNow, lease: bytes) -> None:
    await upload(client, lease, folder="acme")
    assert await client.find_document(folder_id=await client.ensure_folder("globex"), file_name="op-1.pdf") is None


async def test_a_document_is_found_on_the_last_page_of_a_folder(client: SignNow, lease: bytes) -> None:
    wanted = await upload(client, lease, "wanted.pdf")
    for number in range(120):
        await upload(client, lease, f"op-{number}.pdf")
    folder_id = await client.ensure_folder("acme")
    found = await client.find_document(folder_id=folder_id, file_name="wanted.pdf")
    assert found is not None
    assert found.id == wanted
    assert await client.find_document(folder_id=folder_id, file_name="unknown.pdf") is None


@pytest.mark.parametrize(("document_id", "code"), [("0" * 40, "65582"), ("not-an-id", "404")])
async def test_an_unknown_document_is_refused(client: SignNow, document_id: str, code: str) -> None:
    with pytest.raises(SignNowRefused) as refused:
        await client.document(document_id)
    assert refused.value.upstream_code == code


async def test_a_file_that_signnow_does_not_take_is_refused(client: SignNow) -> None:
    with pytest.raises(SignNowRefused, match="Invalid file type"):
        await upload(client, b"hello", "op-1.txt")


async def test_fields_make_the_roles(client: SignNow, lease: bytes) -> None:
    document_id = await upload(client, lease)
    await client.place_fields(document_id, TWO_PLACES)
    roles = (await client.document(document_id)).roles
    assert list(roles) == ["Tenant", "Landlord"]
    await client.place_fields(document_id, TWO_PLACES[:1])
    assert (await client.document(document_id)).roles == {"Tenant": roles["Tenant"]}


async def test_signers_are_invited_in_turn(client: SignNow, http: httpx.AsyncClient, lease: bytes) -> None:
    document_id = await upload(client, lease)
    await invite_two(client, document_id)
    assert await statuses(client, document_id) == {"ann@x.test": "pending", "bob@x.test": "created"}
    await sign(http, document_id, "ann@x.test")
    assert await statuses(client, document_id) == {"ann@x.test": "fulfilled", "bob@x.test": "pending"}
    assert not (await client.document(document_id)).is_completed
    await sign(http, document_id, "bob@x.test")
    assert (await client.document(document_id)).is_completed


async def test_fields_stay_once_invited(client: SignNow, lease: bytes) -> None:
    document_id = await upload(client, lease)
    await invite_two(client, document_id)
    with pytest.raises(SignNowRefused):
        await client.place_fields(document_id, TWO_PLACES)


async def test_a_role_that_the_document_does_not_have_is_refused(client: SignNow, lease: bytes) -> None:
    document_id = await upload(client, lease)
    with pytest.raises(SignNowRefused, match="Tenant"):
        await client.send_field_invite(
            document_id, signers=[Signer("ann@x.test", "Tenant")], roles={}, subject=None, message=None
        )


async def test_a_bad_address_is_refused_with_signnows_code(client: SignNow, lease: bytes) -> None:
    document_id = await upload(client, lease)
    with pytest.raises(SignNowRefused, match="Email is invalid") as refused:
        await client.send_free_form_invite(document_id, email="nobody", subject=None, message=None)
    assert refused.value.upstream_code == "65585"


async def test_a_declined_invite_stays_pending_and_says_so(
    client: SignNow, http: httpx.AsyncClient, lease: bytes
) -> None:
    document_id = await upload(client, lease)
    await invite_two(client, document_id)
    (await http.post(f"/_sandbox/documents/{document_id}/decline", json={"email": "ann@x.test"})).raise_for_status()
    ann, bob = (await client.document(document_id)).field_invites
    assert (ann.status, ann.is_declined) == ("pending", True)
    assert (bob.status, bob.is_declined) == ("created", False)


async def test_a_free_form_invite_is_known_by_its_id(client: SignNow, http: httpx.AsyncClient, lease: bytes) -> None:
    document_id = await upload(client, lease)
    invite_id = await client.send_free_form_invite(document_id, email="ann@x.test", subject="Hi", message="Sign")
    pending = SignNowInvite(id=invite_id, email="ann@x.test", role="", status="pending")
    assert (await client.document(document_id)).free_form_invites == (pending,)
    await sign(http, document_id, "ann@x.test")
    document = await client.document(document_id)
    assert document.free_form_invites[0].status == "fulfilled"
    assert document.is_completed


async def test_a_cancelled_free_form_invite_is_still_shown(
    client: SignNow, http: httpx.AsyncClient, lease: bytes
) -> None:
    document_id = await upload(client, lease)
    invite_id = await client.send_free_form_invite(document_id, email="ann@x.test", subject=None, message=None)
    (await http.put(f"/invite/{invite_id}/cancel", json={"reason": "changed"})).raise_for_status()
    assert [invite.status for invite in (await client.document(document_id)).free_form_invites] == ["cancelled"]


async def test_embedded_signers_have_clean_addresses(client: SignNow, http: httpx.AsyncClient, lease: bytes) -> None:
    document_id = await upload(client, lease)
    await client.place_fields(document_id, TWO_PLACES[:1])
    role_id = (await client.document(document_id)).roles["Tenant"]
    recipient = {"email": "ann@x.test", "role_id": role_id, "order": 1, "auth_method": "none"}
    made = await http.post(f"/v2/documents/{document_id}/embedded-invites", json={"invites": [recipient]})
    assert made.status_code == 201
    raw = (await http.get(f"/document/{document_id}")).json()
    assert raw["field_invites"][0]["email"] != "ann@x.test"
    assert clean_email(raw["fields"][0]["fulfiller"]) == "ann@x.test"
    (invite,) = (await client.document(document_id)).field_invites
    assert (invite.id, invite.email) == (made.json()["data"][0]["id"], "ann@x.test")


async def test_the_signed_file_is_a_pdf_that_differs_from_the_upload(
    client: SignNow, http: httpx.AsyncClient, lease: bytes
) -> None:
    document_id = await upload(client, lease)
    await client.send_free_form_invite(document_id, email="ann@x.test", subject=None, message=None)
    await sign(http, document_id, "ann@x.test")
    signed = await client.download_signed(document_id)
    assert signed.startswith(lease)
    assert signed != lease
    pdf = PdfReader(BytesIO(signed), strict=True)
    assert len(pdf.pages) == 1
    assert pdf.metadata is not None
    assert pdf.metadata.title == "Lease"
    assert str(pdf.metadata["/Keywords"]) == "Signed by ann@x.test"
    assert (await http.get(f"/document/{document_id}/download")).content == lease


async def test_callbacks_are_subscribed_once(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, secret: str
) -> None:
    await http.post("/v2/event-subscriptions", json=foreign_subscription(callback_url="https://other.test/hook"))
    await client.ensure_callbacks(callback_url, secret)
    before = await subscriptions(http)
    await client.ensure_callbacks(callback_url, secret)
    assert await subscriptions(http) == before
    ours = [s for s in before if s["json_attributes"]["callback_url"] == callback_url]
    assert sorted(s["event"] for s in ours) == sorted(CALLBACK_EVENTS)
    assert all(s["json_attributes"]["delete_access_token"] for s in ours)
    assert all(s["json_attributes"]["secret_key"] == secret for s in ours)
    assert len(before) == len(ours) + 1


async def test_a_new_secret_replaces_the_old_one(client: SignNow, http: httpx.AsyncClient, callback_url: str) -> None:
    await client.ensure_callbacks(callback_url, "old")
    ids = {s["id"] for s in await subscriptions(http)}
    await client.ensure_callbacks(callback_url, "new")
    assert {s["json_attributes"]["secret_key"] for s in await subscriptions(http)} == {"new"}
    assert {s["id"] for s in await subscriptions(http)} == ids


async def test_a_subscription_that_gives_tokens_away_is_mended(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, secret: str
) -> None:
    leaky = foreign_subscription(callback_url)
    leaky["attributes"]["secret_key"] = secret
    await http.post("/v2/event-subscriptions", json=leaky)
    await client.ensure_callbacks(callback_url, secret)
    assert all(s["json_attributes"]["delete_access_token"] for s in await subscriptions(http))
    assert len(await subscriptions(http)) == len(CALLBACK_EVENTS)


async def test_subscriptions_are_looked_for_on_all_pages(
    client: SignNow, http: httpx.AsyncClient, callback_url: str, secret: str
) -> None:
    for number in range(20):
        await http.post("/v2/event-subscriptions", json=foreign_subscription(f"https://other.test/{number}"))
    await client.ensure_callbacks(callback_url, secret)
    await client.ensure_callbacks(callback_url, secret)
    assert len(await subscriptions(http)) == 20 + len(CALLBACK_EVENTS)


def test_a_document_is_read_with_numbers_for_strings_and_without_what_is_empty() -> None:
    data: dict[str, Any] = {
        "id": "d1",
        "document_name": "Lease",
        "original_filename": None,
        "created": 1788516398,
        "roles": None,
        "field_invites": [
            {"id": 1, "email": "ann@x.test", "role": "R", "status": "skipped", "is_full_declined": "0"},
            {"id": 2, "email": "bob@x.test", "role": "S", "status": "pending", "is_full_declined": "1"},
        ],
        "requests": {},
    }
    document = read_document(data)
    assert document.created_at == datetime.fromtimestamp(1788516398, UTC)
    assert [invite.is_declined for invite in document.field_invites] == [False, True]
    assert (document.file_name, document.roles, document.free_form_invites) == ("", {}, ())


def answering(handler: Callable[[httpx.Request], httpx.Response]) -> SignNowClient:
    http = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return SignNowClient(base_url="http://signnow.test", credentials=ApiKey("k"), http=http, read_backoff=0)


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"{}", b'{"id": "d", "created": "soon"}'])
async def test_an_unreadable_answer_to_a_read_is_a_failure(content: bytes) -> None:
    with pytest.raises(UpstreamError) as failure:
        await answering(lambda _: httpx.Response(200, content=content)).document("0" * 40)
    assert not isinstance(failure.value, UpstreamTimeout)


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"{}"])
async def test_an_upload_that_was_answered_without_an_id_may_have_happened(content: bytes) -> None:
    client = answering(lambda _: httpx.Response(200, content=content))
    with pytest.raises(UpstreamTimeout):
        await client.upload_document(folder_id="f", name="n", file_name="n.pdf", content=b"%PDF-")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": "invalid_client", "code": 1537}, "invalid_client"),
        ({"errors": [{"code": "65582", "message": "unable to find document"}]}, "65582"),
        ({"404": "Unable to find a route to match the URI: document/x"}, "404"),
        ({"error": [{"code": "HY000", "message": "Internal Api Error"}]}, "HY000"),
        ({"errors": []}, None),
        ([], None),
        ("nonsense", None),
    ],
)
async def test_every_shape_of_a_refusal_is_understood(body: Any, code: str | None) -> None:
    client = answering(lambda _: httpx.Response(400, content=json.dumps(body).encode()))
    with pytest.raises(SignNowRefused) as refused:
        await client.document("0" * 40)
    assert refused.value.upstream_code == code


async def test_a_download_that_is_no_pdf_is_a_failure() -> None:
    with pytest.raises(UpstreamError, match="not a PDF"):
        await answering(lambda _: httpx.Response(200, json={"status": "not ready"})).download_signed("0" * 40)


async def statuses(client: SignNow, document_id: str) -> dict[str, str]:
    return {invite.email: invite.status for invite in (await client.document(document_id)).field_invites}


async def sign(http: httpx.AsyncClient, document_id: str, email: str) -> None:
    (await http.post(f"/_sandbox/documents/{document_id}/sign", json={"email": email})).raise_for_status()


async def subscriptions(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await http.get("/v2/event-subscriptions", params={"per_page": 100})
    listed: list[dict[str, Any]] = answer.json()["data"]
    return listed


def foreign_subscription(callback_url: str) -> dict[str, Any]:
    attributes = {"callback": callback_url}
    owner = id_of("owner@sandbox.test")
    return {"event": "user.document.complete", "entity_id": owner, "action": "callback", "attributes": attributes}
