"""Invites: a document is sent once, and SignNow charges what we count."""

import asyncio
from datetime import timedelta

import pytest

from tests.services.steps import Json, fault, price, problems, quota, refused, sign_up, signnow_books
from tests.world import START, World

pytestmark = pytest.mark.anyio

TIERED = price("invites_sent", "tiered", fee="49.00", included=1, overage={"unitPrice": "4.25"})
SETTLED = START + timedelta(minutes=3)


def signer(number: int, **more: object) -> Json:
    return {"email": f"signer{number}@x.test", "role": f"Signer {number}", **more}


async def test_the_same_key_sends_once(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    first = await customer.invite(document)
    assert first["document"]["state"] == "SENT"
    assert await customer.invite(document) == first
    assert await customer.usage() == {"documents_created": (1, 0), "invites_sent": (1, 0), "api_calls": (5, 0)}
    assert await signnow_books(world) == {"uploads": 1, "invites_sent": 1, "invites_charged": 1}


async def test_a_document_is_sent_once(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await customer.invite(document, "first")
    error = refused(await customer.invite(document, "second"))
    assert (error["__typename"], error["path"]) == ("Conflict", ["documentId"])
    assert (await customer.usage())["invites_sent"] == (1, 0)


async def test_one_document_at_once_is_sent_once(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    made = await asyncio.gather(*(customer.invite(document, f"key-{n}") for n in range(8)))
    assert len([answer for answer in made if not answer["userErrors"]]) == 1
    assert {refused(answer)["__typename"] for answer in made if answer["userErrors"]} == {"Conflict"}
    assert (await customer.usage())["invites_sent"] == (1, 0)
    assert (await signnow_books(world))["invites_charged"] == 1


async def test_one_key_at_once_is_one_call(world: World) -> None:
    customer = await sign_up(world, quotas=[quota("invites_sent", "HARD", 1)])
    document = await customer.document()
    made = await asyncio.gather(*(customer.invite(document) for _ in range(8)))
    kinds = [answer["userErrors"][0]["__typename"] if answer["userErrors"] else "ok" for answer in made]
    assert "ok" in kinds
    assert set(kinds) <= {"ok", "OutcomeUnknown"}, "the same key is never refused for a limit that itself has used up"
    assert (await signnow_books(world))["invites_charged"] == 1


async def test_a_field_invite_is_one_unit_however_many_sign(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await customer.invite(document, signers=[signer(n) for n in range(1, 6)])
    assert (await customer.usage())["invites_sent"] == (1, 0)
    assert (await signnow_books(world))["invites_charged"] == 1


async def test_signers_sign_in_order_and_everybody_is_counted_once(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await customer.invite(document, signers=[signer(1, order=2), signer(2, order=1), signer(3, order=2)])
    for number, state in ((2, "SENT"), (3, "SENT"), (1, "COMPLETED")):
        await customer.sign(document, f"signer{number}@x.test")
        await world.work()
        answer = await customer.download(document, "one key")
        assert answer["document"]["state"] == state
    used = await customer.usage()
    assert (used["signatures"], used["documents_completed"]) == ((3, 0), (1, 0))
    assert {k: v for k, v in (await signnow_books(world)).items() if k != "downloads"} == {
        "uploads": 1,
        "invites_sent": 1,
        "invites_charged": 1,
        "signatures": 3,
        "completions": 1,
    }


async def test_a_free_form_invite(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    assert (await customer.invite(document, kind="FREE_FORM"))["document"]["state"] == "SENT"
    await customer.sign(document)
    await world.work()
    used = await customer.usage()
    assert used == {
        "documents_created": (1, 0),
        "invites_sent": (1, 0),
        "api_calls": (2, 0),
        "signatures": (1, 0),
        "documents_completed": (1, 0),
    }
    assert problems(await customer.invite(document, "x", "a@x.test", "b@x.test", kind="FREE_FORM")) == {
        "signers": "needs 1 to 1 signers"
    }


async def test_a_decline_completes_nothing(world: World) -> None:
    customer = await sign_up(world)
    await customer.send(1, "ann@x.test", "bob@x.test")
    headers = {"authorization": "Bearer sandbox-api-key"}
    [theirs] = (await world.signnow.get("/user/documentsv2", headers=headers)).json()
    url = f"/_sandbox/documents/{theirs['id']}/decline"
    (await world.signnow.post(url, json={"email": "ann@x.test"})).raise_for_status()
    await world.work()
    assert "documents_completed" not in await customer.usage()
    assert "signatures" not in await customer.usage()


async def test_what_cannot_be_sent_is_named(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    place = {"role": "Signer 1", "page": 0, "x": 1, "y": 1}
    for change, paths in (
        ({"signers": []}, ["signers"]),
        ({"signers": [signer(n) for n in range(21)]}, ["signers"]),
        ({"signers": [signer(1), signer(2, role="Signer 1")]}, ["signers"]),
        ({"signers": [signer(1, email="x")]}, ["signers.0.email"]),
        ({"signers": [signer(1), signer(2, role="\t", order=0)]}, ["signers.1.role", "signers.1.order"]),
        ({"signers": [signer(1, order=100)]}, ["signers.0.order"]),
        ({"signers": [signer(1)], "fields": [{**place, "role": "Nobody"}]}, ["fields.0.role"]),
        ({"signers": [signer(1)], "fields": [place, {**place, "x": -1}]}, ["fields.1"]),
        ({"signers": [signer(1)], "fields": [{**place, "page": 20_001}]}, ["fields.0"]),
        ({"subject": "s" * 5001}, ["subject"]),
        ({"message": "s" * 5001}, ["message"]),
        ({"idempotencyKey": ""}, ["idempotencyKey"]),
    ):
        assert list(problems(await customer.invite(document, **change))) == paths, change
    assert "invites_sent" not in await customer.usage()
    assert "invites_charged" not in await signnow_books(world)


async def test_a_role_without_fields_is_named_and_the_key_stays_free(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    place = {"role": "Signer 1", "page": 0, "x": 1, "y": 1}
    answer = await customer.invite(document, signers=[signer(1), signer(2)], fields=[place])
    assert problems(answer) == {"signers": "the document has no fields for Signer 2"}
    assert await customer.usage() == {"documents_created": (1, 0), "api_calls": (1, 0)}
    answer = await customer.invite(
        document, signers=[signer(1), signer(2)], fields=[place, {**place, "role": "Signer 2"}]
    )
    assert answer["userErrors"] == []


async def test_a_refusal_is_kept_for_its_key_and_another_may_send(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await fault(world.signnow, "invalid_client", on="/document")
    for _ in range(2):
        assert refused(await customer.invite(document))["__typename"] == "SignNowRefused"
    assert (await customer.invite(document, "another key"))["document"]["state"] == "SENT"
    assert (await customer.usage())["invites_sent"] == (1, 0)


@pytest.mark.parametrize(
    ("kind", "times", "method"),
    [
        ("429", 1, "POST"),
        ("500", 3, "GET"),
        ("timeout_before", 3, "GET"),
        ("500", 1, "PUT"),
        ("timeout_before", 1, "PUT"),
        ("timeout_after", 1, "PUT"),
    ],
)
async def test_what_certainly_did_not_happen_frees_the_key(world: World, kind: str, times: int, method: str) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await fault(world.signnow, kind, times, on="/document", method=method)
    assert refused(await customer.invite(document))["__typename"] == "UpstreamUnavailable"
    assert await customer.usage() == {"documents_created": (1, 0), "api_calls": (1, 0)}
    assert (await customer.invite(document))["document"]["state"] == "SENT"
    assert (await signnow_books(world))["invites_charged"] == 1


@pytest.mark.parametrize("free_form", [False, True])
@pytest.mark.parametrize("kind", ["500", "timeout_before", "timeout_after"])
async def test_an_unknown_outcome_is_settled_by_asking(world: World, kind: str, free_form: bool) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    how = {"kind": "FREE_FORM" if free_form else "FIELD"}
    await fault(world.signnow, kind, on="/document")
    assert refused(await customer.invite(document, **how))["__typename"] == "OutcomeUnknown"
    assert refused(await customer.invite(document, **how))["__typename"] == "OutcomeUnknown"
    assert refused(await customer.invite(document, "another key", **how))["__typename"] == "Conflict"
    assert (await customer.usage())["invites_sent"] == (0, 1)
    world.clock.travel_to(SETTLED)
    await world.work()
    if kind == "timeout_after":
        assert (await customer.invite(document, **how))["document"]["state"] == "SENT"
    else:
        assert refused(await customer.invite(document, **how))["__typename"] == "SignNowRefused"
        assert (await customer.invite(document, "another key", **how))["document"]["state"] == "SENT"
    assert (await customer.usage())["invites_sent"] == (1, 0)
    assert (await signnow_books(world))["invites_charged"] == 1


async def test_a_signature_may_come_before_the_invite_is_settled(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await fault(world.signnow, "timeout_after", on="/document")
    await customer.invite(document)
    await customer.sign(document)
    await world.work()
    world.clock.travel_to(SETTLED)
    await world.work()
    used = await customer.usage()
    assert (used["invites_sent"], used["signatures"], used["documents_completed"]) == ((1, 0), (1, 0), (1, 0))
    assert (await customer.download(document))["document"]["state"] == "COMPLETED"


async def test_a_hard_limit_refuses_with_all_that_helps(world: World) -> None:
    customer = await sign_up(world, TIERED, quotas=[quota("invites_sent", "HARD")])
    await customer.send(1)
    document = await customer.document()
    error = refused(await customer.invite(document))
    assert (error["__typename"], error["meter"]) == ("QuotaExceeded", "invites_sent")
    assert (error["limit"], error["used"], error["requested"]) == ("1", "1", "1")
    assert error["resetsAt"] == "2026-04-10T00:00:00Z"
    assert (await signnow_books(world))["invites_charged"] == 1
    world.clock.travel_to(START + timedelta(days=31))
    assert (await customer.invite(document))["userErrors"] == [], "the next period has units again"


async def test_a_hard_limit_holds_against_many_at_once(world: World) -> None:
    customer = await sign_up(world, quotas=[quota("invites_sent", "HARD", 3)])
    documents = [await customer.document(f"up-{n}") for n in range(8)]
    made = await asyncio.gather(*(customer.invite(d, f"in-{n}") for n, d in enumerate(documents)))
    assert len([answer for answer in made if not answer["userErrors"]]) == 3
    assert {refused(a)["__typename"] for a in made if a["userErrors"]} == {"QuotaExceeded"}
    assert (await signnow_books(world))["invites_charged"] == 3


async def test_a_soft_limit_says_what_more_costs(world: World) -> None:
    customer = await sign_up(world, TIERED, quotas=[quota("invites_sent", "SOFT")])
    decisions = []
    for number in range(3):
        document = await customer.document(f"up-{number}")
        decisions.append((await customer.invite(document, f"in-{number}"))["decision"])
    assert [(d["reason"], d["price"]["amount"]) for d in decisions] == [
        ("INCLUDED", "0.00"),
        ("OVERAGE", "4.25"),
        ("OVERAGE", "4.25"),
    ]
