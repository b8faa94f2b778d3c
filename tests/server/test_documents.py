"""Files over plain HTTP: the same operations as through GraphQL, in chunks."""

import base64
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlencode

import httpx
import pytest
from starlette.types import ASGIApp, Message, Scope

from tests.services.steps import Customer, fault, quota, sign_up, signnow_books
from tests.world import OPERATOR_KEY, World, open_world

pytestmark = pytest.mark.anyio


async def in_pieces(thousands: int) -> AsyncIterator[bytes]:
    """A body that does not say how long it is."""
    for _ in range(thousands):
        yield bytes(1000)


async def upload(
    customer: Customer, content: bytes | AsyncIterator[bytes], key: str | None = "up", name: str = "Lease", **more: str
) -> httpx.Response:
    headers = {"authorization": f"Bearer {OPERATOR_KEY}"} | ({"idempotency-key": key} if key is not None else {})
    query = {"tenantId": customer.id, "name": name, **more}
    return await customer.world.http.post("/documents", content=content, params=query, headers=headers)


async def download(customer: Customer, document: str, key: str = "down", **query: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {OPERATOR_KEY}", "idempotency-key": key}
    params = {"tenantId": customer.id, **query}
    return await customer.world.http.get(f"/documents/{document}/signed", params=params, headers=headers)


async def test_an_upload_is_the_same_operation_by_either_door(world: World) -> None:
    customer = await sign_up(world)
    answer = await upload(customer, world.pdf())
    assert answer.status_code == 201
    document = answer.json()["document"]
    assert document == {"id": document["id"], "name": "Lease", "state": "UPLOADED"}
    assert (await upload(customer, world.pdf())).json() == answer.json()
    assert (await customer.upload())["document"]["id"] == document["id"]
    conflict = await upload(customer, world.pdf("Another"))
    assert (conflict.status_code, conflict.json()["code"]) == (409, "CONFLICT")
    assert await customer.usage() == {"documents_created": (1, 0), "api_calls": (1, 0)}
    assert await signnow_books(world) == {"uploads": 1}


async def test_what_is_downloaded_is_what_signnow_has(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    answers = [await download(customer, document) for _ in range(2)]
    for answer in answers:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
        assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''Lease%201.pdf"
    same = base64.b64decode((await customer.download(document, "graphql"))["content"])
    assert hashlib.sha256(answers[0].content).digest() == hashlib.sha256(same).digest()
    assert (await customer.usage())["downloads"] == (2, 0)
    zipped = await download(customer, document, "zip", kind="ZIP", history="true")
    assert zipfile.ZipFile(io.BytesIO(zipped.content)).namelist()
    by_key = await download(customer, document, "zip")
    assert (by_key.status_code, by_key.json()["code"]) == (409, "CONFLICT"), "the same key, another form"


async def test_what_is_refused_has_a_code(world: World) -> None:
    customer = await sign_up(world, quotas=[quota("documents_created", "HARD", 1)])
    for content, more in (
        (b"", {}),
        (b"GIF89a", {}),
        (world.pdf(), {"name": ""}),
        (world.pdf(), {"key": ""}),
        (world.pdf(), {"key": None}),
    ):
        answer = await upload(customer, content, **more)
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_INPUT"), more
    document = (await upload(customer, world.pdf())).json()["document"]["id"]
    answer = await upload(customer, world.pdf(), "other")
    assert (answer.status_code, answer.json()["code"]) == (409, "QUOTA_EXCEEDED")
    for query in ({"kind": "WORD"}, {"history": "yes"}, {"kind": "COLLAPSED", "key": ""}):
        answer = await download(customer, document, **query)
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_INPUT"), query
    assert "downloads" not in await customer.usage()


async def test_keys_and_owners_are_checked(world: World) -> None:
    acme, bolt = await sign_up(world, reference="acme"), await sign_up(world, reference="bolt")
    document = await acme.document()
    answer = await download(bolt, document)
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    for path in ("/documents", f"/documents/{document}/signed"):
        method = "POST" if path == "/documents" else "GET"
        assert (await world.http.request(method, path)).status_code == 401
        headers = {"authorization": f"Bearer {OPERATOR_KEY}"}
        assert (await world.http.request(method, path, headers=headers)).status_code == 400, "whose?"


async def test_a_file_that_is_too_large_stops_early(database_url: str) -> None:
    async with open_world(database_url, max_pdf_bytes=4096) as world:
        customer = await sign_up(world)
        for content in (b"%PDF-" + bytes(4092), bytes(100_000), in_pieces(100)):
            answer = await upload(customer, content)
            assert (answer.status_code, answer.json()["code"]) == (413, "INVALID_INPUT")
            assert "4096 bytes" in answer.text
        assert (await upload(customer, b"%PDF-" + bytes(4091), "fits")).status_code == 201


@pytest.mark.parametrize("path", ["/documents", "/usage", "/webhooks/stripe", "/webhooks/signnow"])
async def test_a_caller_that_goes_away_in_a_body_is_no_error(database_url: str, path: str) -> None:
    applications: list[ASGIApp] = []

    def remember(application: ASGIApp) -> ASGIApp:
        applications.append(application)
        return application

    async with open_world(database_url, door=remember) as world:
        customer = await sign_up(world)
        heard: Iterator[Message] = iter(
            [{"type": "http.request", "body": b"%PDF-1.7", "more_body": True}, {"type": "http.disconnect"}]
        )

        async def receive() -> Message:
            return next(heard)

        async def send(_: Message) -> None:
            """Nobody listens."""

        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "query_string": urlencode({"tenantId": customer.id, "name": "Lease"}).encode(),
            "headers": [(b"authorization", f"Bearer {OPERATOR_KEY}".encode()), (b"idempotency-key", b"up")],
        }
        await applications[0](scope, receive, send)
        assert (await upload(customer, world.pdf())).status_code == 201, "the key is free"


async def test_a_download_that_cannot_begin_says_so_and_is_free(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await fault(world.signnow, "500", 3, on="/document", method="GET")
    answer = await download(customer, document)
    assert (answer.status_code, answer.json()["code"]) == (503, "UPSTREAM_UNAVAILABLE")
    assert "downloads" not in await customer.usage()
    assert (await download(customer, document)).status_code == 200
