"""Document groups through the API: made once, sent once, counted once, settled by what SignNow has."""

from datetime import timedelta
from typing import Any

import pytest

from services import upstream_reconciling
from storage.documents import Document
from storage.operations import Operation
from tests.services.signing_steps import delete
from tests.services.steps import DECISION, Customer, Json, do, fault, problems, refused, sign_up, signnow_books
from tests.world import START, World

pytestmark = pytest.mark.anyio

SETTLED = START + timedelta(minutes=3)
GROUP = "group { id state documents { id state } }"


async def act(customer: Customer, mutation: str, key: str, /, more: str = "", **input: Any) -> Json:
    selection = f"{GROUP} {DECISION} {more}"
    return await do(customer.api, mutation, selection, tenantId=customer.id, idempotencyKey=key, **input)


async def create(customer: Customer, *documents: str, key: str = "group") -> Json:
    return await act(customer, "createDocumentGroup", key, name="Closing", documentIds=list(documents))


async def send(customer: Customer, group: str, *documents: str, key: str = "send", **more: Any) -> Json:
    """Ann signs every document first, then Bob the last one."""
    signers: list[Json] = [{"documentId": d, "email": "ann@x.test", "role": "Signer 1"} for d in documents]
    signers.append({"documentId": documents[-1], "email": "bob@x.test", "role": "Signer 2", "order": 2})
    return await act(customer, "sendGroupInvite", key, groupId=group, **{"signers": signers, **more})


async def cancel(customer: Customer, group: str, key: str = "cancel") -> Json:
    return await act(customer, "cancelGroupInvite", key, groupId=group)


async def status(customer: Customer, group: str) -> Json:
    query = """query ($id: ID!, $tenant: ID) { documentGroupStatus(groupId: $id, tenantId: $tenant) {
        status group { state } actions { email status order document { name } } } }"""
    return dict((await customer.api.ask(query, id=group, tenant=customer.id))["documentGroupStatus"])


async def grouped(customer: Customer) -> tuple[str, list[str]]:
    """A group of two documents; its id and theirs."""
    documents = [await customer.document(f"up-{n}", f"Lease {n}") for n in (1, 2)]
    made = await create(customer, *documents)
    assert made["userErrors"] == []
    return str(made["group"]["id"]), documents


async def sent(customer: Customer) -> tuple[str, list[str]]:
    group, documents = await grouped(customer)
    assert (await send(customer, group, *documents))["userErrors"] == []
    return group, documents


async def test_a_group_is_made_sent_signed_and_downloaded_and_counted_once(world: World) -> None:
    customer = await sign_up(world)
    group, documents = await grouped(customer)
    again = await create(customer, *documents)
    assert (again["group"]["id"], again["group"]["state"]) == (group, "CREATED")
    assert [document["state"] for document in again["group"]["documents"]] == ["GROUPED", "GROUPED"]
    first = await send(customer, group, *documents)
    assert (first["group"]["state"], first["decision"]["reason"]) == ("SENT", "OVERAGE")
    assert await send(customer, group, *documents) == first
    looked = await status(customer, group)
    assert looked["status"] == "pending"
    assert [(a["email"], a["status"]) for a in looked["actions"]] == [
        ("ann@x.test", "pending"),
        ("ann@x.test", "pending"),
        ("bob@x.test", "created"),
    ]
    await customer.sign(documents[0])
    await customer.sign(documents[1], "ann@x.test", "bob@x.test")
    await world.work()
    assert (await status(customer, group))["group"]["state"] == "COMPLETED"
    for form, beginning in (("COLLAPSED", "JVBERi"), ("ZIP", "UEsD")):
        for _ in range(2):
            got = await act(customer, "downloadDocumentGroup", form, "content", groupId=group, form=form)
            assert got["content"].startswith(beginning)
    usage = await customer.usage()
    told = {meter: usage[meter] for meter in ("invites_sent", "signatures", "documents_completed", "downloads")}
    assert told == {"invites_sent": (1, 0), "signatures": (3, 0), "documents_completed": (2, 0), "downloads": (4, 0)}
    books = await signnow_books(world)
    assert (books["invites_charged"], books["signatures"], books["completions"]) == (1, 3, 2)
    for row in await upstream_reconciling.reconcile_signnow(world.platform, "2026-03"):
        assert (row.ours, row.theirs, row.unexplained, row.causes) == (1, 1, 0, [])


