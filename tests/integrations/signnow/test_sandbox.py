"""The sandbox's own HTTP: SignNow's shapes and words, the books, the control plane."""

import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import httpx
import pytest
from pypdf import PdfReader, PdfWriter

from inkmeter.clock import FrozenClock, SystemClock
from integrations.signnow.sandbox import create_app
from integrations.signnow.sandbox.accounts import TOKEN_LIFETIME
from integrations.signnow.sandbox.pdf import collapse, count_pages

pytestmark = pytest.mark.anyio

BASIC = httpx.BasicAuth("sandbox-client", "sandbox-secret")
OWNER = {"username": "owner@sandbox.test", "password": "sandbox-password"}


async def upload(http: httpx.AsyncClient, content: bytes, file_name: str = "Lease.pdf", **form: str) -> str:
    files = {"file": (file_name, content, "application/octet-stream")}
    answer = await http.post("/document", data=form, files=files)
    return str(answer.raise_for_status().json()["id"])


async def place_two(http: httpx.AsyncClient, document_id: str) -> list[dict[str, Any]]:
    fields = [{"type": "signature", "role": role, "page_number": 0, "x": 1, "y": 1} for role in ("A", "B")]
    (await http.put(f"/document/{document_id}", json={"fields": fields})).raise_for_status()
    roles: list[dict[str, Any]] = (await http.get(f"/document/{document_id}")).json()["roles"]
    return roles


async def invite_two(http: httpx.AsyncClient, document_id: str) -> None:
    roles = await place_two(http, document_id)
    to = [
        {"email": email, "role": role["name"], "role_id": role["unique_id"], "order": order}
        for order, (email, role) in enumerate(zip(("ann@x.test", "bob@x.test"), roles, strict=True), 1)
    ]
    answer = await http.post(f"/document/{document_id}/invite", json={"to": to, "from": "owner@sandbox.test"})
    assert (answer.status_code, answer.json()) == (200, {"status": "success"})


async def test_errors_have_signnows_three_shapes(http: httpx.AsyncClient) -> None:
    bad_bearer = await http.get("/user", headers={"Authorization": "Bearer nobody"})
    assert (bad_bearer.status_code, bad_bearer.json()) == (400, {"error": "invalid_token", "code": 1537})
    unknown = await http.get(f"/document/{'0' * 40}")
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (400, 65582)
    for path in ("/document/short", "/nothing/here", "/user/nobody"):
        answer = await http.get(path)
        route = f"Unable to find a route to match the URI: {path[1:]}"
        assert (answer.status_code, answer.json()) == (404, {"404": route})


async def test_tokens_are_granted_shown_refreshed_and_ended(http: httpx.AsyncClient, clock: FrozenClock) -> None:
    granted = await http.post("/oauth2/token", data={"grant_type": "password", **OWNER}, auth=BASIC)
    tokens = granted.json()
    assert (tokens["expires_in"], tokens["token_type"], len(tokens["access_token"])) == (2592000, "bearer", 64)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    clock.travel_to(clock.now() + timedelta(days=1))
    assert (await http.get("/oauth2/token", headers=headers)).json()["expires_in"] == str(29 * 86400)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    renewed = (await http.post("/oauth2/token", data=form, auth=BASIC)).json()
    assert (await http.get("/user", headers=headers)).json()["error"] == "invalid_token"
    headers = {"Authorization": f"Bearer {renewed['access_token']}"}
    assert (await http.post("/oauth2/terminate", json={}, headers=headers)).is_success
    assert (await http.get("/user", headers=headers)).json()["error"] == "invalid_token"


