"""Provisioning by steps: what waits for whom, what is refused, and how it goes on."""

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr

from services.callbacks import KEEP
from services.jobs import MAX_ATTEMPTS
from storage.database import rows
from storage.tenants import Tenant
from tests.services.identity_steps import APPLICATION, STEPS, code_of, connect, email_of, provision, states
from tests.services.identity_steps import world as world
from tests.services.steps import Json, do, fault, refused, stripe_books
from tests.world import START, World, open_world

pytestmark = pytest.mark.anyio

KEY = {"authorization": "Bearer sandbox-api-key"}


async def look(world: World, tenant_id: str) -> Json:
    asked = await world.operator.ask(
        f"query ($id: ID!) {{ tenant(id: $id) {{ state provisioningProblem {STEPS} }} }}", id=tenant_id
    )
    return dict(asked["tenant"])


async def accept(world: World, tenant: Tenant) -> None:
    body = {"organization_id": tenant.signnow_organization_id, "email": tenant.email}
    (await world.signnow.post("/_sandbox/organizations/accept", json=body)).raise_for_status()


async def test_each_mode_has_its_steps(world: World) -> None:
    shared = (await provision(world, "shared", None))["tenant"]
    assert (shared["state"], shared["isolation"]) == ("ACTIVE", "SHARED_ACCOUNT")
    assert states(shared) == dict.fromkeys(("STRIPE_CUSTOMER", "SIGNNOW_FOLDER", "SIGNNOW_CALLBACKS"), "DONE")

    user = (await provision(world, "user", "DEDICATED_USER"))["tenant"]
    assert user["state"] == "PROVISIONING"
    assert states(user) == {
        "STRIPE_CUSTOMER": "DONE",
        "SIGNNOW_CONNECTION": "NEEDS_CONNECTION",
        "SIGNNOW_FOLDER": "TO_DO",
        "SIGNNOW_CALLBACKS": "TO_DO",
    }
    assert "connectSignNow" in user["provisioningProblem"]


async def test_a_user_of_its_own_gets_a_folder_and_callbacks_of_its_own(world: World) -> None:
    made = (await provision(world, "acme", "DEDICATED_USER"))["tenant"]
    connected = (await connect(world, made["id"], await code_of(world, email_of("acme"))))["tenant"]
    assert (connected["state"], connected["provisioningProblem"]) == ("ACTIVE", None)
    assert set(states(connected).values()) == {"DONE"}
    root = (await world.signnow.get("/folder", headers=KEY)).json()
    assert [folder["name"] for folder in root["folders"] if "acme" in folder["name"]] == [], "not the operator's"
    [job] = await rows("SELECT state FROM job WHERE topic = ? AND tenant_id <> 0", KEEP)
    assert job["state"] == "WAITING"


async def test_an_organization_waits_for_acceptance_and_consent(world: World) -> None:
    made = (await provision(world, "acme", "ORGANIZATION"))["tenant"]
    assert states(made)["SIGNNOW_ORGANIZATION"] == "DONE"
    assert states(made)["SIGNNOW_MEMBER"] == "AWAITING_ACCEPTANCE"
    again = (await provision(world, "acme", "ORGANIZATION"))["tenant"]
    assert again == made, "nobody is invited twice, no second organization is made"
    assert len((await world.signnow.get("/v2/organizations", headers=KEY)).json()["data"]) == 1
    tenant = await Tenant.get(external_reference="acme")
    code = await code_of(world, email_of("acme"))
    await accept(world, tenant)
    world.clock.travel_to(START + timedelta(hours=2))
    await world.work()
    assert states(await look(world, made["id"]))["SIGNNOW_CONNECTION"] == "NEEDS_CONNECTION"
    connected = (await connect(world, made["id"], code))["tenant"]
    assert connected["state"] == "ACTIVE"
    assert list(states(connected)) == [
        "STRIPE_CUSTOMER",
        "SIGNNOW_ORGANIZATION",
        "SIGNNOW_MEMBER",
        "SIGNNOW_CONNECTION",
        "SIGNNOW_FOLDER",
        "SIGNNOW_CALLBACKS",
    ]


