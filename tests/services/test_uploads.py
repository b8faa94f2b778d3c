"""Documents that SignNow makes of a URL, of text tags, of a template: named, placed, counted once."""

import base64
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from storage.documents import Document
from tests.services.signing_steps import act, delete, theirs
from tests.services.steps import Customer, Json, fault, problems, raw_id, refused, sign_up, signnow_books
from tests.world import START, World

pytestmark = pytest.mark.anyio

SETTLED = START + timedelta(minutes=3)


@pytest.fixture(autouse=True)
def lease(world: World) -> None:
    """A PDF lies where SignNow can fetch it: the sandbox fetches through the connection of its callbacks."""

    async def give_lease(_: Request) -> Response:
        return Response(world.pdf(), media_type="application/pdf")

    transport: Any = world.http._transport
    transport.app.app.router.routes.append(Route("/lease.pdf", give_lease))


MADE = {"documents_created": (1, 0), "api_calls": (3, 0)}


async def from_url(customer: Customer, key: str = "url", url: str = "http://inkmeter.test/lease.pdf") -> Json:
    return await act(customer, "uploadDocumentFromUrl", key, name="Lease", url=url)


async def tagged(customer: Customer, key: str = "tags", *tags: Json) -> Json:
    content = base64.b64encode(customer.world.pdf()).decode()
    wanted = tags or ({"name": "Sig1", "role": "Signer 1"},)
    return await act(customer, "uploadDocument", key, name="Lease", content=content, tags=wanted)


async def template(customer: Customer, document: str, key: str = "template") -> Json:
    return await act(customer, "createTemplate", key, documentId=document, name="Lease of all")


async def copy(customer: Customer, source: str, key: str = "copy") -> Json:
    return await act(customer, "createDocumentFromTemplate", key, templateId=source, name="Lease")


async def make_template(customer: Customer) -> str:
    """A template with fields; answers its id."""
    document = await customer.send("source")
    made = await template(customer, document)
    assert made["document"]["state"] == "TEMPLATE"
    return str(made["document"]["id"])


async def is_in_place(customer: Customer, document: str) -> None:
    """It has its name and lies in the tenant's folder."""
    found = await theirs(customer, document)
    assert (found["document_name"], found["parent_id"]) == ("Lease", customer.tenant.signnow_folder_id)


MAKERS: dict[str, Callable[..., Awaitable[Json]]] = {"url": from_url, "tags": tagged}
PATHS = {"url": "/v2/documents/url", "tags": "/document/fieldextract"}


@pytest.mark.parametrize("maker", MAKERS)
async def test_the_same_key_makes_one_document(world: World, maker: str) -> None:
    customer = await sign_up(world)
    first = await MAKERS[maker](customer)
    assert first["document"]["state"] == "UPLOADED"
    assert await MAKERS[maker](customer) == first
    assert await customer.usage() == MADE
    await is_in_place(customer, first["document"]["id"])
    assert (await signnow_books(world))["uploads"] == 1


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("kind", ["500", "timeout_before", "timeout_after"])
async def test_an_unknown_outcome_is_settled_by_asking(world: World, maker: str, kind: str) -> None:
    customer = await sign_up(world)
    await fault(world.signnow, kind, on=PATHS[maker])
    assert refused(await MAKERS[maker](customer))["__typename"] == "OutcomeUnknown"
    world.clock.travel_to(SETTLED)
    await world.work()
    again = await MAKERS[maker](customer)
    if kind == "timeout_after":
        assert again["document"]["state"] == "UPLOADED"
        assert await customer.usage() == MADE
        await is_in_place(customer, again["document"]["id"])
    else:
        assert refused(again)["__typename"] == "SignNowRefused"
        assert await customer.usage() == {}
        assert (await MAKERS[maker](customer, "new"))["userErrors"] == []
    assert (await signnow_books(world))["uploads"] == 1


@pytest.mark.parametrize("maker", MAKERS)
async def test_a_name_is_given_later_if_it_cannot_be_now(world: World, maker: str) -> None:
    customer = await sign_up(world)
    await fault(world.signnow, "500", on="/document", method="PUT")
    made = await MAKERS[maker](customer)
    assert made["userErrors"] == []
    assert (await theirs(customer, made["document"]["id"]))["document_name"] != "Lease"
    world.clock.travel_to(START + timedelta(minutes=10))
    await world.work()
    await is_in_place(customer, made["document"]["id"])
    assert await customer.usage() == MADE


