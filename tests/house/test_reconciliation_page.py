"""docs/reconciliation.md, played from top to bottom, with the answers that stand there."""

import pytest

from tests.house.playing import play
from tests.services.spoiling import invoices_at_stripe, reconcile, spoil
from tests.services.steps import global_id, provision
from tests.services.terms import FEE, plan_of
from tests.world import World

pytestmark = pytest.mark.anyio


async def test_reconciliation_goes_as_the_page_says(world: World) -> None:
    customer = await provision(world)
    await customer.subscribe(await plan_of(world, FEE, fees="ADVANCE"))
    await world.work()

    async def put_a_line_on_it() -> None:
        [theirs] = await invoices_at_stripe(world)
        await spoil(world, "line", theirs["id"], do="add", amount=700)
        await reconcile(world)

    known = {"TENANT": global_id("Tenant", customer.tenant.public_id)}
    assert await play(world, "reconciliation", known, {1: put_a_line_on_it}) == 3
