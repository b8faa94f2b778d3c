"""docs/metering.md, played from top to bottom, with the answers that stand there."""

import json
from typing import Any

import pytest

from tests.house.pages import ROOT, blocks
from tests.house.test_api_page import compare, filled
from tests.services.steps import global_id, sign_up
from tests.world import World

pytestmark = pytest.mark.anyio


async def test_meters_go_as_the_page_says(world: World) -> None:
    customer = await sign_up(world)
    known: dict[str, Any] = {"TENANT": global_id("Tenant", customer.tenant.public_id)}
    document, variables, answers = "", {}, 0
    for block in blocks(ROOT / "docs" / "metering.md", "graphql", "json"):
        if block.language == "graphql":
            document = block.text
            continue
        value = json.loads(block.text)
        if "data" not in value:
            variables = filled(value, known)
            continue
        answer = await world.operator.post(document, **variables)
        assert "errors" not in answer, (document, answer)
        compare(value, answer, known)
        await world.work()
        answers += 1
    assert answers == 7
