"""docs/dunning.md, played from top to bottom, with the answers that stand there."""

import pytest

from tests.house.playing import play
from tests.services.dunning_steps import debtor, fail
from tests.world import World

pytestmark = pytest.mark.anyio


async def test_dunning_goes_as_the_page_says(world: World) -> None:
    customer = await debtor(world)
    await fail(world)
    assert await play(world, "dunning", {"TENANT": customer.id}) == 4
