"""`POST /usage`: NDJSON in, an answer for each line that was not counted."""

from typing import Any

import httpx
import orjson
import pytest
from strawberry.relay import GlobalID

from services.plans import CreatePlan, NewPrice, create_plan
from services.subscriptions import SubscribeTenant, subscribe_tenant
from services.tenants import Tenant
from storage.usage import UsageEvent, read_counters
from tests.world import OPERATOR_KEY, START, World

pytestmark = pytest.mark.anyio


async def subscribed(world: World, reference: str = "acme") -> Tenant:
    tenant = await world.provision(reference)
    terms = await create_plan(
        world.platform,
        CreatePlan("calls", "Calls", "USD", [NewPrice("api_calls", "metered", {"unitPrice": "0.01"})]),
    )
    await subscribe_tenant(world.platform, SubscribeTenant(tenant, terms.plan.id))
    return tenant


def line(key: str, quantity: Any = 1, meter: str = "api_calls", **more: Any) -> bytes:
    return orjson.dumps({"meter": meter, "quantity": quantity, "idempotencyKey": key, **more})


async def post(world: World, tenant: Tenant | None, *lines: bytes, key: str | None = OPERATOR_KEY) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    query = {"tenantId": str(GlobalID("Tenant", str(tenant.public_id)))} if tenant else {}
    return await world.http.post("/usage", content=b"\n".join(lines), params=query, headers=headers)


async def test_lines_are_counted_once(world: World) -> None:
    tenant = await subscribed(world)
    lines = [line(f"call-{n}", n + 1) for n in range(50)]
    first = await post(world, tenant, *lines)
    again = await post(world, tenant, *lines, b"", line("call-50", 7))
    assert first.json() == {"recorded": 50, "duplicates": 0, "refused": []}
    assert again.json() == {"recorded": 1, "duplicates": 50, "refused": []}
    [counter] = (await read_counters(tenant.id, START.replace(hour=0))).values()
    assert counter.used == sum(range(1, 51)) + 7
    assert await UsageEvent.filter(tenant_id=tenant.id).count() == 51


async def test_each_bad_line_says_why_and_the_others_count(world: World) -> None:
    tenant = await subscribed(world)
    answer = await post(
        world,
        tenant,
        line("good"),
        b"{nonsense",
        b"[1]",
        line("float", 1.5),
        line("text", "3x"),
        line("unknown", meter="nothing"),
        line("naive", occurredAt="2026-03-10T09:00:00"),
        line("future", occurredAt="2027-03-10T09:00:00Z"),
        line("before", occurredAt="2025-03-10T09:00:00Z"),
        line("op:mine"),
        line("more", colour="red"),
        line("good", 2),
        line("zoned", occurredAt="2026-03-10T10:00:00+02:00"),
        line("week", occurredAt="2026-W11-2T09:00:00Z"),
        line("compact", occurredAt="20260310T090000Z"),
        line("hour", occurredAt="2026-03-10T09Z"),
    )
    assert answer.status_code == 200
    body = answer.json()
    assert (body["recorded"], body["duplicates"]) == (2, 0)
    codes = {entry["line"]: entry["code"] for entry in body["refused"]}
    assert codes == {
        **dict.fromkeys((2, 3, 4, 5, 6, 7, 8, 10, 11, 14, 15, 16), "INVALID_INPUT"),
        9: "SUBSCRIPTION_INACTIVE",
        12: "CONFLICT",
    }
    assert all(entry["message"] for entry in body["refused"])


async def test_the_whole_request_is_refused_clearly(world: World) -> None:
    tenant = await subscribed(world)
    bare = await world.provision("bare")
    assert (await post(world, tenant, line("a"), key=None)).status_code == 401
    assert (await post(world, tenant, line("a"), key="ink_op_wrong")).status_code == 401
    assert (await post(world, None, line("a"))).json()["code"] == "INVALID_INPUT"
    assert (await post(world, tenant)).status_code == 400
    assert (await post(world, tenant, *([line("a")] * 10_001))).status_code == 400
    inactive = await post(world, bare, line("a"))
    assert (inactive.status_code, inactive.json()["code"]) == (409, "SUBSCRIPTION_INACTIVE")
    headers = {"authorization": f"Bearer {OPERATOR_KEY}"}
    foreign = await world.http.post("/usage?tenantId=nonsense", content=line("a"), headers=headers)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "NOT_FOUND")
    assert (await world.http.get("/usage", headers=headers)).status_code == 405
    assert not await UsageEvent.filter(tenant_id__in=[tenant.id, bare.id]).exists()


async def test_a_tenants_key_counts_for_its_own_tenant_alone(world: World) -> None:
    own, other = await subscribed(world), await subscribed(world, "other")
    key = (await world.tenant_api(own))._key
    assert (await post(world, None, line("a"), key=key)).json()["recorded"] == 1
    assert (await post(world, own, line("b"), key=key)).json()["recorded"] == 1
    assert (await post(world, other, line("c"), key=key)).status_code == 404
    assert not await UsageEvent.filter(tenant_id=other.id).exists()
