"""Embedded invites: sold and charged like a field invite, signed by a link that is a credential."""

from datetime import timedelta

import pytest

from storage.operations import Operation
from storage.usage import UsageEvent
from tests.services.signing_steps import cancel, delete_there, embed, link, signer, status
from tests.services.steps import fault, problems, refused, sign_up, signnow_books
from tests.world import START, World

pytestmark = pytest.mark.anyio

SETTLED = START + timedelta(minutes=3)


async def test_the_same_key_invites_once_and_a_link_lets_sign(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    first = await embed(customer, document)
    assert first["document"]["state"] == "SENT"
    assert await embed(customer, document) == first
    assert await customer.usage() == {"documents_created": (1, 0), "invites_sent": (1, 0), "api_calls": (5, 0)}
    links = [(await link(customer, document))["link"] for _ in range(2)]
    assert all(found.startswith("http://signnow.test/") for found in links)
    assert (await customer.usage())["api_calls"] == (7, 0), "a link is counted once for each key"
    rows = await Operation.filter(tenant_id=customer.tenant.id)
    assert not any("signnow.test" in str((row.request, row.decision)) for row in rows), "a link is kept nowhere"
    await customer.sign(document, "signer1@x.test")
    await world.work()
    used = await customer.usage()
    assert (used["signatures"], used["documents_completed"]) == ((1, 0), (1, 0))
    assert (await signnow_books(world))["invites_charged"] == 1
    events = await UsageEvent.filter(tenant_id=customer.tenant.id, upstream_units=1)
    assert [(e.meter, e.upstream_kind) for e in events] == [("invites_sent", "FIELD_INVITE")]


async def test_signers_take_turns(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await embed(customer, document, "embed", signer(1), signer(2, order=2, firstName="Bob", language="es"))
    error = refused(await link(customer, document, role="Signer 2"))
    assert (error["__typename"], error["upstreamCode"]) == ("SignNowRefused", "19001028")
    await customer.sign(document, "signer1@x.test")
    assert (await link(customer, document, "later", "Signer 2"))["link"]
    assert [s["isEmbedded"] for s in (await status(customer, document))["signers"]] == [True, True]


async def test_a_cancelled_embedded_invite_makes_room_for_mail(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await embed(customer, document)
    assert (await cancel(customer, document))["document"]["state"] == "CANCELLED"
    assert problems(await link(customer, document)) == {"role": "nobody with this role signs embedded"}
    assert (await customer.invite(document))["document"]["state"] == "SENT"
    assert (await customer.usage())["invites_sent"] == (2, 0)
    assert (await signnow_books(world))["invites_charged"] == 2


async def test_what_cannot_be_asked_is_named(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    twice = {"email": "SIGNER1@x.test", "role": "Signer 2"}
    for signers, paths in (
        ([signer(n) for n in range(21)], ["signers"]),
        ([signer(1), twice], ["signers"]),
        ([signer(1, email="x", firstName="")], ["signers.0.email", "signers.0.firstName"]),
        ([signer(1, redirectUri="ftp://x")], ["signers.0.redirectUri"]),
    ):
        assert list(problems(await embed(customer, document, "key", *signers))) == paths
    assert problems(await link(customer, document, minutes=14)) == {"minutes": "is a number from 15 to 45"}
    place = {"role": "Signer 1", "page": 0, "x": 1, "y": 1}
    fields = [place, {**place, "role": "Signer 2"}]
    await embed(customer, document, "sent", signer(1), signer(2), fields=fields)
    await cancel(customer, document)
    answer = await embed(customer, document, "key", signer(1))
    assert problems(answer) == {"signers": "every role needs a signer; nobody has Signer 2"}
    assert (await embed(customer, document, "key", signer(1), signer(2)))["userErrors"] == [], "the key was free"


@pytest.mark.parametrize("kind", ["500", "timeout_before", "timeout_after"])
async def test_an_unknown_outcome_is_settled_by_asking(world: World, kind: str) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await fault(world.signnow, kind, on="/v2/documents")
    assert refused(await embed(customer, document))["__typename"] == "OutcomeUnknown"
    assert refused(await customer.invite(document))["__typename"] == "Conflict"
    world.clock.travel_to(SETTLED)
    await world.work()
    if kind == "timeout_after":
        assert (await embed(customer, document))["document"]["state"] == "SENT"
    else:
        assert refused(await embed(customer, document))["__typename"] == "SignNowRefused"
        assert (await embed(customer, document, "new"))["document"]["state"] == "SENT"
    assert (await customer.usage())["invites_sent"] == (1, 0)
    assert (await signnow_books(world))["invites_charged"] == 1


async def test_a_link_without_an_answer_is_free(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await embed(customer, document)
    before = await customer.usage()
    await fault(world.signnow, "timeout_after", on="/v2/documents")
    assert refused(await link(customer, document))["__typename"] == "OutcomeUnknown"
    world.clock.travel_to(SETTLED)
    await world.work()
    assert await customer.usage() == before
    assert (await link(customer, document, "new"))["link"]


async def test_a_document_that_is_gone(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await delete_there(customer, document)
    assert refused(await embed(customer, document))["__typename"] == "SignNowRefused"
    assert "invites_sent" not in await customer.usage()
