"""Whose SignNow account a tenant signs through: each mode, its tokens, and what belongs to others."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from httpx import Request

from inkmeter.errors import SignNowNotConnected, SignNowRefused
from integrations.signnow.sandbox.accounts import TOKEN_LIFETIME
from services import identities, provisioning
from storage.database import rows
from storage.documents import Document
from storage.signnow_tokens import StoredTokens, forget_tokens, keep_tokens, load_tokens, replace_tokens
from storage.tenants import Tenant
from tests.services.identity_steps import (
    code_of,
    connect,
    dedicated,
    email_of,
    provision,
    states,
    withdraw,
)
from tests.services.identity_steps import world as world
from tests.services.steps import Json, fault, problems, raw_id, refused, sign_up
from tests.world import START, World

pytestmark = pytest.mark.anyio


async def owner_of(world: World, document: str, bearer: str) -> str:
    """Who has it in SignNow, asked with that token."""
    stored = await Document.get(id=raw_id(document))
    path = f"/document/{stored.signnow_document_id}"
    answer = await world.signnow.get(path, headers={"authorization": f"Bearer {bearer}"})
    return str(answer.json().get("owner"))


async def test_a_whole_flow_in_an_account_of_its_own(world: World) -> None:
    acme = await dedicated(world, "acme")
    document = await acme.send(1)
    tokens = await load_tokens(acme.tenant.id)
    assert tokens is not None
    assert await owner_of(world, document, tokens.access) == email_of("acme")
    await acme.sign(document)
    await world.work()
    assert (await acme.download(document))["document"]["state"] == "COMPLETED"
    assert {meter: used for meter, (used, _) in (await acme.usage()).items()} == {
        "documents_created": 1,
        "invites_sent": 1,
        "signatures": 1,
        "documents_completed": 1,
        "downloads": 1,
        "api_calls": 6,
    }


async def test_nobody_reaches_the_documents_of_another_mode(world: World) -> None:
    """Not by our API, and not by SignNow, where an account of its own is another account."""
    shared, acme = await sign_up(world, reference="shared"), await dedicated(world, "acme")
    bolt = await dedicated(world, "bolt")
    customers = (shared, acme, bolt)
    documents = [await customer.document() for customer in customers]
    stored = [await Document.get(id=raw_id(document)) for document in documents]
    for mine, customer in enumerate(customers):
        api = await customer.own_api()
        signnow = identities.signnow_for(world.platform, customer.tenant)
        for number, document in enumerate(documents):
            asked = (await api.ask("query ($id: ID!) { document(id: $id) { name } }", id=document))["document"]
            assert (asked is not None) == (number == mine)
            if number == mine:
                continue
            stolen = type(customer)(world, customer.tenant, world.operator)
            assert refused(await stolen.invite(document, f"steal-{number}"))["__typename"] == "NotFound"
            assert refused(await stolen.download(document, f"take-{number}"))["__typename"] == "NotFound"
            with pytest.raises(SignNowRefused):
                await signnow.document(stored[number].signnow_document_id)
    assert len({document.tenant_id for document in stored}) == 3


async def test_consent_that_was_withdrawn_is_a_typed_refusal_and_leaves_the_key_free(world: World) -> None:
    acme = await dedicated(world, "acme")
    document = await acme.document()
    await withdraw(world, acme)
    for payload in (await acme.invite(document), await acme.upload("up-2"), await acme.download(document)):
        error = refused(payload)
        assert error["__typename"] == "SignNowNotConnected"
        assert "consent" in error["message"]
    assert (await acme.usage())["documents_created"] == (1, 0), "nothing is reserved"
    asked = await acme.api.ask(
        "query ($id: ID!) { tenant(id: $id) { state provisioning { step state error } } }", id=acme.id
    )
    assert asked["tenant"]["state"] == "ACTIVE"
    assert states(asked["tenant"])["SIGNNOW_CONNECTION"] == "NEEDS_CONNECTION"
    assert (await connect(world, acme.id, await code_of(world, email_of("acme"))))["userErrors"] == []
    assert (await acme.invite(document))["userErrors"] == []
    assert (await acme.upload("up-2"))["userErrors"] == []


async def test_revoked_between_two_calls_of_one_operation(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invite is four calls; the last of them is the one that counts."""
    acme = await dedicated(world, "acme")
    document = await acme.document()
    send = world.signnow.send

    async def revoking(request: Request, **more: Any) -> Any:
        if request.method == "POST" and request.url.path.endswith("/invite"):
            monkeypatch.setattr(world.signnow, "send", send)
            await withdraw(world, acme)
        return await send(request, **more)

    monkeypatch.setattr(world.signnow, "send", revoking)
    assert refused(await acme.invite(document))["__typename"] == "SignNowNotConnected"
    assert "invites_sent" not in await acme.usage()
    await connect(world, acme.id, await code_of(world, email_of("acme")))
    assert (await acme.invite(document))["userErrors"] == []
    assert (await acme.usage())["invites_sent"] == (1, 0)


async def test_an_answer_that_is_missing_is_settled_after_the_next_consent(world: World) -> None:
    acme = await dedicated(world, "acme")
    await fault(world.signnow, "timeout_after", on="/document")
    assert refused(await acme.upload())["__typename"] == "OutcomeUnknown"
    await withdraw(world, acme)
    world.clock.travel_to(START + timedelta(minutes=5))
    await world.work()
    assert (await acme.usage())["documents_created"] == (0, 1), "who cannot ask does not decide"
    await connect(world, acme.id, await code_of(world, email_of("acme")))
    await world.work()
    assert (await acme.usage())["documents_created"] == (1, 0)


