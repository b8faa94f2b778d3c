"""Tenants with SignNow users of their own: making them, consenting, withdrawing it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from integrations.signnow.sandbox.accounts import SandboxAccount
from storage.signnow_tokens import load_tokens
from storage.tenants import Tenant
from tests.services.steps import Customer, Json, do, make_plan, price
from tests.world import World, open_world

STEPS = "provisioning { step state error }"
ACCOUNT = SandboxAccount()
APPLICATION: Any = {
    "signnow_client_id": ACCOUNT.client_id,
    "signnow_client_secret": SecretStr(ACCOUNT.client_secret),
}


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """A world whose operator has an application, to which others can consent."""
    async with open_world(database_url, **APPLICATION) as made:
        yield made


def email_of(reference: str) -> str:
    return f"signer@{reference}.test"


async def provision(world: World, reference: str, isolation: str | None, **changes: Any) -> Json:
    """`provisionTenant`, with the steps as they stand."""
    details = {"externalReference": reference, "name": f"{reference} Inc", "email": email_of(reference)}
    more = {"isolation": isolation} if isolation else {}
    selection = f"tenant {{ id state isolation provisioningProblem {STEPS} }}"
    return await do(world.operator, "provisionTenant", selection, **{**details, "currency": "USD", **more, **changes})


async def add_user(world: World, email: str) -> None:
    """A SignNow user who has nothing to do with Inkmeter yet."""
    user = {"email": email, "password": "pw", "first_name": "A", "last_name": "B"}
    await world.signnow.post("/user", json=user, auth=(ACCOUNT.client_id, ACCOUNT.client_secret))


async def code_of(world: World, email: str) -> str:
    """What a user brings back from the consent page."""
    await add_user(world, email)
    return str((await world.signnow.post("/_sandbox/consent", json={"email": email})).json()["code"])


async def connect(world: World, tenant_id: str, code: str) -> Json:
    selection = f"tenant {{ id state provisioningProblem {STEPS} }}"
    return await do(world.operator, "connectSignNow", selection, tenantId=tenant_id, code=code)


async def dedicated(world: World, reference: str) -> Customer:
    """A tenant with a user of its own, connected, with a running subscription."""
    made = await provision(world, reference, "DEDICATED_USER")
    connected = await connect(world, made["tenant"]["id"], await code_of(world, email_of(reference)))
    assert connected["tenant"]["state"] == "ACTIVE", connected
    customer = Customer(world, await Tenant.get(external_reference=reference), world.operator)
    plan = await make_plan(world, price("invites_sent", "per-document", unitPrice="2.00"), code=reference)
    assert (await customer.subscribe(plan))["userErrors"] == []
    return customer


async def withdraw(world: World, customer: Customer) -> None:
    """The user takes consent back, in SignNow: neither token works any more."""
    tokens = await load_tokens(customer.tenant.id)
    assert tokens is not None
    headers = {"authorization": f"Bearer {tokens.access}"}
    (await world.signnow.post("/oauth2/terminate", json={}, headers=headers)).raise_for_status()


def states(tenant: Json) -> dict[str, str]:
    return {step["step"]: step["state"] for step in tenant["provisioning"]}
