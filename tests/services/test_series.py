"""usageSeries: what a chart needs, held against adding up the events by hand."""

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.services.steps import Customer, Json, do, event, make_meter, sign_up
from tests.world import START, World

pytestmark = pytest.mark.anyio
QUERY = """query ($id: ID, $meter: String!, $from: DateTime!, $to: DateTime!, $by: SeriesStep!, $group: String,
    $zone: String) { usageSeries(tenantId: $id, meter: $meter, from: $from, to: $to, by: $by,
    groupByProperty: $group, zone: $zone) { meter unit points { start end group used } } }"""


async def ask(customer: Customer, meter: str, start: str, end: str, by: str = "DAY", **more: str | None) -> list[Json]:
    variables = {"id": customer.id, "meter": meter, "from": start, "to": end, "by": by, **more}
    return list((await customer.api.ask(QUERY, **variables))["usageSeries"]["points"])


async def used(customer: Customer, meter: str, start: str, end: str, by: str = "DAY", **more: str | None) -> list[str]:
    return [point["used"] for point in await ask(customer, meter, start, end, by, **more)]


async def problem(customer: Customer, **changes: str | None) -> str:
    """The path of what is wrong."""
    variables = {"meter": "invites_sent", "from": "2026-03-01T00:00:00Z", "to": "2026-03-08T00:00:00Z", "by": "DAY"}
    [error] = (await customer.api.post(QUERY, **{"id": customer.id, **variables, **changes}))["errors"]
    assert error["extensions"]["code"] == "INVALID_INPUT"
    return str(error["message"].partition(":")[0])


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
async def test_local_hours_and_days_over_a_change_of_clocks(world: World, zone: str) -> None:
    """New York leaves winter on 8 March, Berlin on the 29th, Lord Howe (half an hour) summer on 5 April."""
    world.clock.travel_to(datetime(2026, 2, 28, 12, tzinfo=UTC))
    customer = await sign_up(world, zone=zone)
    await make_meter(world, "quick", source="api_calls", filters=[{"property": "quick", "values": ["true"]}])
    await make_meter(world, "people", "UNIQUE", source="api_calls", property="who")
    await make_meter(world, "largest", "MAX", source="api_calls")
    world.clock.travel_to(datetime(2026, 4, 10, tzinfo=UTC))
    chance = random.Random(20260310)  # noqa: S311 - the same events each time
    local = ZoneInfo(zone)
    first, last = datetime(2026, 3, 1, tzinfo=local), datetime(2026, 4, 8, tzinfo=local)
    by_day: dict[str, dict[str, list[Json]]] = {"quick": defaultdict(list), "all": defaultdict(list)}
    events = []
    for number in range(900):
        moment = first + timedelta(seconds=chance.randrange(int((last - first).total_seconds())))
        properties = {"quick": chance.random() < 0.5, "who": f"p{chance.randrange(6)}"}
        events.append(event(f"k-{number}", chance.randrange(1, 9), "api_calls", moment.isoformat(), properties))
        day = moment.astimezone(UTC).astimezone(local).date().isoformat()
        by_day["all"][day].append(events[-1])
        if properties["quick"]:
            by_day["quick"][day].append(events[-1])
    assert {answer["status"] for answer in await customer.record(*events)} == {"RECORDED"}

    days = [(first.date() + timedelta(days=n)).isoformat() for n in range((last.date() - first.date()).days)]
    span = (first.isoformat(), last.isoformat())

    def added(found: list[Json]) -> int:
        return sum(e["quantity"] for e in found)

    def different(found: list[Json]) -> int:
        return len({e["properties"]["who"] for e in found})

    def largest(found: list[Json]) -> int:
        return max((e["quantity"] for e in found), default=0)

    counted: list[tuple[str, str, Callable[[list[Json]], int]]] = [
        ("api_calls", "all", added),
        ("quick", "quick", added),
        ("people", "all", different),
        ("largest", "all", largest),
    ]
    for meter, which, count in counted:
        points = await ask(customer, meter, *span)
        starts = [datetime.fromisoformat(point["start"]).astimezone(local).date().isoformat() for point in points]
        assert starts == days
        assert [int(point["used"]) for point in points] == [count(by_day[which][day]) for day in days], meter
        hours = await ask(customer, meter, *span, by="HOUR")
        assert [hours[0]["start"], hours[-1]["end"]] == [points[0]["start"], points[-1]["end"]]
        assert [earlier["end"] for earlier in hours[:-1]] == [later["start"] for later in hours[1:]]
        for point in hours:
            begun, ended = (datetime.fromisoformat(point[name]) for name in ("start", "end"))
            inside = [
                e
                for day in by_day[which].values()
                for e in day
                if begun <= datetime.fromisoformat(e["occurredAt"]) < ended
            ]
            assert int(point["used"]) == count(inside), (meter, point)
        [total] = await ask(customer, meter, *span, by="TOTAL")
        assert int(total["used"]) == count([e for day in by_day[which].values() for e in day])


