"""What an event may say: the same rules in the same words at both doors."""

from typing import Any

import orjson
import pytest
from strawberry.relay import GlobalID

from storage.usage import UsageEvent
from tests.services.steps import Customer, Json, event, make_meter, sign_up, sums
from tests.world import OPERATOR_KEY, World

pytestmark = pytest.mark.anyio


async def post(customer: Customer, *events: Json) -> Json:
    """`POST /usage`."""
    lines = b"\n".join(orjson.dumps({k: v for k, v in e.items() if v is not None}) for e in events)
    tenant = str(GlobalID("Tenant", str(customer.tenant.public_id)))
    headers = {"authorization": f"Bearer {OPERATOR_KEY}"}
    response = await customer.world.http.post("/usage", params={"tenantId": tenant}, content=lines, headers=headers)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def refused_at_both_doors(customer: Customer, wrong: Json) -> str:
    """The message, which must be the same, and must leave the others alone."""
    good = event(f"good-{wrong['idempotencyKey']}", 1, "api_calls")
    answers = await customer.record(wrong, good)
    assert [answer["status"] for answer in answers][1] in ("RECORDED", "DUPLICATE")
    assert answers[0]["status"] == "REFUSED", answers
    [line] = (await post(customer, wrong))["refused"]
    assert line["code"] == answers[0]["userError"]["code"] == "INVALID_INPUT"
    assert line["message"] == answers[0]["userError"]["message"]
    return str(line["message"])


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"a": 1.5}, "events.0.properties.a: a float is not exact: write it as a string"),
        ({"a": None}, "events.0.properties.a: is a string, a whole number or a boolean"),
        ({"a": ["b"]}, "events.0.properties.a: is a string, a whole number or a boolean"),
        ({"a": {"b": "c"}}, "events.0.properties.a: is a string, a whole number or a boolean"),
        ({"a": "x" * 257}, "events.0.properties.a: has at most 256 printable characters"),
        ({"a": "x\x07y"}, "events.0.properties.a: has at most 256 printable characters"),
        ({"a": "x\ny"}, "events.0.properties.a: has at most 256 printable characters"),
        ({"": "b"}, "events.0.properties: names have 1 to 64 printable ASCII characters"),
        ({"x" * 65: "b"}, "events.0.properties: names have 1 to 64 printable ASCII characters"),
        ({"größe": "b"}, "events.0.properties: names have 1 to 64 printable ASCII characters"),
        ({"a\tb": "b"}, "events.0.properties: names have 1 to 64 printable ASCII characters"),
        ({f"a{n}": "b" for n in range(21)}, "events.0.properties: are at most 20"),
    ],
)
async def test_properties_that_are_refused(world: World, properties: Json, told: str) -> None:
    customer = await sign_up(world)
    assert await refused_at_both_doors(customer, event("k", properties=properties)) == told
    assert (await sums(customer)).get("invites_sent") is None


async def test_properties_are_kept_as_text(world: World) -> None:
    customer = await sign_up(world)
    given: dict[str, Any] = {"text": "Ä \"quoted\" 'x' \\", "number": 7, "yes": True, "no": False, "$.a[0]": "path"}
    given |= {"x" * 64: "y" * 256, "minus": -(2**63), "empty": ""}
    [recorded] = await customer.record(event("graphql", properties=given))
    assert recorded["status"] == "RECORDED"
    assert (await post(customer, event("http", properties=given)))["recorded"] == 1
    text = {**given, "number": "7", "yes": "true", "no": "false", "minus": str(-(2**63))}
    assert [stored.properties for stored in await UsageEvent.filter(tenant_id=customer.tenant.id)] == [text, text]
    assert [a["status"] for a in await customer.record(event("graphql", properties=text))] == ["DUPLICATE"]
    for other in (None, {}, {"text": "other"}, {**given, "more": 1}):
        [answer] = await customer.record(event("graphql", properties=other))
        assert answer["userError"]["__typename"] == "Conflict", other
    assert (await post(customer, event("http", properties={})))["refused"][0]["code"] == "CONFLICT"


