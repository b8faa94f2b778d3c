"""docs/quotas.md, played from top to bottom, with the answers that stand there."""

import json
from typing import Any

import pytest

from tests.house.pages import ROOT, blocks
from tests.house.test_api_page import compare, filled
from tests.services.steps import global_id
from tests.world import World

pytestmark = pytest.mark.anyio


async def test_quotas_go_as_the_page_says(world: World) -> None:
    known: dict[str, Any] = {"TENANT": global_id("Tenant", (await world.provision()).public_id)}
    document, variables, answers = "", {}, 0
    for block in blocks(ROOT / "docs" / "quotas.md", "graphql", "json"):
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
        answers += 1
    assert answers == 10