async def test_signatures_of_a_time_without_consent_are_counted_later(world: World) -> None:
    acme = await dedicated(world, "acme")
    document = await acme.send(1)
    await acme.sign(document)
    await withdraw(world, acme)
    await world.work()
    assert "signatures" not in await acme.usage()
    await connect(world, acme.id, await code_of(world, email_of("acme")))
    world.clock.travel_to(START + timedelta(hours=3))
    await world.work()
    assert (await acme.usage())["signatures"] == (1, 0)


async def test_many_calls_renew_a_token_once(world: World) -> None:
    acme = await dedicated(world, "acme")
    before = await load_tokens(acme.tenant.id)
    world.clock.travel_to(START + TOKEN_LIFETIME + timedelta(hours=1))
    signnow = identities.signnow_for(world.platform, acme.tenant)
    await asyncio.gather(*(signnow.counters() for _ in range(12)))
    after = await load_tokens(acme.tenant.id)
    assert before is not None
    assert after is not None
    assert after.access != before.access
    assert await owner_of(world, await acme.document(), after.access) == email_of("acme")


async def test_tokens_are_replaced_only_by_who_knows_them(world: World) -> None:
    acme = await dedicated(world, "acme")
    now, tenant_id = world.clock.now(), acme.tenant.id
    await keep_tokens(tenant_id, StoredTokens("a", "ra"), now)
    assert await replace_tokens(tenant_id, "a", StoredTokens("b", "rb"), now)
    assert not await replace_tokens(tenant_id, "a", StoredTokens("c", "rc"), now)
    assert not await forget_tokens(tenant_id, "a")
    assert await load_tokens(tenant_id) == StoredTokens("b", "rb")
    assert await forget_tokens(tenant_id, "b")
    assert not await replace_tokens(tenant_id, "b", StoredTokens("d", "rd"), now), "what was ended is not brought back"
    assert await load_tokens(tenant_id) is None


async def test_who_may_not_be_connected(world: World) -> None:
    acme, bolt = await dedicated(world, "acme"), await provision(world, "bolt", "DEDICATED_USER")
    shared = await sign_up(world, reference="shared")
    kept = await load_tokens(acme.tenant.id)
    attempts = [
        (acme.id, await code_of(world, "other@acme.test"), "another SignNow user"),
        (bolt["tenant"]["id"], await code_of(world, email_of("acme")), "another tenant"),
        (bolt["tenant"]["id"], await code_of(world, "owner@sandbox.test"), "operator's own"),
        (shared.id, await code_of(world, "x@shared.test"), "no connection"),
    ]
    for tenant_id, code, why in attempts:
        error = refused(await connect(world, tenant_id, code))
        assert error["__typename"] == "Conflict"
        assert why in error["message"]
    assert refused(await connect(world, acme.id, "nonsense"))["__typename"] == "SignNowRefused"
    for nonsense in ("", "a\nb", "x" * 501):
        assert list(problems(await connect(world, acme.id, nonsense))) == ["code"]
    assert await load_tokens(acme.tenant.id) == kept, "what was connected before still is"
    assert (await acme.upload())["userErrors"] == []


async def test_a_code_twice_at_once_connects_once(world: World) -> None:
    made = await provision(world, "acme", "DEDICATED_USER")
    code = await code_of(world, email_of("acme"))
    answers = await asyncio.gather(*(connect(world, made["tenant"]["id"], code) for _ in range(4)))
    assert sorted(len(answer["userErrors"]) for answer in answers) == [0, 1, 1, 1]
    assert (await Tenant.get(external_reference="acme")).signnow_user_id is not None


async def test_the_page_for_consent(world: World) -> None:
    made = await provision(world, "acme", "DEDICATED_USER")
    query = """query ($id: ID, $back: String!, $state: String!) {
        signNowAuthorizationUrl(tenantId: $id, redirectUri: $back, state: $state) }"""

    async def ask(back: str = "https://app.test/back", state: str = "s1") -> Json:
        return await world.operator.post(query, id=made["tenant"]["id"], back=back, state=state)

    url = (await ask())["data"]["signNowAuthorizationUrl"]
    assert url.startswith(
        "http://signnow.test/authorize?client_id=sandbox-client&response_type=code&redirect_uri=https"
    )
    assert url.endswith("state=s1")
    for wrong in ("", "app.test", "javascript:alert(1)", "https://", f"https://{'x' * 2048}", "https://a\nb"):
        assert [e["extensions"]["code"] for e in (await ask(back=wrong))["errors"]] == ["INVALID_INPUT"], wrong
    assert [e["extensions"]["code"] for e in (await ask(state=""))["errors"]] == ["INVALID_INPUT"]


async def test_tokens_are_never_shown(world: World) -> None:
    acme = await dedicated(world, "acme")
    tokens = await load_tokens(acme.tenant.id)
    assert tokens is not None
    assert tokens.access not in repr(tokens)
    kept = await rows("SELECT payload, last_error FROM job")
    assert tokens.access not in str(kept)


async def test_a_tenant_that_is_not_connected_is_not_called_for(world: World) -> None:
    await provision(world, "acme", "DEDICATED_USER")
    tenant = await Tenant.get(external_reference="acme")
    with pytest.raises(SignNowNotConnected):
        await identities.signnow_for(world.platform, tenant).account()
    assert not await identities.is_connected(tenant)
    assert provisioning.STEPS[tenant.isolation][0] is provisioning.Step.STRIPE_CUSTOMER
