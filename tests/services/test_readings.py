"""Reading usage: now from the counters, as of a moment from the events; levels and seats worked out."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.readings import billed_units
from storage.subscriptions import Period, Phase, PhaseReason
from tests.services.steps import Customer, Json, do, event, fault, make_meter, make_plan, price, sign_up, sums
from tests.world import START, World

pytestmark = pytest.mark.anyio
ALL = """query ($id: ID, $at: DateTime, $asOf: DateTime) { usage(tenantId: $id, at: $at, asOf: $asOf) {
    period { start end } meters { meter unit used reserved credited } } }"""


def at(**later: float) -> str:
    return (START + timedelta(**later)).isoformat()


async def read(customer: Customer, **when: str) -> Json:
    return dict((await customer.api.ask(ALL, id=customer.id, **when))["usage"])


async def seats_from(customer: Customer, moment: datetime, seats: int) -> None:
    """A change of seats, known since `moment`."""
    first = await Phase.filter(tenant_id=customer.tenant.id).first()
    assert first is not None
    await Phase.create(
        tenant_id=customer.tenant.id,
        subscription_id=first.subscription_id,
        starts_at=moment,
        plan_id=first.plan_id,
        seats=seats,
        reason=PhaseReason.SEATS,
        created_at=moment,
    )


async def test_the_period_of_any_moment(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("a", 3))
    await world.travel_to(START + timedelta(days=40))
    await customer.record(event("b", 4))
    assert await sums(customer) == {"invites_sent": "4"}
    assert await sums(customer, at=at()) == {"invites_sent": "3"}
    assert (await read(customer, at=at()))["period"] == {"start": "2026-03-10T00:00:00Z", "end": "2026-04-10T00:00:00Z"}
    for when, code in (({"at": at(days=-1)}, "SUBSCRIPTION_INACTIVE"), ({"at": at(days=41)}, "INVALID_INPUT")):
        answer = await customer.api.post(ALL, id=customer.id, **when)
        assert answer["errors"][0]["extensions"]["code"] == code
    answer = await customer.api.post(ALL, id=customer.id, asOf=at(days=41))
    assert answer["errors"][0]["extensions"]["code"] == "INVALID_INPUT"


async def test_as_of_answers_what_was_known_then_whatever_comes_later(world: World) -> None:
    customer = await sign_up(world)
    for code, aggregation, more in (
        ("calls", "COUNT", {}),
        ("people", "UNIQUE", {"property": "who"}),
        ("largest", "MAX", {}),
        ("now", "LATEST", {}),
        ("average", "TIME_WEIGHTED", {"decimals": 3}),
    ):
        await make_meter(world, code, aggregation, source="invites_sent", **more)
    known: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    steps: list[Any] = [
        [event("a", 5, occurred_at=at(minutes=-30), properties={"who": "ann"})],
        [event("b", 2, properties={"who": "bob"}), event("c", 9, occurred_at=at(hours=-1), properties={"who": "cid"})],
        {"eventKey": "c", "idempotencyKey": "1", "quantity": 4},
        {"eventKey": "replacement:1", "idempotencyKey": "2"},
        [event("d", 1, occurred_at=at(hours=-5))],
    ]
    for hour, step in enumerate(steps):
        world.clock.travel_to(START + timedelta(hours=hour))
        if isinstance(step, list):
            assert {a["status"] for a in await customer.record(*step)} == {"RECORDED"}
        else:
            answer = await do(
                world.operator, "correctUsage", "results { status }", tenantId=customer.id, corrections=[step]
            )
            assert answer["results"] == [{"status": "CORRECTED"}]
        moment = at(hours=hour, minutes=30)
        world.clock.travel_to(START + timedelta(hours=hour, minutes=30))
        known[moment] = (await sums(customer), await sums(customer, asOf=moment))
    world.clock.travel_to(START + timedelta(days=2))
    assert [now["invites_sent"] for now, _ in known.values()] == ["5", "16", "11", "7", "8"]
    assert [now["people"] for now, _ in known.values()] == ["1", "3", "3", "2", "2"]
    for moment, (now, then) in known.items():
        assert then == now, moment
        assert await sums(customer, asOf=moment) == then, moment
    assert await sums(customer, asOf=at(minutes=-1)) == {}


async def test_as_of_waits_for_a_batch_in_flight(world: World) -> None:
    """Each answer holds at least all that was acknowledged before it was asked, and stays what it was."""
    customer = await sign_up(world)
    answers: list[tuple[str, dict[str, str], int]] = []
    done = 0

    async def record(number: int) -> None:
        nonlocal done
        await customer.record(*(event(f"{number}-{n}") for n in range(20)))
        done += 20

    async def ask() -> None:
        world.clock.travel_to(world.clock.now() + timedelta(seconds=1))
        moment, least = world.clock.now() - timedelta(microseconds=1), done
        answers.append((moment.isoformat(), await sums(customer, asOf=moment.isoformat()), least))

    for wave in range(6):
        await asyncio.gather(*(record(wave * 4 + n) for n in range(4)), ask(), ask())
    for moment, answer, least in answers:
        assert int(answer.get("invites_sent", "0")) >= least
        assert await sums(customer, asOf=moment) == answer


async def test_what_was_reserved_then(world: World) -> None:
    customer = await sign_up(world)
    document = await customer.document()
    world.clock.travel_to(START + timedelta(hours=1))
    await fault(world.signnow, "timeout_after", on="/document")
    sent = await customer.invite(document)
    assert sent["userErrors"][0]["__typename"] == "OutcomeUnknown"
    world.clock.travel_to(START + timedelta(hours=2))
    await world.work()
    then = {m["meter"]: m for m in (await read(customer, asOf=at(hours=1, minutes=1)))["meters"]}
    now = {m["meter"]: m for m in (await read(customer))["meters"]}
    assert (then["invites_sent"]["used"], then["invites_sent"]["reserved"]) == ("0", "1")
    assert (now["invites_sent"]["used"], now["invites_sent"]["reserved"]) == ("1", "0")


async def test_levels_are_carried_over_and_averaged_exactly(world: World) -> None:
    customer = await sign_up(world)
    await make_meter(world, "gigabytes", "TIME_WEIGHTED", decimals=6)
    await make_meter(world, "devices", "LATEST", source="gigabytes")
    await make_meter(world, "eu", "LATEST", source="gigabytes", filters=[{"property": "region", "values": ["eu"]}])
    await world.work()
    await customer.record(event("a", 30, "gigabytes", "2026-03-10T00:00:00Z", {"region": "eu"}))
    await world.travel_to(datetime(2026, 3, 20, tzinfo=UTC))
    assert await sums(customer) == {"gigabytes": "30", "devices": "30", "eu": "30"}
    await customer.record(event("b", 90, "gigabytes", "2026-03-15T00:00:00Z"))
    assert await sums(customer) == {"gigabytes": "60", "devices": "90", "eu": "30"}
    await world.travel_to(datetime(2026, 5, 1, tzinfo=UTC))
    march = {"gigabytes": "80.322581", "devices": "90", "eu": "30"}  # (5 * 30 + 26 * 90) / 31
    assert await sums(customer, at="2026-03-12T00:00:00Z") == march
    assert await sums(customer) == {"gigabytes": "90", "devices": "90", "eu": "30"}
    await customer.record(event("c", 0, "gigabytes", "2026-04-20T00:00:00Z"))
    assert await sums(customer) == {"gigabytes": "42.857143", "eu": "30"}  # 10 of 21 days
    [period] = await Period.filter(tenant_id=customer.tenant.id, starts_at=datetime(2026, 3, 10, tzinfo=UTC))
    units = await billed_units(world.platform, period, world.clock.now())
    assert {code: n for code, n in units.items() if n} == {
        "gigabytes": Decimal("80.322581"),
        "devices": 90,
        "eu": 30,
        "seats": 1,
    }


async def test_a_level_that_was_corrected_is_the_one_before(world: World) -> None:
    customer = await sign_up(world)
    await make_meter(world, "devices", "LATEST")
    await customer.record(event("a", 3, "devices"))
    await customer.record(event("b", 8, "devices"), event("c", 5, "devices"))
    assert await sums(customer) == {"devices": "5"}, "of one moment, the last that was recorded"
    for key, left in (("c", "8"), ("b", "3")):
        wanted = [{"eventKey": key, "idempotencyKey": f"not-{key}"}]
        await do(world.operator, "correctUsage", "results { status }", tenantId=customer.id, corrections=wanted)
        assert await sums(customer) == {"devices": left}


async def test_a_level_far_back_is_found(world: World) -> None:
    customer = await sign_up(world)
    await make_meter(world, "eu", "LATEST", source="downloads", filters=[{"property": "region", "values": ["eu"]}])
    await customer.record(event("eu", 7, "downloads", at(hours=-3), {"region": "eu"}))
    await customer.record(*(event(f"us-{n}", n + 1, "downloads", at(seconds=n - 7200)) for n in range(500)))
    assert (await sums(customer))["eu"] == "7"


async def test_seats_come_from_the_phases(world: World) -> None:
    customer = Customer(world, await world.provision(), world.operator)
    plan = await make_plan(world, price("invites_sent", "per-seat", seatPrice="9.00"))
    await customer.subscribe(plan, seats=4)
    await make_meter(world, "seats_now", "LATEST", source="seats")
    await make_meter(world, "seat_average", "TIME_WEIGHTED", source="seats", decimals=2)
    await seats_from(customer, datetime(2026, 3, 12, tzinfo=UTC), 10)
    await seats_from(customer, datetime(2026, 3, 13, tzinfo=UTC), 2)
    await seats_from(customer, datetime(2026, 4, 20, tzinfo=UTC), 50)
    query = "query ($id: ID, $asOf: DateTime) { usage(tenantId: $id, asOf: $asOf) { meters { meter used } } }"

    async def shown(**when: str) -> list[str]:
        meters = (await world.operator.ask(query, id=customer.id, **when))["usage"]["meters"]
        return [m["used"] for m in meters if "seat" in m["meter"]]

    assert await shown() == ["4", "4", "4"]
    world.clock.travel_to(datetime(2026, 3, 15, tzinfo=UTC))
    assert await shown() == ["10", "2", "4.4"]  # two days of 4, one of 10, two of 2
    assert await shown(asOf="2026-03-12T12:00:00Z") == ["10", "10", "5.2"]
    assert await shown(asOf="2026-03-11T00:00:00Z") == ["4", "4", "4"]


async def test_another_tenants_usage_is_not_there(world: World) -> None:
    customer, other = await sign_up(world), await sign_up(world, reference="bolt", code="bolt")
    await customer.record(event("a", 3))
    api = await other.own_api()
    answer = await api.post(ALL, id=customer.id)
    assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    assert await sums(Customer(world, other.tenant, api), asOf=at()) == {}


async def test_events_are_listed_in_pages(world: World) -> None:
    customer = await sign_up(world)
    await make_meter(world, "pages", source="downloads", property="pages")
    await customer.record(*(event(f"k-{n}", n + 1, "downloads", at(minutes=-(n % 7) * 10)) for n in range(25)))
    page = """query ($id: ID, $meter: String!, $after: String) {
        usageEvents(tenantId: $id, meter: $meter, first: 10, after: $after) {
            edges { node { idempotencyKey meter quantity occurredAt } } pageInfo { hasNextPage endCursor } } }"""
    found: list[Json] = []
    has_more, after = True, None
    while has_more:
        shown = (await customer.api.ask(page, id=customer.id, meter="pages", after=after))["usageEvents"]
        found += [edge["node"] for edge in shown["edges"]]
        has_more, after = shown["pageInfo"]["hasNextPage"], shown["pageInfo"]["endCursor"]
    assert len({node["idempotencyKey"] for node in found}) == 25
    assert [node["occurredAt"] for node in found] == sorted(node["occurredAt"] for node in found)
    assert {node["meter"] for node in found} == {"downloads"}
    for meter, code in (("seats", "INVALID_INPUT"), ("nothing", "INVALID_INPUT")):
        answer = await customer.api.post(page, id=customer.id, meter=meter)
        assert answer["errors"][0]["extensions"]["code"] == code
    for wrong in (
        "x",
        "MSAy",
        "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5IHg",
        "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5IDAxOTQwMDAwLTAwMDAtNzAwMC04MDAwLTAwMDAwMDAwMDAwMA",
    ):
        answer = await customer.api.post(page, id=customer.id, meter="pages", after=wrong)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_level_that_is_reported_late_is_billed_in_every_period_that_it_was_carried_into(world: World) -> None:
    await make_meter(world, "devices", "LATEST")
    customer = await sign_up(world, price("devices", "per-document", unitPrice="1.00"))
    await customer.record(event("a", 3, "devices"))
    for month, total in ((4, "3.00"), (5, "3.00")):
        await world.travel_to(datetime(2026, month, 10, 2, tzinfo=UTC))
        assert (await customer.close())["invoice"]["total"]["amount"] == total
    await customer.record(event("b", 10, "devices", "2026-03-20T00:00:00Z"))
    await world.travel_to(datetime(2026, 6, 10, 2, tzinfo=UTC))
    invoice = (await customer.close())["invoice"]
    assert [(line["kind"], line["amount"]["amount"]) for line in invoice["lines"]] == [
        ("USAGE", "10.00"),
        ("ADJUSTMENT", "7.00"),
        ("ADJUSTMENT", "7.00"),
    ]
    await world.travel_to(datetime(2026, 7, 10, 2, tzinfo=UTC))
    assert (await customer.close())["invoice"]["total"]["amount"] == "10.00"
