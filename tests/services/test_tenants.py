"""Provisioning: one Stripe customer and one SignNow folder, whatever fails on the way."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from inkmeter.errors import InvalidInput
from integrations.signnow.client import CALLBACK_EVENTS
from services import tenants
from services.tenants import ProvisionTenant
from tests.services.steps import Customer, do, fault, problems, raw_id, refused, stripe_books
from tests.world import START, World

pytestmark = pytest.mark.anyio

ACME = {"externalReference": "acme", "name": "Acme", "email": "billing@acme.test", "currency": "USD"}


async def provision(world: World, **changes: Any) -> dict[str, Any]:
    selection = "tenant { id state provisioningProblem }"
    return await do(world.operator, "provisionTenant", selection, **{**ACME, **changes})


async def folders(world: World) -> list[str]:
    """The names of SignNow's folders below the root."""
    root = (await world.signnow.get("/folder", headers={"authorization": "Bearer sandbox-api-key"})).json()
    system = {"Documents", "Archive", "Trash Bin", "Templates", "Inbox"}
    return [folder["name"] for folder in root["folders"] if folder["name"] not in system]


async def assert_one_of_each(world: World) -> None:
    assert len((await stripe_books(world))["customer"]) == 1
    assert len([name for name in await folders(world) if name.startswith("Acme [")]) == 1


async def test_a_tenant_is_ready_at_once(world: World) -> None:
    made = await provision(world)
    assert made["tenant"]["state"] == "ACTIVE"
    assert (await provision(world))["tenant"] == made["tenant"]
    await assert_one_of_each(world)
    [customer] = (await stripe_books(world))["customer"]
    assert (customer["email"], customer["metadata"]["external_reference"]) == ("billing@acme.test", "acme")


FAULTS = [
    ("stripe", "500", 1, "POST", "/v1/customers"),
    ("stripe", "500", 3, "POST", "/v1/customers"),
    ("stripe", "500_remembered", 3, "POST", "/v1/customers"),
    ("stripe", "409", 3, "POST", "/v1/customers"),
    ("stripe", "429", 1, "POST", "/v1/customers"),
    ("stripe", "timeout_before", 3, "POST", "/v1/customers"),
    ("stripe", "timeout_after", 1, "POST", "/v1/customers"),
    ("stripe", "timeout_after", 3, "POST", "/v1/customers"),
    ("signnow", "500", 1, "POST", "/user/folder"),
    ("signnow", "429", 1, "POST", "/user/folder"),
    ("signnow", "timeout_before", 1, "POST", "/user/folder"),
    ("signnow", "timeout_after", 1, "POST", "/user/folder"),
    ("signnow", "500", 3, "GET", "/folder"),
    ("signnow", "timeout_before", 3, "GET", "/folder"),
    ("signnow", "500", 3, "GET", "/v2/event-subscriptions"),
    ("signnow", "timeout_before", 3, "GET", "/v2/event-subscriptions"),
]


async def test_provisioning_goes_on_where_it_stopped(world: World) -> None:
    for number, (sandbox, kind, times, method, on) in enumerate(FAULTS):
        case = f"{sandbox} {kind} {times} {method} {on}"
        details = {"externalReference": f"acme-{number}", "name": case, "email": f"{number}@acme.test"}
        await fault(getattr(world, sandbox), kind, times, on=on, method=method)
        first = await provision(world, **details)
        assert first["userErrors"] == [], case
        assert bool(first["tenant"]["provisioningProblem"]) == (first["tenant"]["state"] == "PROVISIONING"), case
        again = (await provision(world, **details))["tenant"]
        assert again == {"id": first["tenant"]["id"], "state": "ACTIVE", "provisioningProblem": None}, case
        customers = [c for c in (await stripe_books(world))["customer"] if c["email"] == details["email"]]
        assert len(customers) == 1, case
        assert len([name for name in await folders(world) if str(raw_id(again["id"])) in name]) == 1, case


@pytest.mark.parametrize("kind", ["500", "429", "timeout_before", "timeout_after"])
async def test_signnow_is_asked_once_to_call_us_whatever_fails(world: World, kind: str) -> None:
    await fault(world.signnow, kind, 2, on="/v2/event-subscriptions")
    for _ in range(4):
        await provision(world)
    await world.provision("bolt")
    assert (await provision(world))["tenant"]["state"] == "ACTIVE"
    headers = {"authorization": "Bearer sandbox-api-key"}
    asked = (await world.signnow.get("/v2/event-subscriptions", headers=headers)).json()["data"]
    assert sorted(entry["event"] for entry in asked) == sorted(CALLBACK_EVENTS)


