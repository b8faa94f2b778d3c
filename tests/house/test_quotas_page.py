"""docs/quotas.md, played from top to bottom, with the answers that stand there."""

import pytest

from tests.house.playing import play
from tests.services.steps import global_id
from tests.world import World

pytestmark = pytest.mark.anyio


async def test_quotas_go_as_the_page_says(world: World) -> None:
    assert await play(world, "quotas", {"TENANT": global_id("Tenant", (await world.provision()).public_id)}) == 12