async def test_tokens_expire(http: httpx.AsyncClient, clock: FrozenClock) -> None:
    form = {"grant_type": "password", **OWNER, "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    tokens = (await http.post("/oauth2/token", data=form)).json()
    clock.travel_to(clock.now() + TOKEN_LIFETIME)
    answer = await http.get("/user", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert answer.json()["error"] == "invalid_token"
    assert (await http.get("/user")).is_success  # an API key does not


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "client_credentials"}, "invalid_request"),
        ({"grant_type": "password", "username": "owner@sandbox.test"}, "invalid_request"),
        ({"grant_type": "password", "username": "owner@sandbox.test", "password": "x"}, "Invalid credentials."),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_token"),
    ],
)
async def test_other_grants_are_refused(http: httpx.AsyncClient, form: dict[str, str], error: str) -> None:
    answer = await http.post("/oauth2/token", data=form, auth=BASIC)
    assert (answer.status_code, answer.json()) == (400, {"error": error, "code": 1537})


async def test_another_user_needs_to_consent_and_sees_no_other_documents(http: httpx.AsyncClient, lease: bytes) -> None:
    body = {"email": "tenant@x.test", "password": "pw", "first_name": "T", "last_name": "One"}
    created = (await http.post("/user", json=body, auth=BASIC)).json()
    assert (created["email"], created["verified"]) == ("tenant@x.test", 0)
    form = {"grant_type": "password", "username": "tenant@x.test", "password": "pw"}
    assert (await http.post("/oauth2/token", data=form, auth=BASIC)).json()["errors"][0]["code"] == 11005001
    code = (await http.post("/_sandbox/consent", json={"email": "tenant@x.test"})).json()["code"]
    form = {"grant_type": "authorization_code", "code": code}
    token = (await http.post("/oauth2/token", data=form, auth=BASIC)).json()["access_token"]
    assert (await http.post("/oauth2/token", data=form, auth=BASIC)).status_code == 400
    headers = {"Authorization": f"Bearer {token}"}
    assert (await http.get("/user", headers=headers)).json()["id"] == created["id"]
    document_id = await upload(http, lease)
    answer = await http.get(f"/document/{document_id}", headers=headers)
    assert answer.json()["errors"][0]["code"] == 65582


async def test_a_document_shows_numbers_as_strings(http: httpx.AsyncClient, lease: bytes) -> None:
    document = (await http.get(f"/document/{await upload(http, lease)}")).json()
    assert (document["document_name"], document["original_filename"]) == ("Lease", "Lease.pdf")
    assert (document["page_count"], document["created"]) == ("1", "1790856000")
    assert document["field_invites"] == document["requests"] == document["signatures"] == []


@pytest.mark.parametrize("file_name", ["Lease.txt", "Lease", ".pdf"])
async def test_other_files_are_refused(http: httpx.AsyncClient, file_name: str) -> None:
    answer = await http.post("/document", files={"file": (file_name, b"hello", "text/plain")})
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (400, "Invalid file type.")


async def test_any_bytes_and_any_name_survive_an_upload(http: httpx.AsyncClient) -> None:
    content = b"%PDF-1.7\n" + bytes(range(256)) * 3 + b"\r\n--not-a-boundary\r\n\r\n"
    document_id = await upload(http, content, "Mietvertrag für Müller.pdf", name="Straße 1")
    document = (await http.get(f"/document/{document_id}")).json()
    assert (document["document_name"], document["original_filename"]) == ("Straße 1", "Mietvertrag für Müller.pdf")
    assert (await http.get(f"/document/{document_id}/download")).content == content


async def test_tags_become_fields(http: httpx.AsyncClient, lease: bytes) -> None:
    data = {"Tags": '[{"tag_name": "Sig1", "role": "Signer 1"}, {"tag_name": "Sig2", "role": "Signer 2"}]'}
    answer = await http.post("/document/fieldextract", data=data, files={"file": ("a.pdf", lease)})
    document = (await http.get(f"/document/{answer.json()['id']}")).json()
    assert [field["json_attributes"]["name"] for field in document["fields"]] == ["Sig1", "Sig2"]
    assert [role["name"] for role in document["roles"]] == ["Signer 1", "Signer 2"]


