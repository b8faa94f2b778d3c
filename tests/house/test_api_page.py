"""docs/api.md, played from top to bottom against Inkmeter and the sandboxes, with the answers that stand there."""

import base64
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from tests.house.pages import ROOT, blocks
from tests.world import OPERATOR_KEY, START, World

pytestmark = pytest.mark.anyio

PAGE = blocks(ROOT / "docs" / "api.md", "graphql", "json")


def steps() -> list[tuple[str, dict[str, Any], dict[str, Any] | None]]:
    """Each document with its variables and its answer, as far as the page has them."""
    found: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = []
    for block in PAGE:
        if block.language == "graphql":
            found.append((block.text, {}, None))
            continue
        document, variables, _ = found[-1]
        value = json.loads(block.text)
        found[-1] = (document, variables, value) if "data" in value else (document, value, None)
    return found


def filled(value: Any, known: dict[str, Any]) -> Any:
    """Variables with the ids of earlier answers in place of their names in capitals."""
    match value:
        case dict():
            return {key: filled(inner, known) for key, inner in value.items()}
        case list():
            return [filled(inner, known) for inner in value]
        case str():
            return known.get(value, value)
    return value


def compare(expected: Any, answered: Any, known: dict[str, Any], path: str = "") -> None:
    """Hold an answer against the page's, and remember what stands there in capitals."""
    match expected:
        case dict():
            assert isinstance(answered, dict), path
            assert list(expected) == list(answered), path
            for key, inner in expected.items():
                compare(inner, answered[key], known, f"{path}.{key}")
        case list():
            assert len(expected) == len(answered), path
            for index, inner in enumerate(expected):
                compare(inner, answered[index], known, f"{path}.{index}")
        case "PLAN" | "TENANT" | "SUBSCRIPTION" | "DOCUMENT" | "INVOICE" | "GRANT" | "MESSAGE":
            assert known.setdefault(expected, answered) == answered, path
        case _:
            assert expected == answered, path


async def test_the_month_goes_as_the_page_says(world: World) -> None:
    known: dict[str, Any] = {"PDF": base64.b64encode(world.pdf("Lease 17")).decode()}
    operations = []
    for document, variables, expected in steps():
        operation = document.partition("(input")[0].split()[-1] if "(input" in document else "query"
        operations.append(operation)
        if operation == "closePeriod":
            await world.travel_to(START + timedelta(days=31))
        answer = await world.operator.post(document, **filled(variables, known))
        assert "errors" not in answer, (document, answer)
        if expected is not None:
            compare(expected, answer, known)
        if operation == "sendInvite":
            await sign(world)
        await world.work()
    assert {"closePeriod", "receiveStripeWebhook", "downloadSigned", "recordUsage"} <= set(operations)
    found = await world.operator.ask(
        "query ($id: ID!) { invoices(tenantId: $id) { edges { node { state } } } }", id=known["TENANT"]
    )
    assert [edge["node"]["state"] for edge in found["invoices"]["edges"]] == ["PAID"]
    await report_in_bulk(world, known["TENANT"])


async def report_in_bulk(world: World, tenant: str) -> None:
    """The call that the page makes with curl."""
    [block] = blocks(ROOT / "docs" / "api.md", "console")
    typed, _, rest = block.text.partition("<<'END'\n")
    lines, _, answer = rest.partition("END\n")
    path = re.search(r"http://[^/]+(/usage)\?tenantId=", typed)
    assert path is not None
    headers = {"authorization": f"Bearer {OPERATOR_KEY}"}
    response = await world.http.post(path[1], params={"tenantId": tenant}, content=lines.encode(), headers=headers)
    assert response.json() == json.loads(answer)


async def sign(world: World) -> None:
    """Ann and Bob sign, in their order."""
    headers = {"authorization": "Bearer sandbox-api-key"}
    [document] = (await world.signnow.get("/user/documentsv2", headers=headers)).json()
    for email in ("ann@tenants.test", "bob@tern.test"):
        await world.sign(document["id"], email)