async def test_a_group_that_was_cancelled_is_sent_again_and_charged_again(world: World) -> None:
    customer = await sign_up(world)
    group, documents = await sent(customer)
    assert (await cancel(customer, group))["group"]["state"] == "CANCELLED"
    assert refused(await cancel(customer, group, "other"))["code"] == "CONFLICT"
    assert (await status(customer, group))["status"] is None
    assert (await send(customer, group, *documents, key="again"))["group"]["state"] == "SENT"
    resent = await act(customer, "resendGroupInvite", "resend", groupId=group, email="ann@x.test")
    assert resent["userErrors"] == []
    early = await act(customer, "resendGroupInvite", "early", groupId=group, email="bob@x.test")
    assert refused(early)["__typename"] == "SignNowRefused"
    assert (await customer.usage())["invites_sent"] == (2, 0)
    assert (await signnow_books(world))["invites_charged"] == 2
    for row in await upstream_reconciling.reconcile_signnow(world.platform, "2026-03"):
        assert row.unexplained == 0


async def test_what_is_grouped_is_sent_with_its_group_alone(world: World) -> None:
    customer = await sign_up(world)
    group, documents = await grouped(customer)
    for answer in (
        await customer.invite(documents[0]),
        await delete(customer, documents[0]),
        await create(customer, documents[0], key="second"),
    ):
        assert refused(answer)["code"] == "CONFLICT"
    out = await customer.send(7)
    assert refused(await create(customer, out, key="out"))["code"] == "CONFLICT"
    free = await customer.document("free")
    assert refused(await create(customer, free, documents[0], key="mixed"))["code"] == "CONFLICT"
    assert (await customer.invite(free, "free-in"))["userErrors"] == [], (
        "it was not taken for a group that there is not"
    )
    removed = await act(customer, "deleteDocumentGroup", "delete", groupId=group)
    assert (removed["group"]["state"], removed["group"]["documents"]) == ("DELETED", [])
    assert (await customer.invite(documents[0], "alone"))["userErrors"] == []


async def test_what_was_done_with_a_group_is_told_again_when_it_is_gone(world: World) -> None:
    customer = await sign_up(world)
    group, documents = await sent(customer)
    first = await send(customer, group, *documents)
    assert (await cancel(customer, group))["userErrors"] == []
    assert (await act(customer, "deleteDocumentGroup", "delete", groupId=group))["userErrors"] == []
    again = await send(customer, group, *documents)
    assert again["userErrors"] == []
    assert again["decision"] == first["decision"]
    assert again["group"] == {"id": group, "state": "DELETED", "documents": []}
    assert refused(await send(customer, group, *documents, key="another"))["code"] == "CONFLICT"
    assert (await signnow_books(world))["invites_charged"] == 1


async def test_groups_are_no_documents_and_others_do_not_see_them(world: World) -> None:
    acme, other = await sign_up(world), await sign_up(world, reference="other", code="other")
    group, documents = await grouped(acme)
    assert refused(await create(other, documents[0]))["code"] == "NOT_FOUND"
    theirs = await other.document("theirs")
    assert refused(await create(acme, theirs, key="theirs"))["code"] == "NOT_FOUND"
    for answer in (
        await send(other, group, *documents),
        await cancel(other, group),
        await act(other, "deleteDocumentGroup", "delete", groupId=group),
        await act(other, "downloadDocumentGroup", "down", groupId=group),
    ):
        assert refused(answer)["code"] == "NOT_FOUND"
    wrong = await send(acme, group, documents[0], theirs)
    assert problems(wrong)["signers.1.documentId"] == "is no document of the group"
    query = """query ($id: ID) { documents(tenantId: $id) { edges { node { id } } }
        documentGroups(tenantId: $id) { edges { node { id documents { id } } } } }"""
    seen = await acme.api.ask(query, id=acme.id)
    assert [edge["node"]["id"] for edge in seen["documents"]["edges"]] == documents
    assert [edge["node"]["id"] for edge in seen["documentGroups"]["edges"]] == [group]
    as_document = group.replace("DocumentGroup", "Document")
    assert refused(await acme.invite(as_document))["code"] in ("NOT_FOUND", "INVALID_INPUT")
    node = "query ($id: ID!) { node(id: $id) { id __typename } }"
    assert (await acme.api.ask(node, id=group))["node"]["__typename"] == "DocumentGroup"
    assert (await (await other.own_api()).ask(node, id=group))["node"] is None