async def test_groups_of_a_property(world: World) -> None:
    customer = await sign_up(world)
    await make_meter(world, "calls", "COUNT", source="invites_sent")
    await make_meter(world, "people", "UNIQUE", source="invites_sent", property="who")
    name = """a "b" 'c' $.d[0]"""
    await world.work()
    await customer.record(
        event("1", 3, properties={name: "eu", "who": "ann"}),
        event("2", 4, properties={name: "us", "who": "ann"}),
        event("3", 5, properties={name: "eu", "who": "bob"}),
        event("4", 6),
        event("5", 7, properties={name: "eu", "who": "bob"}),
    )
    corrections = [
        {"eventKey": "5", "idempotencyKey": "c"},
        {"eventKey": "3", "idempotencyKey": "d", "quantity": 2, "properties": {name: "us", "who": "cid"}},
    ]
    await do(world.operator, "correctUsage", "results { status }", tenantId=customer.id, corrections=corrections)
    span = ("2026-03-09T00:00:00Z", "2026-03-12T00:00:00Z")

    async def groups(meter: str, by: str) -> list[tuple[str, str | None, str]]:
        return [(p["start"][8:10], p["group"], p["used"]) for p in await ask(customer, meter, *span, by, group=name)]

    assert await groups("invites_sent", "TOTAL") == [("09", None, "6"), ("09", "eu", "3"), ("09", "us", "6")]
    assert await groups("invites_sent", "DAY") == [("10", None, "6"), ("10", "eu", "3"), ("10", "us", "6")]
    assert await groups("calls", "DAY") == [("10", None, "1"), ("10", "eu", "1"), ("10", "us", "2")]
    assert await groups("people", "DAY") == [("10", None, "0"), ("10", "eu", "1"), ("10", "us", "2")]
    assert await used(customer, "calls", *span) == ["0", "4", "0"]
    assert await used(customer, "invites_sent", *span) == ["0", "15", "0"]


async def test_levels_go_on_from_point_to_point(world: World) -> None:
    customer = await sign_up(world)
    await make_meter(world, "gigabytes", "TIME_WEIGHTED", decimals=2)
    await make_meter(world, "latest", "LATEST", source="gigabytes")
    await make_meter(world, "peak", "MAX", source="seats")
    await customer.record(event("a", 4, "gigabytes", "2026-03-10T06:00:00Z"))
    world.clock.travel_to(START + timedelta(days=3))  # 13 March, 9:00
    await customer.record(event("b", 10, "gigabytes", "2026-03-12T00:00:00Z"), event("c", 7, "gigabytes"))
    span = ("2026-03-09T00:00:00Z", "2026-03-16T00:00:00Z")
    assert await used(customer, "gigabytes", *span) == ["0", "3", "4", "10", "10"], "what is to come has no level"
    assert await used(customer, "latest", *span) == ["0", "4", "4", "10", "7"]
    assert await used(customer, "latest", "2026-03-11T00:00:00Z", "2026-03-12T00:00:00Z") == ["4"]
    world.clock.travel_to(START + timedelta(days=4))
    noon = await ask(customer, "gigabytes", "2026-03-13T00:00:00Z", "2026-03-14T00:00:00Z", "HOUR")
    assert [point["used"] for point in noon] == ["10"] * 9 + ["7"] * 15
    assert await used(customer, "gigabytes", *span, by="TOTAL") == ["5.16"]  # (42 * 4 + 33 * 10 + 24 * 7) / 129
    assert await used(customer, "seats", *span) == ["1"] * 6
    assert await used(customer, "peak", *span, by="TOTAL") == ["1"]


async def test_the_first_and_the_last_point_are_cut(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(
        event("a", 1, occurred_at="2026-03-10T02:07:00Z"),
        event("b", 2, occurred_at="2026-03-10T02:07:01Z"),
        event("c", 4, occurred_at="2026-03-10T05:59:59.999999Z"),
        event("d", 8, occurred_at="2026-03-10T06:00:00Z"),
    )
    assert await used(customer, "invites_sent", "2026-03-10T02:07:01Z", "2026-03-10T06:00:00Z", "HOUR") == [
        "2",
        "0",
        "0",
        "4",
    ]
    assert await used(customer, "invites_sent", "2026-03-10T02:07:01Z", "2026-03-10T06:00:00.000001Z", "TOTAL") == [
        "14"
    ]


async def test_what_cannot_be_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = await sign_up(world)
    await make_meter(world, "devices", "LATEST")
    assert await problem(customer, meter="nothing") == "meter"
    assert await problem(customer, **{"from": "2026-03-08T00:00:00Z"}) == "from"
    assert await problem(customer, **{"from": "0001-01-01T00:00:00Z"}) == "from"
    assert await problem(customer, **{"from": "2025-01-01T00:00:00Z"}) == "to"
    assert await problem(customer, to="9999-12-31T00:00:00Z") == "to"
    assert await problem(customer, zone="Mars/Olympus") == "zone"
    assert await problem(customer, meter="devices", group="who") == "groupByProperty"
    assert await problem(customer, meter="seats", group="who") == "groupByProperty"
    assert await problem(customer, group="") == "groupByProperty"
    assert await problem(customer, group="größe") == "groupByProperty"
    year = {"from": "2025-03-01T00:00:00Z", "to": "2026-03-08T00:00:00Z"}
    points = await ask(customer, "invites_sent", year["from"], year["to"], "HOUR")
    assert len(points) == 372 * 24
    monkeypatch.setattr("services.series.MAX_POINTS", 100)
    assert await problem(customer, by="HOUR") == "by"
    await customer.record(*(event(f"k-{n}", properties={"n": n}) for n in range(101)))
    assert await problem(customer, group="n", by="TOTAL", to="2026-03-11T00:00:00Z") == "groupByProperty"


async def test_another_tenants_series_is_not_there(world: World) -> None:
    customer, other = await sign_up(world), await sign_up(world, reference="bolt", code="bolt")
    await customer.record(event("a", 3))
    own = Customer(world, other.tenant, await other.own_api())
    assert await used(own, "invites_sent", "2026-03-10T00:00:00Z", "2026-03-11T00:00:00Z") == ["0"]
    variables = {"id": customer.id, "meter": "invites_sent", "by": "DAY"}
    span = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z"}
    answer = await own.api.post(QUERY, **variables, **span)
    assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"