async def test_tags_become_fields(world: World) -> None:
    customer = await sign_up(world)
    made = await tagged(customer)
    sent = await customer.invite(made["document"]["id"])
    assert (sent["userErrors"], sent["document"]["state"]) == ([], "SENT")
    assert (await customer.usage())["api_calls"] == (3 + 2, 0), "no fields had to be placed"


async def test_a_template_is_no_document_and_its_copies_are(world: World) -> None:
    customer = await sign_up(world)
    source = await make_template(customer)
    before = await customer.usage()
    assert before["documents_created"] == (1, 0)
    assert (await theirs(customer, source))["document_name"] == "Lease of all"
    made = await copy(customer, source)
    assert await copy(customer, source) == made
    await is_in_place(customer, made["document"]["id"])
    assert (await customer.usage())["documents_created"] == (2, 0)
    sent = await customer.invite(made["document"]["id"], "copy-sent")
    assert (sent["userErrors"], sent["document"]["state"]) == ([], "SENT"), "it has the template's fields"
    error = refused(await customer.invite(source, "template-sent"))
    assert (error["__typename"], error["path"]) == ("Conflict", ["documentId"])
    assert refused(await copy(customer, made["document"]["id"], "x"))["__typename"] == "Conflict"


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after"])
async def test_templates_and_copies_are_settled(world: World, kind: str) -> None:
    customer = await sign_up(world)
    source = await make_template(customer)
    document = await customer.document("other")
    makers: list[tuple[str, Callable[..., Awaitable[Json]], str]] = [
        ("template", template, document),
        ("copy", copy, source),
    ]
    for name, make, origin in makers:
        key = f"{name}-lost"
        await fault(world.signnow, kind, on="/template")
        assert refused(await make(customer, origin, key))["__typename"] == "OutcomeUnknown"
        world.clock.travel_to(world.clock.now() + timedelta(minutes=3))
        await world.work()
        again = await make(customer, origin, key)
        assert (again["userErrors"] == []) is (kind == "timeout_after")
        assert (await make(customer, origin, f"{key}-new"))["userErrors"] == []
    names = sorted([row.name for row in await Document.filter(tenant_id=customer.tenant.id)])
    found = 2 if kind == "timeout_after" else 1
    assert names.count("Lease of all") == 1 + found


async def test_what_cannot_be_made_is_named(world: World) -> None:
    customer = await sign_up(world)
    for url in ("", "ftp://x/y", "http://", "https://x test/", "https://x/" + "y" * 2048, "javascript:x"):
        assert list(problems(await from_url(customer, url=url))) == ["url"], url
    answer = await tagged(customer, "tags", {"name": "", "role": "\t", "type": "stamp"})
    assert list(problems(answer)) == ["tags.0.name", "tags.0.role", "tags.0.type"]
    assert await customer.usage() == {}


async def test_a_url_that_signnow_cannot_read_is_refused(world: World) -> None:
    customer = await sign_up(world)
    for number, path in enumerate(("nothing", "health")):
        answer = await from_url(customer, f"key-{number}", f"http://inkmeter.test/{path}")
        assert refused(answer)["__typename"] == "SignNowRefused"
    assert await customer.usage() == {}


async def test_another_tenants_are_not_found(world: World) -> None:
    acme, bolt = await sign_up(world, reference="acme"), await sign_up(world, reference="bolt")
    source = await make_template(acme)
    for answer, path in ((await copy(bolt, source), "templateId"), (await template(bolt, source), "documentId")):
        error = refused(answer)
        assert (error["__typename"], error["path"]) == ("NotFound", [path])
    assert await bolt.usage() == {}


async def test_a_deleted_template_makes_nothing(world: World) -> None:
    customer = await sign_up(world)
    source = await make_template(customer)
    assert (await delete(customer, source))["document"]["state"] == "DELETED"
    assert refused(await copy(customer, source))["__typename"] == "Conflict"
    assert (await Document.get(id=raw_id(source))).state == "DELETED"
