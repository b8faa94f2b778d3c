"""docs/metering.md, played from top to bottom, with the answers that stand there."""

import pytest

from tests.house.playing import play
from tests.services.steps import global_id, sign_up
from tests.world import World

pytestmark = pytest.mark.anyio


async def test_meters_go_as_the_page_says(world: World) -> None:
    customer = await sign_up(world)
    assert await play(world, "metering", {"TENANT": global_id("Tenant", customer.tenant.public_id)}) == 7