async def test_downloads(http: httpx.AsyncClient, lease: bytes) -> None:
    document_id = await upload(http, lease)
    path = f"/document/{document_id}/download"
    collapsed = await http.get(path, params={"type": "collapsed"})
    assert collapsed.headers["content-type"] == "application/pdf"
    assert collapsed.headers["content-disposition"] == 'attachment; filename="Lease.pdf"'
    with zipfile.ZipFile(BytesIO((await http.get(path, params={"type": "zip"})).content)) as archive:
        assert archive.read("Lease.pdf") == collapsed.content
    link = (await http.post(f"{path}/link", json={})).json()["link"]
    assert (await http.get(link, headers={"Authorization": ""})).content == collapsed.content
    assert (await http.get(link)).status_code == 404
    assert (await http.get("/_sandbox/books")).json()["totals"]["downloads"] == 3


async def test_history_is_an_array(http: httpx.AsyncClient, lease: bytes) -> None:
    document_id = await upload(http, lease)
    await invite_two(http, document_id)
    history = (await http.get(f"/document/{document_id}/historyfull")).json()
    assert [entry["document_id"] for entry in history] == [document_id] * 3


async def test_documents_and_folders_are_listed(http: httpx.AsyncClient, clock: FrozenClock, lease: bytes) -> None:
    root = (await http.get("/folder")).json()
    folder_id = (await http.post("/user/folder", json={"name": "acme", "parent_id": root["id"]})).json()["id"]
    ids = [await upload(http, lease, folder_id=folder_id) for _ in range(3)]
    loose = await upload(http, lease)
    params: dict[str, str | int] = {"sortby": "created", "order": "desc", "limit": 2}
    page = (await http.get(f"/folder/{folder_id}", params=params)).json()
    assert (page["total_documents"], [document["id"] for document in page["documents"]]) == (3, ids[:0:-1])
    page = (await http.get(f"/folder/{folder_id}", params={**params, "offset": 2})).json()
    assert [document["id"] for document in page["documents"]] == ids[:1]
    folders = {folder["name"]: folder for folder in (await http.get("/user/folder")).json()["folders"]}
    assert (folders["acme"]["document_count"], folders["Documents"]["document_count"]) == ("3", "1")
    clock.travel_to(clock.now() + timedelta(hours=1))
    await http.put(f"/document/{ids[1]}", json={"document_name": "Renamed"})
    listed = (await http.get("/user/documentsv2", params={"per_page": 1})).json()
    assert [document["document_name"] for document in listed] == ["Renamed"]
    assert len((await http.get("/user/documents")).json()) == 4
    refused = (await http.get("/user/documents", params={"per_page": 0})).json()
    assert refused["errors"][0]["code"] == 13003002
    assert loose not in {document["id"] for document in page["documents"]}


async def test_a_cancelled_field_invite_leaves_no_trace_and_lets_the_document_be_deleted(
    http: httpx.AsyncClient, lease: bytes
) -> None:
    document_id = await upload(http, lease)
    await invite_two(http, document_id)
    assert (await http.delete(f"/document/{document_id}")).status_code == 400
    await http.put(f"/document/{document_id}/fieldinvitecancel", json={"reason": "changed"})
    document = (await http.get(f"/document/{document_id}")).json()
    assert document["field_invites"] == []
    assert {field["field_request_id"] for field in document["fields"]} == {None}
    assert (await http.delete(f"/document/{document_id}")).json() == {"status": "success"}
    assert (await http.get(f"/document/{document_id}")).json()["errors"][0]["code"] == 65582


