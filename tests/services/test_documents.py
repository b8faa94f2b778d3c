"""Uploading and downloading: counted once, sent once, whatever fails and whoever asks."""

import asyncio
import base64
from datetime import timedelta

import pytest

from tests.services.steps import (
    Customer,
    Json,
    fault,
    global_id,
    problems,
    quota,
    raw_id,
    refused,
    sign_up,
    signnow_books,
)
from tests.world import START, World

pytestmark = pytest.mark.anyio

UPLOADED = {"documents_created": (1, 0), "api_calls": (1, 0)}
RESERVED = {"documents_created": (0, 1), "api_calls": (0, 1)}
SETTLED = START + timedelta(minutes=3)
"""Late enough for operations of the start to be settled."""


async def documents(customer: Customer) -> list[str]:
    query = "query ($id: ID) { documents(tenantId: $id) { edges { node { id } } } }"
    edges = (await customer.api.ask(query, id=customer.id))["documents"]["edges"]
    return [edge["node"]["id"] for edge in edges]


async def test_the_same_key_uploads_once(world: World) -> None:
    customer = await sign_up(world)
    first = await customer.upload()
    assert first["document"]["state"] == "UPLOADED"
    assert first["decision"] == {"reason": "INCLUDED", "price": {"amount": "0.00", "currency": "USD"}}
    assert await customer.upload() == first
    assert await customer.usage() == UPLOADED
    assert await documents(customer) == [first["document"]["id"]]
    assert await signnow_books(world) == {"uploads": 1}


