"""docs/api.md, played from top to bottom against Inkmeter and the sandboxes, with the answers that stand there."""

import base64
import json
import re
import shlex
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.house.pages import ROOT, blocks
from tests.house.playing import compare, filled, steps
from tests.world import OPERATOR_KEY, START, World

pytestmark = pytest.mark.anyio


async def test_the_month_goes_as_the_page_says(world: World) -> None:
    known: dict[str, Any] = {"PDF": base64.b64encode(world.pdf("Lease 17")).decode()}
    operations = []
    for document, variables, expected in steps("api"):
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
    await send_files(world, known["TENANT"])


async def report_in_bulk(world: World, tenant: str) -> None:
    """The call that the page makes with curl."""
    [block] = [block for block in blocks(ROOT / "docs" / "api.md", "console") if "/usage" in block.text]
    typed, _, rest = block.text.partition("<<'END'\n")
    lines, _, answer = rest.partition("END\n")
    path = re.search(r"http://[^/]+(/usage)\?tenantId=", typed)
    assert path is not None
    headers = {"authorization": f"Bearer {OPERATOR_KEY}"}
    response = await world.http.post(path[1], params={"tenantId": tenant}, content=lines.encode(), headers=headers)
    assert response.json() == json.loads(answer)


async def send_files(world: World, tenant: str) -> None:
    """The calls that the page makes with curl: a file up, and a zip down."""
    [block] = [block for block in blocks(ROOT / "docs" / "api.md", "console") if "/documents" in block.text]
    up, answer, down = (line.replace("$URL", "").replace("$TENANT", tenant) for line in block.text.splitlines())

    async def call(method: str, line: str, content: bytes | None = None) -> httpx.Response:
        words = shlex.split(line)
        key = next(word.removeprefix("Idempotency-Key: ") for word in words if word.startswith("Idempotency-Key"))
        headers = {"authorization": f"Bearer {OPERATOR_KEY}", "idempotency-key": key}
        return await world.http.request(method, words[-1], content=content, headers=headers)

    made = (await call("POST", up, world.pdf())).json()
    document = made["document"]["id"]
    assert made == json.loads(answer.replace("DOCUMENT", document))
    assert (await call("GET", down.replace("$DOCUMENT", document))).content.startswith(b"PK")


async def sign(world: World) -> None:
    """Ann and Bob sign, in their order."""
    headers = {"authorization": "Bearer sandbox-api-key"}
    [document] = (await world.signnow.get("/user/documentsv2", headers=headers)).json()
    for email in ("ann@tenants.test", "bob@tern.test"):
        await world.sign(document["id"], email)
