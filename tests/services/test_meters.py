"""createMeter: meters are data, never changed, and count what was recorded before them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services import jobs, meters
from services.meters import MAX_METERS, CreateMeter, create_meter
from services.timetable import HANDLERS
from storage.jobs import SYSTEM
from storage.meters import StoredMeter
from tests.services.steps import (
    METER,
    Customer,
    Json,
    do,
    event,
    make_meter,
    make_plan,
    price,
    problems,
    provision,
    quota,
    refused,
    sign_up,
    sums,
)
from tests.services.terms import change_plan
from tests.world import START, World

pytestmark = pytest.mark.anyio


async def create(world: World, code: str = "pages", **content: Any) -> Json:
    content = {"unit": "page", "description": "Pages.", **content}
    return await do(world.operator, "createMeter", f"meter {{ {METER} }}", code=code, **content)


async def test_a_meter_is_made_once_and_never_changes(world: World) -> None:
    content: Json = {"aggregation": "SUM", "decimals": 2, "rounding": "UP", "property": "size"}
    content |= {"filters": [{"property": "region", "values": ["us", "eu"]}]}
    first = await create(world, **content)
    assert first["meter"] == {
        "code": "pages",
        "unit": "page",
        "description": "Pages.",
        "source": None,
        "isBuiltIn": False,
        **content,
        "filters": [{"property": "region", "values": ["eu", "us"]}],
    }
    content["filters"] = [{"property": "region", "values": ["eu", "us"]}]
    assert await create(world, **content) == first
    others: list[Json] = [{"decimals": 3}, {"rounding": "NONE"}, {"filters": []}, {"unit": "x"}, {"property": None}]
    for other in others:
        conflict = refused(await create(world, **{**content, **other}))
        assert (conflict["__typename"], conflict["path"]) == ("Conflict", ["code"])
    assert refused(await create(world, "invites_sent"))["__typename"] == "Conflict"
    listed = (await world.operator.ask(f"{{ meters {{ {METER} }} }}"))["meters"]
    assert listed[-1] == first["meter"]
    assert [meter["isBuiltIn"] for meter in listed] == [True] * 7 + [False]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ({"code": "Pages"}, "code"),
        ({"code": "1page"}, "code"),
        ({"code": "x" * 65}, "code"),
        ({"unit": ""}, "unit"),
        ({"description": "a\nb"}, "description"),
        ({"source": "nothing"}, "source"),
        ({"source": "derived"}, "source"),
        ({"property": ""}, "property"),
        ({"property": "größe"}, "property"),
        ({"property": "x" * 65}, "property"),
        ({"aggregation": "UNIQUE"}, "property"),
        ({"aggregation": "COUNT", "property": "size"}, "property"),
        ({"aggregation": "COUNT", "decimals": 1}, "decimals"),
        ({"aggregation": "UNIQUE", "property": "who", "decimals": 1}, "decimals"),
        ({"decimals": -1}, "decimals"),
        ({"decimals": 10}, "decimals"),
        ({"source": "fine", "decimals": 0}, "decimals"),
        ({"source": "fine", "decimals": 3}, "decimals"),
        ({"source": "fine", "aggregation": "TIME_WEIGHTED", "decimals": 1}, "decimals"),
        ({"source": "seats"}, "aggregation"),
        ({"source": "seats", "aggregation": "LATEST", "filters": [{"property": "a", "values": ["b"]}]}, "source"),
        ({"filters": [{"property": "a", "values": []}]}, "filters.0.values"),
        ({"filters": [{"property": "a", "values": ["x" * 257]}]}, "filters.0.values"),
        ({"filters": [{"property": "", "values": ["b"]}]}, "filters.0.property"),
        ({"filters": [{"property": "a", "values": ["b"]}] * 2}, "filters"),
        ({"filters": [{"property": f"a{n}", "values": ["b"]} for n in range(21)]}, "filters"),
    ],
)
async def test_what_a_meter_cannot_be(world: World, content: Json, wrong: str) -> None:
    await make_meter(world, "fine", decimals=2)
    await make_meter(world, "derived", source="fine")
    assert list(problems(await create(world, **content))) == [wrong]
    assert await StoredMeter.all().count() == 2


async def test_a_derived_meter_is_as_fine_as_its_source(world: World) -> None:
    await make_meter(world, "gigabytes", decimals=2)
    assert (await make_meter(world, "all_gigabytes", source="gigabytes"))["decimals"] == 2
    assert (await make_meter(world, "uploads", "COUNT", source="gigabytes"))["decimals"] == 0
    assert (await make_meter(world, "kinds", "UNIQUE", source="gigabytes", property="kind"))["decimals"] == 0
    assert (await make_meter(world, "cost", source="gigabytes", property="cost", decimals=4))["decimals"] == 4
    assert (await make_meter(world, "seat_months", "TIME_WEIGHTED", source="seats", decimals=3))["decimals"] == 3


async def test_two_at_once_get_a_place_each(world: World) -> None:
    made = [CreateMeter(f"meter_{n % 6}", "unit", "Units.") for n in range(12)]
    answers = await asyncio.gather(*(create_meter(world.platform, command) for command in made))
    assert [answer.code for answer in answers] == [command.code for command in made]
    assert [stored.position for stored in await StoredMeter.all().order_by("position")] == [1, 2, 3, 4, 5, 6]


async def test_there_is_an_end_to_meters(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_METERS == 200
    monkeypatch.setattr(meters, "MAX_METERS", 2)
    for code in ("one", "two"):
        await make_meter(world, code)
    assert refused(await create(world, "three"))["__typename"] == "Conflict"
    assert (await make_meter(world, "two"))["code"] == "two"


async def test_a_derived_meter_counts_what_was_recorded_before_it(world: World) -> None:
    customer = await sign_up(world)
    other = await sign_up(world, reference="bolt", code="bolt")
    for who in (customer, other):
        await who.record(
            event("a", 3, properties={"region": "eu", "who": "ann", "pages": 2}),
            event("b", 4, properties={"region": "us", "who": "ann", "pages": "7"}),
            event("c", 5, properties={"region": "eu", "who": "bob", "pages": "many"}),
            event("d", 6),
        )
    await customer.record(event("other", 50, meter="downloads", properties={"region": "eu"}))
    eu = [{"property": "region", "values": ["eu"]}]
    await make_meter(world, "eu_invites", source="invites_sent", filters=eu)
    await make_meter(world, "invite_calls", "COUNT", source="invites_sent")
    await make_meter(world, "people", "UNIQUE", source="invites_sent", property="who")
    await make_meter(world, "largest", "MAX", source="invites_sent", property="pages")
    await make_meter(world, "pages", source="invites_sent", property="pages")
    assert await sums(customer) == {"invites_sent": "18", "downloads": "50"}
    # Recorded before the backfill, by a process that must look for the new meters by itself.
    await customer.record(event("e", 1, properties={"region": "eu", "who": "cid", "pages": "9"}))
    await world.work()
    expected = {"invites_sent": "19", "downloads": "50", "eu_invites": "9", "invite_calls": "5", "people": "3"}
    assert await sums(customer) == {**expected, "largest": "9", "pages": "18"}
    expected = {"invites_sent": "18", "eu_invites": "8", "invite_calls": "4", "people": "2"}
    assert await sums(other) == {**expected, "largest": "7", "pages": "9"}
    await customer.record(event("f", 1, properties={"region": "eu", "who": "ann", "pages": "11"}))
    assert (await sums(customer))["largest"] == "11"
    report = await do(world.operator, "rebuildCounters", "report { differences { meter } }", tenantId=customer.id)
    assert report["report"] == {"differences": []}


async def test_a_period_that_closes_before_the_backfill_is_counted_whole(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("a", 3), event("b", 4))
    await make_meter(world, "calls", "COUNT", source="invites_sent")
    plan = await make_plan(world, price("calls", "metered", unitPrice="5.00"), code="by-calls")
    changed = await change_plan(customer, plan, proration="SECOND")
    assert changed["userErrors"] == []
    await customer.record(event("c", 5))
    await world.travel_to(START + timedelta(days=31))
    invoice = (await customer.close())["invoice"]
    assert [(line["meter"], line["quantity"]) for line in invoice["lines"]] == [("calls", "3")]
    await world.work()
    report = await do(
        world.operator, "rebuildCounters", "report { differences { meter } }", tenantId=customer.id, check=True
    )
    assert report["report"] == {"differences": []}


async def test_a_backfill_goes_on_where_it_was_killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    customers = [await sign_up(world, reference=f"t-{n}", code=f"p-{n}") for n in range(3)]
    for customer in customers:
        await customer.record(event("a", 3), event("b", 4))
    await make_meter(world, "calls", "COUNT", source="invites_sent")
    seen: list[tuple[int, int]] = []
    advance = HANDLERS[meters.BACKFILL].__globals__["advance_job"]

    async def advance_or_die(job: Any, payload: Json, now: Any) -> None:
        await advance(job, payload, now)
        seen.append(tuple(payload["after"]))
        if len(seen) == 2:
            raise asyncio.CancelledError

    monkeypatch.setitem(HANDLERS[meters.BACKFILL].__globals__, "advance_job", advance_or_die)
    with pytest.raises(asyncio.CancelledError):
        await jobs.run_now(world.platform, SYSTEM, meters.BACKFILL, "calls", HANDLERS[meters.BACKFILL])
    assert [(await sums(customer)).get("calls") for customer in customers] == ["2", None, None]
    world.clock.travel_to(START + timedelta(minutes=10))  # its lease is over
    await world.work()
    assert [(await sums(customer))["calls"] for customer in customers] == ["2", "2", "2"]
    assert len(seen) == len({*seen}) + 1, "only the period whose transaction was rolled back is done again"


async def test_ingestion_goes_on_while_a_meter_is_made(world: World) -> None:
    customer = await sign_up(world)

    async def record(number: int) -> None:
        await customer.record(*(event(f"{number}-{n}", 1, properties={"who": f"p{n}"}) for n in range(5)))

    async def make() -> None:
        await make_meter(world, "calls", "COUNT", source="invites_sent")
        await make_meter(world, "people", "UNIQUE", source="invites_sent", property="who")
        await world.work()

    await asyncio.gather(*(record(n) for n in range(10)), make(), *(record(n) for n in range(10, 20)))
    await world.work()
    assert await sums(customer) == {"invites_sent": "100", "calls": "100", "people": "5"}


async def test_plans_price_any_meter_and_levels_take_no_quota(world: World) -> None:
    customer = await provision(world)
    for code, aggregation in (("storage", "TIME_WEIGHTED"), ("devices", "LATEST"), ("scans", "SUM")):
        await make_meter(world, code, aggregation)
    prices = [price(code, "metered", unitPrice="1.00") for code in ("storage", "devices", "scans")]
    for code in ("storage", "devices"):
        plan = {"code": "x", "name": "X", "currency": "USD", "prices": prices, "quotas": [quota(code, "HARD", 5)]}
        assert list(problems(await do(world.operator, "createPlan", "plan { id }", **plan))) == ["quotas.0.meter"]
    plan = {"code": "x", "name": "X", "currency": "USD", "prices": [price("nothing", "flat", fee="1")]}
    assert list(problems(await do(world.operator, "createPlan", "plan { id }", **plan))) == ["prices.0.meter"]
    plan_id = await make_plan(world, *prices, quotas=[quota("scans", "SOFT", 5)])
    assert (await customer.subscribe(plan_id))["userErrors"] == []
    asked = await world.operator.post(
        'query ($id: ID) { checkQuota(tenantId: $id, meter: "storage") { used } }', id=customer.id
    )
    assert asked["errors"][0]["extensions"]["code"] == "INVALID_INPUT"


async def test_a_tenants_key_may_see_meters_but_not_make_any(world: World) -> None:
    customer: Customer = await sign_up(world)
    api = await customer.own_api()
    assert len((await api.ask("{ meters { code } }"))["meters"]) == 7
    made = await do(api, "createMeter", "meter { code }", code="mine", unit="u", description="d")
    assert refused(made)["__typename"] == "NotPermitted"
    assert not await StoredMeter.exists()