async def test_the_same_key_with_another_request_is_a_conflict(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document("key")
    for answer in (
        await customer.upload("key", "Another name"),
        await customer.upload("key", content=world.pdf("Another file")),
        await customer.invite(document, "key"),
        await customer.download(document, "key"),
    ):
        error = refused(answer)
        assert (error["__typename"], error["path"]) == ("Conflict", ["idempotencyKey"])
    assert await customer.usage() == UPLOADED
    assert await signnow_books(world) == {"uploads": 1}


async def test_another_tenant_may_use_the_same_key(world: World) -> None:
    acme, bolt = await sign_up(world, reference="acme"), await sign_up(world, reference="bolt")
    assert (await acme.upload())["document"]["id"] != (await bolt.upload())["document"]["id"]
    assert await acme.usage() == await bolt.usage() == UPLOADED
    assert await signnow_books(world, acme) == await signnow_books(world, bolt) == {"uploads": 1}


async def test_one_key_at_once_is_one_call(world: World) -> None:
    customer = await sign_up(world)
    made = await asyncio.gather(*(customer.upload() for _ in range(10)))
    documents_made = {answer["document"]["id"] for answer in made if answer["document"]}
    assert len(documents_made) == 1
    assert {refused(a)["__typename"] for a in made if not a["document"]} <= {"OutcomeUnknown"}
    assert (await customer.upload())["document"]["id"] in documents_made
    assert await customer.usage() == UPLOADED
    assert await signnow_books(world) == {"uploads": 1}


async def test_what_cannot_be_uploaded_is_named(world: World) -> None:
    customer = await sign_up(world)
    for content in (b"", b"GIF89a", b"%PDF", b"\0" * 1024 + world.pdf(), "PDF-1.7 é".encode()):
        assert list(problems(await customer.upload(content=content))) == ["content"]
    for name in ("", " ", "a" * 201, "a\tb", "a\u2028b"):
        assert list(problems(await customer.upload(name=name))) == ["name"]
    for key in ("", "\n", "k" * 201):
        assert list(problems(await customer.upload(key=key))) == ["idempotencyKey"]
    assert await customer.usage() == {}
    assert await signnow_books(world) == {}


async def test_junk_before_the_pdf_is_let_in_as_readers_do(world: World) -> None:
    customer = await sign_up(world)
    assert (await customer.upload(content=b"\xef\xbb\xbf" + world.pdf()))["userErrors"] == []


async def test_51_mebibytes_are_too_many(world: World) -> None:
    customer = await sign_up(world)
    answer = await customer.upload(content=b"%PDF-" + bytes(51 * 1024 * 1024))
    assert problems(answer) == {"content": "is larger than 50 MiB"}
    assert await customer.usage() == {}


async def test_a_refusal_is_kept_for_its_key(world: World) -> None:
    customer = await sign_up(world)
    await fault(world.signnow, "invalid_client", on="/document")
    for _ in range(2):
        error = refused(await customer.upload())
        assert (error["__typename"], error["upstreamCode"]) == ("SignNowRefused", "invalid_client")
    assert await customer.usage() == {}
    assert (await customer.upload("another key"))["userErrors"] == []
    assert await signnow_books(world) == {"uploads": 1}


@pytest.mark.parametrize("kind", ["429", "invalid_token"])
async def test_what_certainly_did_not_happen_frees_the_key(world: World, kind: str) -> None:
    """The operator's own key that SignNow does not take is no answer to the tenant either."""
    customer = await sign_up(world)
    await fault(world.signnow, kind, on="/document")
    error = refused(await customer.upload())
    assert error["__typename"] == "UpstreamUnavailable"
    assert await customer.usage() == {}
    assert (await customer.upload())["userErrors"] == []
    assert await signnow_books(world) == {"uploads": 1}


@pytest.mark.parametrize("kind", ["500", "timeout_before", "timeout_after"])
async def test_an_unknown_outcome_is_settled_by_asking(world: World, kind: str) -> None:
    customer = await sign_up(world)
    await fault(world.signnow, kind, on="/document")
    assert refused(await customer.upload())["__typename"] == "OutcomeUnknown"
    assert refused(await customer.upload())["__typename"] == "OutcomeUnknown"
    assert await customer.usage() == RESERVED
    await world.work()
    assert await customer.usage() == RESERVED, "it is too early to ask"
    world.clock.travel_to(SETTLED)
    await world.work()
    again = await customer.upload()
    if kind == "timeout_after":
        assert again["document"]["state"] == "UPLOADED"
        assert await customer.usage() == UPLOADED
        assert (await customer.invite(again["document"]["id"]))["userErrors"] == []
    else:
        assert refused(again)["__typename"] == "SignNowRefused"
        assert await customer.usage() == {}
        assert (await customer.upload("another key"))["userErrors"] == []
    assert (await signnow_books(world))["uploads"] == 1
    await world.work()
    assert (await customer.usage())["documents_created"] == (1, 0)


async def test_settling_waits_for_signnow(world: World) -> None:
    customer = await sign_up(world)
    await fault(world.signnow, "timeout_after", on="/document")
    await customer.upload()
    await world.work()
    world.clock.travel_to(SETTLED)
    await fault(world.signnow, "500", 3, on="/folder", method="GET")
    await world.work()
    assert await customer.usage() == RESERVED
    await world.work()
    assert await customer.usage() == UPLOADED


async def test_reserved_units_count_against_a_hard_limit(world: World) -> None:
    customer = await sign_up(world, quotas=[quota("documents_created", "HARD", 1)])
    await fault(world.signnow, "timeout_before", on="/document")
    await customer.upload()
    error = refused(await customer.upload("another key"))
    assert (error["__typename"], error["limit"], error["used"]) == ("QuotaExceeded", "1", "1")
    world.clock.travel_to(SETTLED)
    await world.work()
    assert (await customer.upload("another key"))["userErrors"] == []


async def test_a_download_is_counted_once_for_each_key(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    for key in ("a", "a", "b"):
        answer = await customer.download(document, key)
        assert base64.b64decode(answer["content"]).startswith(b"%PDF-")
    assert (await customer.usage())["downloads"] == (2, 0)


async def test_a_download_that_fails_is_free_and_may_be_repeated(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    for kind, times in (("500", 3), ("timeout_before", 3), ("timeout_after", 3), ("429", 1)):
        await fault(world.signnow, kind, times, on="/document", method="GET")
        assert refused(await customer.download(document))["__typename"] == "UpstreamUnavailable", kind
        assert await customer.usage() == UPLOADED, kind
    assert (await customer.download(document))["userErrors"] == []
    assert (await customer.usage())["downloads"] == (1, 0)


async def test_a_download_repeated_while_signnow_is_down_says_so(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await customer.download(document)
    await fault(world.signnow, "500", 3, on="/document", method="GET")
    assert refused(await customer.download(document))["__typename"] == "UpstreamUnavailable"
    assert (await customer.download(document))["userErrors"] == []
    assert (await customer.usage())["downloads"] == (1, 0)


async def test_a_document_of_another_tenant_is_not_found(world: World) -> None:
    acme, bolt = await sign_up(world, reference="acme"), await sign_up(world, reference="bolt")
    document = await acme.document()
    answers: list[Json] = [await bolt.download(document), await bolt.invite(document)]
    answers += [await bolt.download(global_id("Tenant", raw_id(document))), await bolt.download(bolt.id)]
    for answer in answers:
        error = refused(answer)
        assert (error["__typename"], error["path"]) == ("NotFound", ["documentId"])
    assert await bolt.usage() == {}
    assert await signnow_books(world) == {"uploads": 1}


async def test_a_document_that_is_gone_at_signnow(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    headers = {"authorization": "Bearer sandbox-api-key"}
    [theirs] = (await world.signnow.get("/user/documentsv2", headers=headers)).json()
    (await world.signnow.delete(f"/document/{theirs['id']}", headers=headers)).raise_for_status()
    assert refused(await customer.download(document))["__typename"] == "SignNowRefused"
    assert refused(await customer.invite(document))["__typename"] == "SignNowRefused"
    assert await customer.usage() == UPLOADED


async def test_without_a_subscription_nothing_is_uploaded(world: World) -> None:
    customer = Customer(world, await world.provision(), world.operator)
    assert refused(await customer.upload())["__typename"] == "SubscriptionInactive"
    assert await signnow_books(world) == {}
