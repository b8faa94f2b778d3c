"""The margin is read in slices: the same for any size of them, in as many queries for many tenants as for few."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from services import margin_entries, margins, periods
from services.discounts import ApplyDiscount, apply_discount
from services.margin import Entry, MarginGroup
from services.period_facts import facts_of, read_facts
from services.platform import Platform
from storage import levels, subscriptions
from storage.subscriptions import Period, Subscription, phases_of_many
from tests.counting_queries import counted
from tests.services.steps import INVITES, Customer, do, event, make_meter, price, sign_up
from tests.services.upstream_steps import record, set_cost
from tests.world import START, World

pytestmark = pytest.mark.anyio
FIRST = date(2026, 3, 1)
END = date(2026, 8, 1)
PRICES = (
    INVITES,
    price("seats", "per-seat", seatPrice="9.00"),
    price("gigabytes", "metered", unitPrice="0.07"),
    price("devices", "metered", unitPrice="0.11"),
    price("eu", "metered", unitPrice="0.13"),
    price("heat", "metered", unitPrice="0.17"),
)


async def settle(world: World) -> None:
    """Meters of every kind that have no counter, a monthly fee, and a bill over several months."""
    await make_meter(world, "gigabytes", "TIME_WEIGHTED", decimals=6)
    await make_meter(world, "devices", "LATEST", source="gigabytes")
    await make_meter(
        world, "eu", "LATEST", source="gigabytes", filters=[{"property": "region", "values": ["eu", "uk"]}]
    )
    await make_meter(world, "heat", "TIME_WEIGHTED", source="gigabytes", property="degrees")
    await world.work()
    await set_cost(world, "84.01", "2026-03-01T00:00:00Z", "MONTHLY_FEE")
    bill = {"number": "INV-1", "period": "2026-02-01/2026-09-01", "amount": "10.01", "currency": "USD"}
    await record(world, bills=[bill])


async def add_tenant(world: World, number: int) -> Customer:
    """A tenant with usage, levels that change, other seats later, and discounts, some of which are used up."""
    customer = await sign_up(world, *PRICES, reference=f"tenant-{number}", seats=number % 3 + 1)
    await customer.send(number)
    await customer.record(
        event("a", 30 + number, "gigabytes", "2026-03-10T00:00:00Z", {"region": "eu", "degrees": "21"}),
        event("b", 90, "gigabytes", "2026-03-10T04:00:00Z", {"region": "us", "degrees": "cold"}),
        event("c", 7, "gigabytes", "2026-03-10T06:00:00Z", {"region": "uk"}),
        event("d", 5, "gigabytes", "2026-03-10T06:00:00Z", {"degrees": str(number)}),
        event("e", 4, "gigabytes", "2026-03-10T07:00:00Z", {"degrees": "warm"}),
        event("f", 11 + number),
    )
    wanted = [{"eventKey": "d", "idempotencyKey": "not-d"}] if number % 2 else []
    if wanted:
        await do(world.operator, "correctUsage", "results { status }", tenantId=customer.id, corrections=wanted)
    for key, percent, count in (("once", 10, 1), ("thrice", 7, 3), ("always", 3, None)):
        command = ApplyDiscount(customer.tenant, key, key, percent=Decimal(percent + number), periods=count)
        await apply_discount(world.platform, command)
    return customer


async def open_periods(world: World, customer: Customer, months: int) -> None:
    """Periods to come, which the report shows as they are now."""
    for month in range(1, months + 1):
        await periods.ensure_period(world.platform, customer.tenant.id, START + timedelta(days=31 * month))


async def whole(platform: Platform) -> list[Entry]:
    entries = await margin_entries.collect(platform, FIRST, END)
    return sorted(entries, key=lambda e: (str(e.place), e.measure, e.currency))


async def test_queries_grow_neither_with_tenants_nor_with_periods(world: World) -> None:
    await settle(world)
    await open_periods(world, await add_tenant(world, 1), 1)
    asked = world.platform, FIRST, END, MarginGroup.TENANT
    await margins.read_margin(*asked)  # plans are read once
    with counted() as few:
        report = await margins.read_margin(*asked)
    assert len(report.rows) == 1
    for number in range(2, 7):
        await open_periods(world, await add_tenant(world, number), 4)
    with counted() as many:
        report = await margins.read_margin(*asked)
    assert len(report.rows) == 6
    assert len(many) <= len(few), [query[:60] for query in many]
    assert 10 < len(few) < 40


async def test_a_daily_look_needs_no_more_queries_for_more_tenants(world: World) -> None:
    await add_tenant_without_meters(world, 1)
    await world.travel_to(datetime(2026, 4, 2, tzinfo=UTC))
    await margins.find_negative_margins(world.platform, "2026-03")
    with counted() as few:
        await margins.find_negative_margins(world.platform, "2026-03")
    for number in (2, 3, 4):
        await add_tenant_without_meters(world, number)
    with counted() as many:
        await margins.find_negative_margins(world.platform, "2026-03")
    assert len(many) <= len(few), [query[:60] for query in many]


async def add_tenant_without_meters(world: World, number: int) -> None:
    customer = await sign_up(world, reference=f"tenant-{number}")
    await customer.record(event("a", number))


async def test_slices_of_any_size_come_to_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await settle(world)
    customers = [await add_tenant(world, number) for number in range(1, 5)]
    for customer in customers[1:]:
        await open_periods(world, customer, 3)
    await world.travel_to(datetime(2026, 4, 10, 12, tzinfo=UTC))
    await customers[1].close()
    await customers[2].close()
    await customers[2].record(event("late", 9, occurred_at="2026-03-20T00:00:00Z"))
    at_once = await whole(world.platform)
    assert len({entry.place.tenant_id for entry in at_once}) >= 4
    for size, chunk in ((1, 1), (2, 3), (3, 2), (5, 5)):
        monkeypatch.setattr(subscriptions, "SLICE", size)
        monkeypatch.setattr(levels, "_CHUNK", chunk)
        assert await whole(world.platform) == at_once, size


async def test_the_facts_of_many_periods_are_those_of_each(world: World) -> None:
    """Those of one are what a close bills."""
    await settle(world)
    for number in range(1, 5):
        await open_periods(world, await add_tenant(world, number), number)
    await world.travel_to(datetime(2026, 5, 1, tzinfo=UTC))
    owners = {subscription.id: subscription for subscription in await Subscription.all()}
    known = await phases_of_many(owners.values())
    asked = [(owners[period.subscription_id], period) for period in await Period.all()]
    assert len(asked) == 4 + 1 + 2 + 3 + 4
    facts = await read_facts(world.platform, asked, known)
    for subscription, period in asked:
        assert facts[period.id] == await facts_of(world.platform, subscription, period)
    [first] = [facts[period.id] for _, period in asked if period.tenant_id == asked[0][1].tenant_id][:1]
    assert {code: units for code, units in first.units.items() if units} == {
        "invites_sent": 13,
        "documents_created": 1,
        "api_calls": first.units["api_calls"],
        "gigabytes": first.units["gigabytes"],
        "devices": 4,
        "eu": 7,
        "heat": 21,
        "seats": 2,
    }
    assert [discount.label for discount in first.discounts] == ["once", "thrice", "always"]