async def test_beyond_signnows_cap_the_operator_makes_the_organization(world: World) -> None:
    (await world.signnow.post("/_sandbox/knobs", json={"organizations": 1})).raise_for_status()
    first = (await provision(world, "first", "ORGANIZATION"))["tenant"]
    second = (await provision(world, "second", "ORGANIZATION"))["tenant"]
    assert states(second)["SIGNNOW_ORGANIZATION"] == "AWAITING_OPERATOR"
    assert "assignSignNowOrganization" in second["provisioningProblem"]
    taken = (await Tenant.get(external_reference="first")).signnow_organization_id
    selection = f"tenant {{ {STEPS} }}"

    async def assign(tenant_id: str, organization_id: str) -> Json:
        details = {"tenantId": tenant_id, "organizationId": organization_id}
        return await do(world.operator, "assignSignNowOrganization", selection, **details)

    assert refused(await assign(second["id"], str(taken)))["__typename"] == "Conflict"
    assert refused(await assign(first["id"], "f" * 40))["__typename"] == "Conflict"
    assert refused(await assign(second["id"], ""))["__typename"] == "InvalidInput"
    (await world.signnow.post("/_sandbox/knobs", json={"organizations": 2})).raise_for_status()
    by_hand = (await world.signnow.post("/v2/organizations", json={"name": "By hand"}, headers=KEY)).json()["data"][
        "id"
    ]
    assigned = await assign(second["id"], by_hand)
    assert states(assigned["tenant"])["SIGNNOW_ORGANIZATION"] == "DONE"
    assert states(assigned["tenant"])["SIGNNOW_MEMBER"] == "AWAITING_ACCEPTANCE"


async def test_waiting_for_a_person_is_never_given_up(world: World) -> None:
    made = (await provision(world, "acme", "DEDICATED_USER"))["tenant"]
    for hour in range(1, MAX_ATTEMPTS + 5):
        world.clock.travel_to(START + timedelta(hours=2 * hour))
        await world.work()
    [job] = await rows("SELECT state, attempts FROM job WHERE topic = 'tenant.provision'")
    assert job["state"] == "WAITING"
    assert (await connect(world, made["id"], await code_of(world, email_of("acme"))))["tenant"]["state"] == "ACTIVE"


async def test_what_was_refused_goes_on_once_it_is_mended(world: World) -> None:
    """Given up after many attempts; what was made before it is kept, and is not made again."""
    await fault(world.signnow, "invalid_client", MAX_ATTEMPTS, on="/folder", method="GET")
    made = (await provision(world, "acme", None))["tenant"]
    for minute in range(1, MAX_ATTEMPTS + 2):
        world.clock.travel_to(START + timedelta(hours=2 * minute))
        await world.work()
    [job] = await rows("SELECT state FROM job WHERE topic = 'tenant.provision'")
    assert job["state"] == "FAILED"
    shown = await look(world, made["id"])
    assert (states(shown)["STRIPE_CUSTOMER"], states(shown)["SIGNNOW_FOLDER"]) == ("DONE", "REFUSED")
    assert (await provision(world, "acme", None))["tenant"]["state"] == "ACTIVE"
    assert len((await stripe_books(world))["customer"]) == 1


async def test_many_calls_at_once_take_each_step_once(world: World) -> None:
    made = await asyncio.gather(*(provision(world, "acme", "ORGANIZATION") for _ in range(8)))
    assert {tuple(answer["userErrors"]) for answer in made} == {()}
    assert len((await stripe_books(world))["customer"]) == 1
    assert len((await world.signnow.get("/v2/organizations", headers=KEY)).json()["data"]) == 1


async def test_a_tenants_isolation_stays(world: World) -> None:
    await provision(world, "acme", "DEDICATED_USER")
    assert refused(await provision(world, "acme", "SHARED_ACCOUNT"))["__typename"] == "Conflict"
    assert (await provision(world, "acme", None))["tenant"]["isolation"] == "DEDICATED_USER"


async def test_what_is_not_said_is_the_operators_setting(database_url: str) -> None:
    async with open_world(database_url, **APPLICATION, isolation="DEDICATED_USER") as world:
        assert (await provision(world, "acme", None))["tenant"]["isolation"] == "DEDICATED_USER"
        assert (await provision(world, "bolt", "SHARED_ACCOUNT"))["tenant"]["state"] == "ACTIVE"


async def test_an_operator_without_an_application_is_told(database_url: str) -> None:
    async with open_world(database_url, signnow_client_id="", signnow_client_secret=SecretStr("")) as world:
        made = (await provision(world, "acme", "DEDICATED_USER"))["tenant"]
        error = refused(await connect(world, made["id"], "code"))
        assert error["__typename"] == "SignNowRefused"
        assert "client id" in error["message"]
