"""Invites that are out: cancelled, sent again, given to another signer, deleted; each once, and settled by asking."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from services import settling
from storage.discrepancies import Discrepancy
from storage.usage import UsageEvent
from tests.services import signing_steps as steps
from tests.services.signing_steps import cancel, delete, replace, resend, signer, status, theirs
from tests.services.steps import Customer, Json, fault, problems, refused, sign_up, signnow_books
from tests.world import START, World

pytestmark = pytest.mark.anyio

SETTLED = START + timedelta(minutes=3)
CHANGES: dict[str, Callable[..., Awaitable[Json]]] = {
    "cancel": cancel,
    "resend": resend,
    "replace": replace,
    "delete": delete,
}
CALLS = {"cancel": 2, "resend": 2, "replace": 4, "delete": 2}
STATES = {"cancel": "CANCELLED", "resend": "SENT", "replace": "SENT", "delete": "DELETED"}


async def calls(customer: Customer) -> tuple[int, int]:
    return (await customer.usage())["api_calls"]


async def sent_back(customer: Customer, document: str) -> list[str]:
    """Whom SignNow waits for."""
    return [invite["email"] for invite in (await theirs(customer, document))["field_invites"]]


@pytest.mark.parametrize("change", CHANGES)
async def test_the_same_key_changes_once(world: World, change: str) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    before, _ = await calls(customer)
    first = await CHANGES[change](customer, document)
    assert first["userErrors"] == []
    assert first["document"]["state"] == STATES[change]
    assert await CHANGES[change](customer, document) == first
    assert await calls(customer) == (before + CALLS[change], 0)
    assert (await customer.usage())["invites_sent"] == (1, 0)
    assert (await signnow_books(world))["invites_charged"] == 1


async def test_a_cancelled_document_may_be_sent_again_and_is_charged_again(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    await cancel(customer, document)
    assert await sent_back(customer, document) == []
    assert (await status(customer, document))["status"] == "CANCELLED"
    assert (await customer.invite(document, "again", "bob@x.test"))["document"]["state"] == "SENT"
    await customer.sign(document, "bob@x.test")
    await world.work()
    used = await customer.usage()
    assert (used["invites_sent"], used["documents_completed"]) == ((2, 0), (1, 0))
    assert (await signnow_books(world))["invites_charged"] == 2


async def test_a_free_form_invite_is_cancelled_and_sent_again(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await customer.invite(document, kind="FREE_FORM")
    assert (await cancel(customer, document))["document"]["state"] == "CANCELLED"
    assert (await status(customer, document))["status"] == "CANCELLED"
    await fault(world.signnow, "timeout_after", on="/document")
    assert refused(await customer.invite(document, "again", kind="FREE_FORM"))["__typename"] == "OutcomeUnknown"
    world.clock.travel_to(SETTLED)
    await world.work()
    assert (await customer.invite(document, "again", kind="FREE_FORM"))["document"]["state"] == "SENT"
    assert (await signnow_books(world))["invites_charged"] == 2
    assert (await customer.usage())["invites_sent"] == (2, 0)


async def test_a_cancelled_free_form_invite_is_not_taken_for_one_that_never_came(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await customer.invite(document, kind="FREE_FORM")
    await cancel(customer, document)
    await fault(world.signnow, "timeout_before", on="/document")
    await customer.invite(document, "again", kind="FREE_FORM")
    world.clock.travel_to(SETTLED)
    await world.work()
    assert refused(await customer.invite(document, "again", kind="FREE_FORM"))["__typename"] == "SignNowRefused"
    assert (await customer.usage())["invites_sent"] == (1, 0)


async def test_what_everybody_has_signed_is_not_cancelled(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    await customer.sign(document)
    assert refused(await cancel(customer, document))["__typename"] == "Conflict"
    await world.work()
    assert refused(await cancel(customer, document))["__typename"] == "Conflict"
    assert (await customer.usage())["documents_completed"] == (1, 0)


async def test_only_what_is_out_is_changed(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    for change in (cancel, resend, replace):
        error = refused(await change(customer, document))
        assert (error["__typename"], error["path"]) == ("Conflict", ["documentId"])
    await delete(customer, document)
    for answer in (await delete(customer, document, "x"), await customer.invite(document)):
        assert refused(answer)["__typename"] == "Conflict"
    assert "invites_charged" not in await signnow_books(world)


async def test_another_signer_signs_and_the_first_one_cannot(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    await replace(customer, document)
    assert await sent_back(customer, document) == ["eve@x.test"]
    await customer.sign(document, "eve@x.test")
    await world.work()
    used = await customer.usage()
    assert (used["signatures"], used["documents_completed"], used["invites_sent"]) == ((1, 0), (1, 0), (1, 0))


async def test_who_is_not_waited_for_is_named(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.send(1, "ann@x.test", "bob@x.test")
    await customer.sign(document, "ann@x.test")
    for answer in (await resend(customer, document), await resend(customer, document, role="Nobody")):
        assert problems(answer) == {"role": "nobody with this role is waited for by e-mail"}
    assert list(problems(await replace(customer, document))) == ["role"]
    assert list(problems(await replace(customer, document, "no address"))) == ["email"]
    assert (await resend(customer, document, role="Signer 2"))["userErrors"] == [], "the key is free again"


async def test_what_is_sent_again_counts_upstream_only_if_the_operator_says_so(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    await resend(customer, document)
    events = await UsageEvent.filter(tenant_id=customer.tenant.id)
    assert sum(event.upstream_units for event in events) == 1
    object.__setattr__(world.platform.terms, "charges_again", True)
    await resend(customer, document, "again")
    await replace(customer, document)
    events = await UsageEvent.filter(tenant_id=customer.tenant.id)
    assert sum(event.upstream_units for event in events) == 3
    assert {event.upstream_kind for event in events if event.upstream_units} == {"FIELD_INVITE"}
    assert (await customer.usage())["invites_sent"] == (1, 0)


FAULTS = {
    "cancel": ("PUT", "/document"),
    "resend": ("PUT", "/fieldinvite"),
    "replace": ("POST", "/field_invite"),
    "delete": ("DELETE", "/document"),
}


@pytest.mark.parametrize("change", ["cancel", "delete"])
@pytest.mark.parametrize("kind", ["500", "timeout_before", "timeout_after"])
async def test_an_unknown_outcome_is_settled_by_asking(world: World, change: str, kind: str) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    method, path = FAULTS[change]
    if change == "delete":
        await cancel(customer, document)
    await fault(world.signnow, kind, on=path, method=method)
    assert refused(await CHANGES[change](customer, document))["__typename"] == "OutcomeUnknown"
    assert refused(await CHANGES[change](customer, document))["__typename"] == "OutcomeUnknown"
    assert refused(await delete(customer, document, "other"))["__typename"] == "Conflict", "one change at a time"
    world.clock.travel_to(SETTLED)
    await world.work()
    again = await CHANGES[change](customer, document)
    if kind == "timeout_after":
        assert again["document"]["state"] == STATES[change]
    else:
        assert refused(again)["__typename"] == "SignNowRefused"
        assert (await CHANGES[change](customer, document, "new"))["document"]["state"] == STATES[change]
    assert (await calls(customer))[1] == 0


@pytest.mark.parametrize("on", [("DELETE", "/field_invite"), ("POST", "/field_invite"), ("POST", "/document")])
@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "429"])
async def test_a_replacement_that_was_begun_is_finished(world: World, on: tuple[str, str], kind: str) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    await fault(world.signnow, kind, on=on[1], method=on[0])
    assert refused(await replace(customer, document))["__typename"] == "OutcomeUnknown"
    world.clock.travel_to(SETTLED)
    await world.work()
    again = await replace(customer, document)
    if on[0] == "DELETE" and kind != "timeout_after":
        assert refused(again)["__typename"] == "SignNowRefused", "nothing was begun"
        assert await sent_back(customer, document) == ["ann@x.test"]
    else:
        assert again["userErrors"] == []
        assert await sent_back(customer, document) == ["eve@x.test"]
        await customer.sign(document, "eve@x.test")
    assert (await calls(customer))[1] == 0


async def test_whether_a_mail_was_sent_again_cannot_be_known(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    before = await calls(customer)
    await fault(world.signnow, "timeout_after", on="/fieldinvite", method="PUT")
    assert refused(await resend(customer, document))["__typename"] == "OutcomeUnknown"
    world.clock.travel_to(SETTLED)
    await world.work()
    assert "cannot be known" in refused(await resend(customer, document))["message"]
    assert await calls(customer) == before
    assert not await Discrepancy.all().exists(), "it costs nothing, as far as we know"


async def test_an_invite_of_a_document_that_is_gone_cannot_be_known(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    await fault(world.signnow, "timeout_after", on="/document")
    await customer.invite(document)
    await steps.delete_there(customer, document)
    world.clock.travel_to(SETTLED)
    await world.work()
    assert "cannot be known" in refused(await customer.invite(document))["message"]
    assert "invites_sent" not in await customer.usage(), "the tenant does not pay for what nobody knows"
    [found] = await Discrepancy.all()
    assert (found.kind, found.ours_minor, found.theirs_minor) == ("SIGNNOW_UNKNOWABLE", 0, 150)


async def test_operations_that_cannot_be_settled_keep_no_others_waiting(world: World) -> None:
    customer = await sign_up(world)
    stuck = [await customer.document(f"up-{n}") for n in range(3)]
    await fault(world.signnow, "timeout_before", 3, on="/document")
    for number, document in enumerate(stuck):
        await customer.invite(document, f"in-{number}")
    world.clock.travel_to(START + timedelta(seconds=1))
    good = await customer.document("good")
    await fault(world.signnow, "timeout_after", on="/document")
    await customer.invite(good, "good-in")
    world.clock.travel_to(SETTLED)
    await fault(world.signnow, "invalid_token", 3, on="/document", method="GET")
    assert await settling.settle_open_operations(world.platform, limit=3) == 0
    assert await settling.settle_open_operations(world.platform, limit=1) == 1
    assert (await customer.invite(good, "good-in"))["document"]["state"] == "SENT"


async def test_many_changes_at_once_are_one(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.send(1)
    made = await asyncio.gather(*(cancel(customer, document, f"cancel-{n}") for n in range(6)))
    assert [a["document"]["state"] for a in made if not a["userErrors"]] == ["CANCELLED"]
    assert {refused(a)["__typename"] for a in made if a["userErrors"]} == {"Conflict"}


async def test_a_document_of_another_tenant_is_not_found(world: World) -> None:
    acme, bolt = await sign_up(world, reference="acme"), await sign_up(world, reference="bolt")
    document = await acme.send(1)
    for change in CHANGES.values():
        error = refused(await change(bolt, document))
        assert (error["__typename"], error["path"]) == ("NotFound", ["documentId"])
    assert await bolt.usage() == {}


async def test_signers_are_told_until_when_and_get_copies(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    more: Json = {
        "expirationDays": 5,
        "reminder": {"after": 2, "before": 1, "every": 3},
        "language": "es",
        "subject": "For you",
        "redirectUri": "https://acme.test/done",
    }
    sent = await customer.invite(document, signers=[signer(1, **more), signer(2, order=2)], cc=["boss@x.test"])
    assert sent["userErrors"] == []
    shown = await status(customer, document)
    assert shown["status"] == "PENDING"
    expiries = {entry["email"]: entry["expiresAt"] for entry in shown["signers"]}
    assert expiries["signer1@x.test"] == "2026-03-15T09:00:00Z"
    world.clock.travel_to(START + timedelta(days=6))
    assert (await status(customer, document))["status"] == "EXPIRED"


async def test_what_signers_cannot_be_asked_is_named(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    for more, paths in (
        ({"expirationDays": 2}, ["signers.0.expirationDays"]),
        ({"expirationDays": 181}, ["signers.0.expirationDays"]),
        ({"reminder": {"after": 0, "every": 8}}, ["signers.0.reminder.after", "signers.0.reminder.every"]),
        ({"language": "de"}, ["signers.0.language"]),
        ({"redirectUri": "javascript:x"}, ["signers.0.redirectUri"]),
        ({"message": "x" * 5001}, ["signers.0.message"]),
    ):
        assert list(problems(await customer.invite(document, signers=[signer(1, **more)]))) == paths
    assert list(problems(await customer.invite(document, cc=["x"]))) == ["cc.0"]
    assert await signnow_books(world) == {"uploads": 1}