async def test_quantities_have_the_meters_decimals(world: World) -> None:
    customer = await sign_up(world)
    await make_meter(world, "gigabytes", decimals=3)
    await customer.record(event("a", "1.5", "gigabytes"), event("b", 2, "gigabytes"), event("c", "0.001", "gigabytes"))
    left_out = {"meter": "gigabytes", "idempotencyKey": "d"}
    assert (await customer.record(left_out))[0]["status"] == "RECORDED"
    assert (await post(customer, {**left_out, "idempotencyKey": "e"}))["recorded"] == 1
    assert await sums(customer) == {"gigabytes": "5.501"}
    duplicates = await customer.record(event("a", "1.500", "gigabytes"), event("b", "2.0", "gigabytes"))
    assert [answer["status"] for answer in duplicates] == ["DUPLICATE"] * 2
    rule = "events.0.quantity: is a number from 0.001 to 1000000000.000 and at most 3 digits after the point"
    for wrong in ("1.5001", "0", "-1", 0, -1, "1000000000.001", 10**9 + 1, "9" * 30):
        assert await refused_at_both_doors(customer, event("w", wrong, "gigabytes")) == rule
    whole = "events.0.quantity: is a whole number from 1 to 1000000000000"
    for wrong in ("1.5", "0", -3, 10**12 + 1):
        assert await refused_at_both_doors(customer, event("w", wrong)) == whole
    assert (await customer.record(event("x", "3.0")))[0]["status"] == "RECORDED"
    refused = await post(customer, {**event("f"), "quantity": 1.5})
    assert "a quantity is a whole number, or a string" in refused["refused"][0]["message"]


async def test_a_meter_that_counts_a_property_needs_it(world: World) -> None:
    customer = await sign_up(world)
    await make_meter(world, "pages", property="pages", decimals=1)
    await make_meter(world, "people", "UNIQUE", property="who")
    await make_meter(world, "eu_pages", property="pages", filters=[{"property": "region", "values": ["eu"]}])
    needed = "events.0.properties.pages: is needed: pages counts it"
    assert await refused_at_both_doors(customer, event("a", 1, "pages")) == needed
    assert "people counts it" in await refused_at_both_doors(customer, event("b", 1, "people"))
    rule = "events.0.properties.pages: is a number from 0.0 to 100000000000.0 and at most 1 digits after the point"
    for wrong in ("many", "", "1.25", "-1", "1e3", " 3", "NaN", "9" * 30, True):
        assert await refused_at_both_doors(customer, event("c", 1, "pages", properties={"pages": wrong})) == rule
    assert "eu_pages counts it" in await refused_at_both_doors(
        customer, event("d", 1, "eu_pages", properties={"region": "eu"})
    )
    recorded = await customer.record(
        event("e", 1, "pages", properties={"pages": 12}),
        event("f", 5, "pages", properties={"pages": "0.5"}),
        event("g", 1, "pages", properties={"pages": 0}),
        event("h", 1, "people", properties={"who": "ann"}),
        event("i", 1, "eu_pages", properties={"region": "eu", "pages": 3}),
        event("j", 1, "eu_pages", properties={"region": "us"}),
    )
    assert {answer["status"] for answer in recorded} == {"RECORDED"}
    assert await sums(customer) == {"pages": "12.5", "people": "1", "eu_pages": "3", "api_calls": "4"}


async def test_what_is_derived_is_not_recorded_itself_and_counts_what_it_can(world: World) -> None:
    customer = await sign_up(world)
    await make_meter(world, "pages", source="invites_sent", property="pages")
    told = await refused_at_both_doors(customer, event("a", 1, "pages", properties={"pages": 1}))
    assert told == "events.0.meter: is counted from the events of invites_sent: record those"
    recorded = await customer.record(
        event("b"),
        event("c", properties={"pages": "x"}),
        event("d", properties={"pages": -1}),
        event("e", properties={"pages": str(10**13)}),
        event("f", properties={"pages": 5}),
    )
    assert {answer["status"] for answer in recorded} == {"RECORDED"}
    assert await sums(customer) == {"invites_sent": "5", "pages": "5", "api_calls": "1"}


async def test_levels_may_be_zero(world: World) -> None:
    customer = await sign_up(world)
    await make_meter(world, "devices", "LATEST")
    await make_meter(world, "agents", "MAX")
    recorded = await customer.record(event("a", 3, "devices"), event("b", 0, "devices"), event("c", 0, "agents"))
    assert [answer["status"] for answer in recorded] == ["RECORDED", "RECORDED", "REFUSED"]
    assert await sums(customer) == {}


async def test_our_own_keys_are_ours(world: World) -> None:
    customer = await sign_up(world)
    for key in ("op:x", "signnow:x", "correction:x", "replacement:x"):
        told = await refused_at_both_doors(customer, event(key))
        assert told.startswith("events.0.idempotencyKey: must not begin with op:")
