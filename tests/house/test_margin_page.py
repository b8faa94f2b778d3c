"""docs/margin.md, played from top to bottom, with the answers that stand there."""

import pytest

from tests.house.playing import play
from tests.services.steps import sign_up
from tests.world import World

pytestmark = pytest.mark.anyio


async def test_the_margin_is_as_the_page_says(world: World) -> None:
    customer = await sign_up(world)
    for number in range(2):
        await customer.send(number)
    assert await play(world, "margin", {}) == 7
