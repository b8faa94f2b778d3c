"""Plans made alive, also when a partner's plugin is not there any more."""

import pytest

from inkmeter.errors import PluginError
from services.upcoming import preview_invoice
from storage.plans import Price
from tests.services.steps import price, sign_up
from tests.world import World

pytestmark = pytest.mark.anyio


async def test_a_plan_whose_plugin_is_gone_can_still_be_read(world: World) -> None:
    customer = await sign_up(
        world, price("invites_sent", "tiered", fee="49.00", included=20, overage={"unitPrice": "2.50"})
    )
    await Price.filter(model="tiered").update(model="bundle")
    world.platform.metering.terms.clear()
    found = await world.operator.ask("{ plans { edges { node { code prices { model config } } } } }")
    [node] = [edge["node"] for edge in found["plans"]["edges"]]
    assert (node["code"], node["prices"][0]["model"]) == ("growth", "bundle")
    shown = await customer.api.ask(
        "query ($id: ID!) { tenant(id: $id) { subscription { plan { code } } } }", id=customer.id
    )
    assert shown["tenant"]["subscription"]["plan"]["code"] == "growth"
    with pytest.raises(PluginError, match=r"'bundle'.* install its plugin again"):
        await preview_invoice(world.platform, customer.tenant)
    await Price.filter(model="bundle").update(model="tiered")
    world.platform.metering.terms.clear()
    assert (await preview_invoice(world.platform, customer.tenant)).total.minor == 4900
