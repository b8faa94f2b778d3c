"""recordUsage: each fact once, each answered by itself."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.services.steps import Customer, event, make_plan, price, problems, provision, refused, sign_up
from tests.services.steps import do as run
from tests.world import START, World

pytestmark = pytest.mark.anyio

METERS = ("invites_sent", "signatures", "downloads", "api_calls", "documents_created")


async def test_a_thousand_events_in_one_call_and_none_of_them_twice(world: World) -> None:
    customer = await sign_up(world)
    events = [event(f"k-{n}", n % 7 + 1, METERS[n % 5]) for n in range(1000)]
    assert {r["status"] for r in await customer.record(*events)} == {"RECORDED"}
    expected = {meter: sum(e["quantity"] for e in events if e["meter"] == meter) for meter in METERS}
    assert await customer.usage() == {meter: (total, 0) for meter, total in expected.items()}
    again = await customer.record(*events[500:], event("one more", 1))
    assert [r["status"] for r in again] == ["DUPLICATE"] * 500 + ["RECORDED"]
    assert (await customer.usage())["invites_sent"] == (expected["invites_sent"] + 1, 0)
    for count in (0, 1001):
        answer = await run(
            world.operator, "recordUsage", "results { status }", tenantId=customer.id, events=[event("x")] * count
        )
        assert list(problems(answer)) == ["events"]


async def test_each_event_is_answered_in_its_place(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("known", 3))
    answers = await customer.record(
        event("good"),
        event("bad", meter="invites"),
        event("seats", meter="seats"),
        event("none", 0),
        event("minus", -1),
        event("many", 10**12 + 1),
        event("most", 10**12, meter="api_calls"),
        event("op:mine"),
        event("signnow:mine"),
        event(""),
        event("k" * 201),
        event("a\nb"),
        event("future", occurred_at="2026-03-10T09:05:01Z"),
        event("skew", occurred_at="2026-03-10T09:05:00Z"),
        event("before", occurred_at="2026-03-09T23:59:59Z"),
        event("ancient", occurred_at="0001-01-01T00:00:00Z"),
        event("known", 3),
        event("known", 4),
        event("known", 3, meter="downloads"),
        event("twice", 2),
        event("twice", 2),
        event("twice", 5),
    )
    shown = [
        (
            a["idempotencyKey"][:8],
            a["status"],
            (a["userError"] or {}).get("__typename"),
            (a["userError"] or {}).get("path"),
        )
        for a in answers
    ]
    wrong = "InvalidInput"
    assert shown == [
        ("good", "RECORDED", None, None),
        ("bad", "REFUSED", wrong, []),
        ("seats", "REFUSED", wrong, []),
        ("none", "REFUSED", wrong, []),
        ("minus", "REFUSED", wrong, []),
        ("many", "REFUSED", wrong, []),
        ("most", "RECORDED", None, None),
        ("op:mine", "REFUSED", wrong, []),
        ("signnow:", "REFUSED", wrong, []),
        ("", "REFUSED", wrong, []),
        ("kkkkkkkk", "REFUSED", wrong, []),
        ("a\nb", "REFUSED", wrong, []),
        ("future", "REFUSED", wrong, []),
        ("skew", "RECORDED", None, None),
        ("before", "REFUSED", "SubscriptionInactive", []),
        ("ancient", "REFUSED", "SubscriptionInactive", []),
        ("known", "DUPLICATE", None, None),
        ("known", "REFUSED", "Conflict", ["events", "17", "idempotencyKey"]),
        ("known", "REFUSED", "Conflict", ["events", "18", "idempotencyKey"]),
        ("twice", "RECORDED", None, None),
        ("twice", "DUPLICATE", None, None),
        ("twice", "REFUSED", "Conflict", ["events", "21", "idempotencyKey"]),
    ]
    assert await customer.usage() == {"invites_sent": (7, 0), "api_calls": (10**12, 0)}


async def test_the_moment_tells_two_facts_apart_where_it_was_given(world: World) -> None:
    customer = await sign_up(world)
    [first] = await customer.record(event("a", occurred_at="2026-03-10T08:00:00.000001Z"))
    assert first["status"] == "RECORDED"
    world.clock.travel_to(START + timedelta(hours=1))
    answers = [
        (await customer.record(event("a", occurred_at=moment)))[0]["status"]
        for moment in ("2026-03-10T09:00:00.000001+01:00", None, "2026-03-10T08:00:00.000002Z")
    ]
    assert answers == ["DUPLICATE", "DUPLICATE", "REFUSED"]
    assert await customer.usage() == {"invites_sent": (1, 0)}


async def test_a_fact_belongs_to_the_period_in_which_it_happened(world: World) -> None:
    world.clock.travel_to(datetime(2026, 1, 31, 12, tzinfo=UTC))
    customer = await sign_up(world, zone="Europe/Berlin")
    world.clock.travel_to(datetime(2026, 4, 15, tzinfo=UTC))
    await customer.record(
        event("first instant", 1, occurred_at="2026-01-30T23:00:00Z"),
        event("last instant", 2, occurred_at="2026-02-27T22:59:59.999999Z"),
        event("the next", 4, occurred_at="2026-02-27T23:00:00Z"),
        event("before the clocks change", 8, occurred_at="2026-03-30T21:59:59Z"),
        event("after them", 16, occurred_at="2026-03-30T22:00:00Z"),
        event("now", 32),
    )
    totals = []
    for _ in range(2):
        closed = await customer.close()
        totals.append(closed["invoice"]["total"]["amount"])
    assert totals == ["6.00", "24.00"]
    assert await customer.usage() == {"invites_sent": (48, 0)}


async def test_batches_at_once_with_the_same_keys_and_meters_in_other_orders(world: World) -> None:
    customer = await sign_up(world)
    events = [event(f"k-{n}", 1, METERS[n % 5]) for n in range(60)]
    batches = [events, events[::-1], events[30:] + events[:30], events[::2] + events[1::2]]
    answers = await asyncio.gather(*(customer.record(*batch) for batch in batches * 2))
    statuses = [r["status"] for answer in answers for r in answer]
    assert statuses.count("RECORDED") == 60
    assert set(statuses) == {"RECORDED", "DUPLICATE"}
    assert await customer.usage() == dict.fromkeys(METERS, (12, 0))


async def test_months_and_meters_at_once_while_signing_goes_on(world: World) -> None:
    """Everything that locks meets: recording for two months, signing, and closing the first of them."""
    prices = [price(meter, "per-document", unitPrice="1.00") for meter in METERS]
    customer = await sign_up(world, *prices)
    await customer.send("march")
    await world.travel_to(START + timedelta(days=40))
    both = [(START, "march"), (START + timedelta(days=35), "april")]
    batches = [
        [
            event(f"{month}-{meter}-{n}", 1, meter, moment.isoformat())
            for moment, month in (both if n % 2 else both[::-1])
            for meter in (METERS if n % 3 else METERS[::-1])
        ]
        for n in range(6)
    ]
    recorded, *_ = await asyncio.gather(
        asyncio.gather(*(customer.record(*batch) for batch in batches)),
        asyncio.gather(*(customer.upload(f"up-{n}") for n in range(3))),
        customer.close(),
    )
    assert all(answer["status"] == "RECORDED" for batch in recorded for answer in batch)
    await world.work()
    await world.travel_to(START + timedelta(days=62))
    await world.work()
    billed = sum(float(i["total"]["amount"]) for i in await customer.invoices())
    signing = 1 + 1 + 5 + 3 + 3  # a document and an invite of March with its calls, then three documents with theirs
    assert billed == 6 * 2 * len(METERS) + signing


async def test_big_numbers_come_either_way(world: World) -> None:
    customer = await sign_up(world)
    mutation = """mutation ($id: ID!, $q: Quantity!) { recordUsage(input: {tenantId: $id, events: [
        {meter: "api_calls", quantity: $q, idempotencyKey: "k"}]}) { results { status } } }"""
    for quantity, status in ((str(2**63), "REFUSED"), (2**63, "REFUSED"), ("1000000000000", "RECORDED")):
        answer = await world.operator.ask(mutation, id=customer.id, q=quantity)
        assert answer["recordUsage"]["results"] == [{"status": status}]
    for wrong in (10**30, "1" * 31, 1.5, "1e3", "", " 1", "1.", "NaN", "Infinity", "0x1", "１", True, None):
        answer = await world.operator.post(mutation, id=customer.id, q=wrong)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_without_a_subscription_nothing_is_recorded(world: World) -> None:
    customer = await provision(world)
    answer = await run(world.operator, "recordUsage", "results { status }", tenantId=customer.id, events=[event("a")])
    assert refused(answer)["__typename"] == "SubscriptionInactive"


async def test_seats_are_shown_as_the_subscription_has_them(world: World) -> None:
    customer = Customer(world, await world.provision(), world.operator)
    plan = await make_plan(world, price("invites_sent", "per-seat", seatPrice="9.00"))
    await customer.subscribe(plan, seats=7)
    query = "query ($id: ID) { usage(tenantId: $id) { meters { meter used } } }"
    meters = (await world.operator.ask(query, id=customer.id))["usage"]["meters"]
    assert {"meter": "seats", "used": "7"} in meters
    assert len(meters) == 7