async def test_bad_input_of_groups_is_refused(world: World) -> None:
    customer = await sign_up(world)
    group, documents = await grouped(customer)
    assert "documentIds" in problems(await create(customer, key="none"))
    assert "documentIds" in problems(await create(customer, documents[0], documents[0], key="twice"))
    for wrong, at in (
        ({"email": "nobody"}, "signers.0.email"),
        ({"role": ""}, "signers.0.role"),
        ({"order": 0}, "signers.0.order"),
        ({"expirationDays": 2}, "signers.0.expirationDays"),
        ({"action": "VIEW"}, "signers"),
    ):
        signer = {"documentId": documents[0], "email": "ann@x.test", "role": "Signer 1", **wrong}
        assert at in problems(await send(customer, group, *documents, key=at, signers=[signer]))
    assert "signers" in problems(await send(customer, group, *documents, key="nobody", signers=[]))
    assert "invites_sent" not in await customer.usage()


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after"])
@pytest.mark.parametrize("what", ["create", "send", "cancel", "delete"])
async def test_what_has_no_answer_is_settled_by_what_signnow_has(world: World, what: str, kind: str) -> None:
    customer = await sign_up(world)
    if what == "create":
        documents = [await customer.document(f"up-{n}") for n in (1, 2)]
        await fault(world.signnow, kind, on="/documentgroup")
        unknown = await create(customer, *documents)
    elif what == "send":
        group, documents = await grouped(customer)
        await fault(world.signnow, kind, on="/documentgroup")
        unknown = await send(customer, group, *documents)
    elif what == "cancel":
        group, documents = await sent(customer)
        await fault(world.signnow, kind, on="/documentgroup")
        unknown = await cancel(customer, group)
    else:
        group, documents = await grouped(customer)
        await fault(world.signnow, kind, on="/documentgroup", method="DELETE")
        unknown = await act(customer, "deleteDocumentGroup", "delete", groupId=group)
    assert refused(unknown)["__typename"] == "OutcomeUnknown"
    assert refused(await customer.invite(documents[0], "meanwhile"))["code"] == "CONFLICT"
    await world.travel_to(SETTLED)
    await world.work()
    assert not await Operation.exists(state__in=["RESERVED", "UNKNOWN"])
    is_done = kind == "timeout_after"
    books, usage = await signnow_books(world), await customer.usage()
    assert usage.get("invites_sent", (0, 0)) == (books.get("invites_charged", 0), 0)
    assert all(reserved == 0 for _, reserved in usage.values())
    states = {document.state for document in await Document.filter(group_id__isnull=False)}
    match what:
        case "create":
            assert states == ({"UPLOADED", "GROUPED"} if is_done else set())
        case "send":
            assert states == ({"SENT", "GROUPED"} if is_done else {"UPLOADED", "GROUPED"})
        case "cancel":
            assert states == ({"CANCELLED", "GROUPED"} if is_done else {"SENT", "GROUPED"})
        case _:
            assert states == ({"DELETED"} if is_done else {"UPLOADED", "GROUPED"})
    if states in (set(), {"DELETED"}):
        assert (await customer.invite(documents[0], "now"))["userErrors"] == []


async def test_a_group_that_signnow_refuses_leaves_its_documents_free(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await fault(world.signnow, "invalid_client", on="/documentgroup")
    assert refused(await create(customer, document))["__typename"] == "SignNowRefused"
    await fault(world.signnow, "429", on="/documentgroup")
    assert refused(await create(customer, document, key="busy"))["__typename"] == "UpstreamUnavailable"
    assert (await create(customer, document, key="busy"))["group"]["state"] == "CREATED"
