"""What is left to be paid of an invoice that is owed is what is asked for, and told."""

import pytest

from tests.services.dunning_steps import FAILED, at_stripe, days, debtor, fail, post
from tests.services.steps import Json, refused
from tests.world import World

pytestmark = pytest.mark.anyio
OWED = "query ($id: ID!) { tenant(id: $id) { dunning { invoices { total { amount } due { amount } } } } }"
PREVIEW = "query ($on: DateTime!) { previewDunning(on: $on) { edges { node { total { amount } } } } }"


async def owed(world: World, tenant_id: str) -> Json | None:
    dunning = (await world.operator.ask(OWED, id=tenant_id))["tenant"]["dunning"]
    return dunning and dict(dunning["invoices"][0])


async def test_what_was_taken_off_an_invoice_is_not_owed(world: World) -> None:
    customer = await debtor(world, graceDays=0)
    await fail(world)
    assert await owed(world, customer.id) == {"total": {"amount": "6.00"}, "due": {"amount": "6.00"}}
    [theirs] = await at_stripe(world, customer)
    await post(world, "/v1/credit_notes", invoice=theirs["id"], amount="200")
    await days(world, 1, 2)
    assert await owed(world, customer.id) == {"total": {"amount": "6.00"}, "due": {"amount": "4.00"}}
    on = (FAILED).replace(month=6).isoformat()
    [edge] = (await world.operator.ask(PREVIEW, on=on))["previewDunning"]["edges"]
    assert edge["node"] == {"total": {"amount": "4.00"}}
    refusal = refused(await customer.upload("Lease"))
    assert "pay to go on: 4.00 USD at https://" in refusal["message"]