async def test_a_worker_finishes_what_the_request_could_not(world: World) -> None:
    await fault(world.stripe, "timeout_after", 3, on="/v1/customers")
    await fault(world.signnow, "timeout_after", 1, on="/user/folder")
    assert (await provision(world))["tenant"]["state"] == "PROVISIONING"
    for minutes in (1, 2):
        world.clock.travel_to(START + timedelta(minutes=minutes))
        await world.work()
    assert (await provision(world))["tenant"]["state"] == "ACTIVE"
    await assert_one_of_each(world)


async def test_stripe_forgets_its_keys_and_still_there_is_one_customer(world: World) -> None:
    await fault(world.stripe, "timeout_after", 3, on="/v1/customers")
    await provision(world)
    world.clock.travel_to(START + timedelta(days=3))
    await world.work()
    assert (await provision(world))["tenant"]["state"] == "ACTIVE"
    await assert_one_of_each(world)


async def test_the_same_reference_with_other_details_is_a_conflict(world: World) -> None:
    await provision(world)
    for other in ({"name": "Acme Ltd"}, {"email": "x@acme.test"}, {"currency": "EUR"}):
        error = refused(await provision(world, **other))
        assert (error["__typename"], error["path"]) == ("Conflict", ["externalReference"])
    await assert_one_of_each(world)


async def test_many_calls_at_once_make_one_tenant(world: World) -> None:
    made = await asyncio.gather(*(provision(world) for _ in range(12)))
    assert {tuple(answer["userErrors"]) for answer in made} == {()}
    assert len({answer["tenant"]["id"] for answer in made}) == 1
    assert (await provision(world))["tenant"]["state"] == "ACTIVE"
    await assert_one_of_each(world)
    assert len((await world.operator.ask("{ tenants { edges { node { id } } } }"))["tenants"]["edges"]) == 1


async def test_different_details_at_once_make_one_tenant_and_conflicts(world: World) -> None:
    made = await asyncio.gather(*(provision(world, name=f"Acme {n % 2}") for n in range(8)))
    winners = [answer for answer in made if not answer["userErrors"]]
    assert len(winners) == 4
    assert len({answer["tenant"]["id"] for answer in winners}) == 1
    assert {refused(answer)["__typename"] for answer in made if answer["userErrors"]} == {"Conflict"}


async def test_wrong_details_are_named(world: World) -> None:
    texts = ["", "   ", "a" * 201, "a\nb", "Ac\x07me", "Ac\u202eme"]
    emails = ["", "nobody", "a@b@c", "a b@c.test", "a\u0085@c.test", "a\x7f@c.test", f"{'a' * 65}@c.test", "<a@c.test>"]
    for path, values in {"externalReference": texts, "name": texts, "email": emails}.items():
        for value in values:
            assert list(problems(await provision(world, **{path: value}))) == [path], value
    assert (await stripe_books(world))["customer"] == []


async def test_everything_wrong_is_named_at_once(world: World) -> None:
    wrong = await provision(world, externalReference="", name="", email="")
    assert list(problems(wrong)) == ["externalReference", "name", "email"]


async def test_a_currency_that_we_or_stripe_count_otherwise_does_not_come_in(world: World) -> None:
    for currency in ("XXX", "usd", "", "ISK", "UGX"):
        answer = await world.operator.post(
            "mutation ($i: ProvisionTenantInput!) { provisionTenant(input: $i) { tenant { id } } }",
            i={**ACME, "currency": currency},
        )
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]
        with pytest.raises(InvalidInput, match="currency"):
            await tenants.provision_tenant(world.platform, ProvisionTenant("acme", "Acme", "a@acme.test", currency))


async def test_a_tenant_that_is_not_ready_is_not_subscribed(world: World) -> None:
    await fault(world.signnow, "500", 9, on="/user/folder")
    made = await provision(world)
    customer = Customer(world, await tenants.Tenant.get(external_reference="acme"), world.operator)
    assert made["tenant"]["state"] == "PROVISIONING"
    plan = await do(
        world.operator,
        "createPlan",
        "plan { id }",
        code="p",
        name="P",
        currency="USD",
        prices=[{"meter": "invites_sent", "model": "flat", "config": {"fee": "1"}}],
    )
    error = refused(await customer.subscribe(plan["plan"]["id"]))
    assert (error["__typename"], error["path"]) == ("Conflict", ["tenantId"])
    assert "repeat provisionTenant" in refused(await customer.upload())["message"]
    assert refused(await customer.close())["__typename"] == "SubscriptionInactive"