async def test_resending_takes_the_fields_request_id(http: httpx.AsyncClient, lease: bytes) -> None:
    document_id = await upload(http, lease)
    await invite_two(http, document_id)
    document = (await http.get(f"/document/{document_id}")).json()
    wrong = await http.put(f"/fieldinvite/{document['field_invites'][0]['id']}/resend", json={})
    assert wrong.json()["errors"][0]["message"] == "could not resend"
    assert (await http.put(f"/fieldinvite/{document['fields'][0]['field_request_id']}/resend", json={})).is_success


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"to": "ann@x.test"}, "From must not be empty"),
        ({"to": "ann", "from": "owner@sandbox.test"}, "Email is invalid"),
        ({"to": [], "from": "owner@sandbox.test"}, "To must not be empty"),
        ({"to": [{"email": "ann@x.test", "role": "A"}], "from": "owner@sandbox.test"}, "the document has no role 'A'"),
    ],
)
async def test_invites_that_make_no_sense_are_refused(
    http: httpx.AsyncClient, lease: bytes, body: dict[str, Any], message: str
) -> None:
    answer = await http.post(f"/document/{await upload(http, lease)}/invite", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (400, message)


async def test_free_form_invites_are_charged_per_signer_and_listed(http: httpx.AsyncClient, lease: bytes) -> None:
    document_id = await upload(http, lease)
    for email in ("ann@x.test", "bob@x.test"):
        body = {"to": email, "from": "owner@sandbox.test"}
        answer = (await http.post(f"/document/{document_id}/invite", json=body)).json()
        assert (answer["result"], answer["callback_url"]) == ("success", "none")
    await http.post(f"/_sandbox/documents/{document_id}/sign", json={"email": "bob@x.test"})
    listed = (await http.get(f"/v2/documents/{document_id}/free-form-invites")).json()
    assert [(invite["email"], invite["status"]) for invite in listed["data"]] == [
        ("ann@x.test", "pending"),
        ("bob@x.test", "fulfilled"),
    ]
    assert (await http.get("/_sandbox/books")).json()["totals"]["invites_charged"] == 2


async def test_embedded_invites(http: httpx.AsyncClient, lease: bytes) -> None:
    document_id = await upload(http, lease)
    roles = await place_two(http, document_id)
    path = f"/v2/documents/{document_id}/embedded-invites"
    recipients = [
        {"email": email, "role_id": role["unique_id"], "order": order, "auth_method": "none"}
        for order, (email, role) in enumerate(zip(("ann@x.test", "bob@x.test"), roles, strict=True), 1)
    ]
    bad = await http.post(path, json={"invites": [{**recipients[0], "email": "ann"}]})
    assert bad.json()["errors"][0]["code"] == 19003008
    created = await http.post(path, json={"invites": recipients})
    ann, bob = created.json()["data"]
    assert (created.status_code, ann["status"], bob["status"]) == (201, "pending", "created")
    body = {"auth_method": "none", "link_expiration": 15}
    assert "link" in (await http.post(f"{path}/{ann['id']}/link", json=body)).json()["data"]
    early = await http.post(f"{path}/{bob['id']}/link", json=body)
    assert (early.status_code, early.json()["errors"][0]["code"]) == (403, 19001028)
    unknown = await http.post(f"{path}/{'0' * 40}/link", json=body)
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (404, 19002002)
    assert (await http.delete(path)).status_code == 204
    assert (await http.get(f"/document/{document_id}")).json()["field_invites"] == []
    assert (await http.get("/_sandbox/books")).json()["totals"]["invites_charged"] == 1


async def test_nobody_signs_out_of_turn_or_twice(http: httpx.AsyncClient, lease: bytes) -> None:
    document_id = await upload(http, lease)
    await invite_two(http, document_id)
    path = f"/_sandbox/documents/{document_id}/sign"
    assert (await http.post(path, json={"email": "bob@x.test"})).status_code == 403
    assert (await http.post(path, json={"email": "ann@x.test"})).json()["is_completed"] is False
    assert (await http.post(path, json={"email": "ann@x.test"})).status_code == 404
    assert (await http.post(path, json={"email": "bob@x.test"})).json()["is_completed"] is True
    assert (await http.post(f"/_sandbox/documents/{'0' * 40}/sign", json={"email": "a@x.test"})).status_code == 404


async def test_the_books_tell_what_happened_and_when(http: httpx.AsyncClient, clock: FrozenClock, lease: bytes) -> None:
    clock.travel_to(datetime(2026, 10, 20, tzinfo=UTC))
    document_id = await upload(http, lease)
    folder_id = (await http.get(f"/document/{document_id}")).json()["parent_id"]
    await invite_two(http, document_id)
    october_ends = datetime(2026, 11, 1, tzinfo=UTC)
    clock.travel_to(october_ends)
    for email in ("ann@x.test", "bob@x.test"):
        await http.post(f"/_sandbox/documents/{document_id}/sign", json={"email": email})
    await http.get(f"/document/{document_id}/download", params={"type": "collapsed"})
    await http.delete(f"/document/{document_id}")
    invites = {"invites_sent": 1, "invites_charged": 1}
    everything = {"uploads": 1, **invites, "signatures": 2, "completions": 1, "downloads": 1}
    books = (await http.get("/_sandbox/books")).json()
    assert books["totals"] == books["documents"][document_id] == books["folders"][folder_id] == everything
    october = (await http.get("/_sandbox/books", params={"until": october_ends.isoformat()})).json()["totals"]
    november = (await http.get("/_sandbox/books", params={"since": october_ends.isoformat()})).json()["totals"]
    assert october == {**everything, "signatures": 0, "completions": 0, "downloads": 0}
    assert november == {**everything, "uploads": 0, **dict.fromkeys(invites, 0)}


async def test_reset_forgets_everything(http: httpx.AsyncClient, lease: bytes) -> None:
    await upload(http, lease)
    await http.post("/_sandbox/faults", json={"kind": "500", "times": 5})
    assert (await http.post("/_sandbox/reset")).status_code == 204
    assert (await http.get("/user/documents")).json() == []
    assert not any((await http.get("/_sandbox/books")).json()["totals"].values())


async def test_the_clock_travels(http: httpx.AsyncClient, clock: FrozenClock) -> None:
    answer = await http.post("/_sandbox/clock", json={"now": "2026-11-01T00:00:00+00:00"})
    assert answer.json() == {"now": "2026-11-01T00:00:00+00:00"} == (await http.get("/_sandbox/clock")).json()
    assert clock.now() == datetime(2026, 11, 1, tzinfo=UTC)
    for wrong in ("soon", "2026-11-01", 7):
        assert (await http.post("/_sandbox/clock", json={"now": wrong})).status_code == 400


async def test_the_machines_clock_does_not() -> None:
    transport = httpx.ASGITransport(create_app(clock=SystemClock()))
    async with httpx.AsyncClient(transport=transport, base_url="http://signnow.test") as http:
        answer = await http.post("/_sandbox/clock", json={"now": "2026-11-01T00:00:00+00:00"})
        assert answer.status_code == 409


async def test_an_unknown_fault_is_refused(http: httpx.AsyncClient) -> None:
    assert (await http.post("/_sandbox/faults", json={"kind": "fire"})).status_code == 400


def test_a_pdf_with_a_compressed_cross_reference_is_collapsed_too() -> None:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    compressed = BytesIO()
    writer.write(compressed)
    for original in (compressed.getvalue(), b"%PDF-1.7\n1 0 obj\n<< /Type /XRef >>\nstartxref\n9\n%%EOF", b"GIF89a"):
        collapsed = collapse(original, title="Lease (draft)", signed_by=["ann@x.test"])
        pdf = PdfReader(BytesIO(collapsed), strict=True)
        assert len(pdf.pages) == 1
        assert collapsed != original


def test_what_signed_the_page_can_be_read_on_it() -> None:
    pdf = PdfReader(BytesIO(collapse(b"no pdf", title="Lease (draft)", signed_by=["ann@x.test"])), strict=True)
    text = pdf.pages[0].extract_text()
    assert "Lease (draft)" in text
    assert "Signed by ann@x.test" in text


def test_pages_are_counted(lease: bytes) -> None:
    assert [count_pages(content) for content in (lease, b"", lease + lease)] == [1, 1, 2]
