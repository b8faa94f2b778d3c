"""Billing meters in the sandbox: what is answered at once, what is found later, and what a cycle bills."""

from datetime import timedelta
from typing import Any

import pytest

from integrations.stripe.gateway import StripeGateway
from tests.integrations.stripe.conftest import START, World

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


async def a_meter(world: World, formula: str = "sum") -> dict[str, Any]:
    terms = {"display_name": "Sent", "event_name": "sent", "default_aggregation[formula]": formula}
    return await world.post("/v1/billing/meters", **terms)


async def a_subscription(world: World, meter: dict[str, Any], **price: Any) -> dict[str, Any]:
    """Of a new customer to one metered price."""
    customer = await world.post("/v1/customers", email="a@b.test")
    product = await world.post("/v1/products", name="Sent")
    terms = {"recurring[interval]": "month", "recurring[usage_type]": "metered", "recurring[meter]": meter["id"]}
    made = await world.post("/v1/prices", product=product["id"], currency="usd", **terms, **price)
    return await world.post("/v1/subscriptions", customer=customer["id"], **{"items[0][price]": made["id"]})


def an_event(customer: str, value: str, identifier: str, **more: Any) -> dict[str, Any]:
    payload = {"payload[stripe_customer_id]": customer, "payload[value]": value}
    return {"event_name": "sent", "identifier": identifier, **payload, **more}


async def summed(world: World, meter: dict[str, Any], customer: str, **more: Any) -> list[float]:
    day = int(START.timestamp()) // 86_400 * 86_400
    query = {"customer": customer, "start_time": day - 40 * 86_400, "end_time": day + 3 * 86_400, **more}
    found = await world.get(f"/v1/billing/meters/{meter['id']}/event_summaries", **query)
    return [summary["aggregated_value"] for summary in found["data"]]


@pytest.mark.parametrize(("formula", "total"), [("sum", 7.5), ("count", 2), ("last", 3)])
async def test_events_are_counted_some_time_later(world: World, formula: str, total: float) -> None:
    meter = await a_meter(world, formula)
    customer = (await a_subscription(world, meter, unit_amount="10"))["customer"]
    await world.post("/v1/billing/meter_events", **an_event(customer, "4.5", "a"))
    await world.post("/v1/billing/meter_events", **an_event(customer, "3", "b"))
    assert await summed(world, meter, customer) == []
    await world.travel(START + timedelta(minutes=2))
    assert await summed(world, meter, customer) == [total]
    assert await summed(world, meter, customer, value_grouping_window="day") == [total]


async def test_an_identifier_is_taken_for_a_day(world: World) -> None:
    meter = await a_meter(world)
    customer = (await a_subscription(world, meter, unit_amount="10"))["customer"]
    await world.post("/v1/billing/meter_events", **an_event(customer, "1", "a"))
    again = await world.refused("POST", "/v1/billing/meter_events", **an_event(customer, "1", "a"))
    assert again["param"] == "identifier"
    await world.travel(START + DAY)
    await world.post("/v1/billing/meter_events", **an_event(customer, "1", "a"))
    await world.travel(START + DAY + timedelta(minutes=2))
    assert await summed(world, meter, customer) == [2]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"payload[stripe_customer_id]": "cus_nobody"}, "meter_event_customer_not_found"),
        ({"payload[value]": "many"}, "meter_event_invalid_value"),
        ({"timestamp": int((START - 36 * DAY).timestamp())}, "timestamp_too_far_in_past"),
        ({"timestamp": int((START + DAY).timestamp())}, "timestamp_in_future"),
        ({"event_name": "unheard_of"}, "no_meter"),
    ],
)
async def test_errors_come_later_in_a_thin_event(world: World, gateway: StripeGateway, changed: Any, code: str) -> None:
    meter = await a_meter(world)
    customer = (await a_subscription(world, meter, unit_amount="10"))["customer"]
    await world.post("/v1/billing/meter_events", **{**an_event(customer, "1", "a"), **changed})
    await world.travel(START + timedelta(minutes=2))
    [event_id] = (await world.http.get("/_sandbox/thin_events")).json()["ids"]
    failed = await gateway.failed_reports(event_id)
    assert (failed.codes, failed.count) == ({"a": code}, 1)
    assert await summed(world, meter, customer) == []


async def test_a_meter_that_is_archived_counts_nothing(world: World) -> None:
    meter = await a_meter(world)
    customer = (await a_subscription(world, meter, unit_amount="10"))["customer"]
    assert (await world.post(f"/v1/billing/meters/{meter['id']}/deactivate"))["status"] == "inactive"
    await world.refused("POST", f"/v1/billing/meters/{meter['id']}/deactivate")
    await world.post("/v1/billing/meter_events", **an_event(customer, "1", "a"))
    await world.travel(START + timedelta(minutes=2))
    assert await summed(world, meter, customer) == []
    assert len((await world.http.get("/_sandbox/thin_events")).json()["ids"]) == 1


async def test_an_event_can_be_cancelled_for_a_day(world: World) -> None:
    meter = await a_meter(world)
    customer = (await a_subscription(world, meter, unit_amount="10"))["customer"]
    for identifier in ("a", "b"):
        await world.post("/v1/billing/meter_events", **an_event(customer, "1", identifier))
    order = {"event_name": "sent", "type": "cancel"}
    await world.post("/v1/billing/meter_event_adjustments", **order, **{"cancel[identifier]": "a"})
    await world.refused("POST", "/v1/billing/meter_event_adjustments", **order, **{"cancel[identifier]": "a"})
    await world.travel(START + DAY)
    await world.refused("POST", "/v1/billing/meter_event_adjustments", **order, **{"cancel[identifier]": "b"})
    assert await summed(world, meter, customer) == [1]


TIERS = {
    "billing_scheme": "tiered",
    "tiers[0][up_to]": 3,
    "tiers[0][unit_amount]": 0,
    "tiers[1][up_to]": "inf",
    "tiers[1][unit_amount_decimal]": "45.5",
}


@pytest.mark.parametrize(
    ("price", "amount"),
    [
        ({"unit_amount": 10}, 80),
        ({"tiers_mode": "graduated", **TIERS}, 228),
        ({"tiers_mode": "volume", **TIERS}, 364),
        ({"unit_amount": 50, "transform_quantity[divide_by]": 5, "transform_quantity[round]": "up"}, 100),
        ({"unit_amount": 50, "transform_quantity[divide_by]": 5, "transform_quantity[round]": "down"}, 50),
    ],
)
async def test_a_cycle_bills_what_was_reported_within_its_grace(world: World, price: Any, amount: int) -> None:
    meter = await a_meter(world)
    subscription = await a_subscription(world, meter, **price)
    customer, end = subscription["customer"], subscription["items"]["data"][0]["current_period_end"]
    await world.post("/v1/billing/meter_events", **an_event(customer, "5", "a"))
    await world.travel(START + 28 * DAY + timedelta(minutes=5))
    late = {"timestamp": end - 60}
    await world.post("/v1/billing/meter_events", **an_event(customer, "3", "b", **late))
    await world.travel(START + 28 * DAY + timedelta(minutes=30))
    [draft] = [i for i in (await world.books())["invoice"] if i["billing_reason"] == "subscription_cycle"]
    [line] = draft["lines"]["data"]
    assert (draft["status"], line["quantity"], line["amount"], line["period"]["end"]) == ("draft", 8, amount, end)
    await world.post(f"/v1/invoices/{draft['id']}", auto_advance="false")
    await world.travel(START + 28 * DAY + timedelta(hours=2))
    await world.post("/v1/billing/meter_events", **an_event(customer, "9", "c", **late))
    await world.travel(START + 28 * DAY + timedelta(hours=3))
    assert (await world.post(f"/v1/invoices/{draft['id']}/finalize"))["total"] == amount


async def test_usage_below_zero_bills_nothing(world: World) -> None:
    meter = await a_meter(world)
    customer = (await a_subscription(world, meter, unit_amount=10))["customer"]
    await world.post("/v1/billing/meter_events", **an_event(customer, "-5", "a"))
    await world.travel(START + 28 * DAY + timedelta(minutes=5))
    assert [i["total"] for i in (await world.books())["invoice"]] == [0, 0]


async def test_metered_prices_need_an_active_meter(world: World) -> None:
    product = (await world.post("/v1/products", name="Sent"))["id"]
    terms = {"product": product, "currency": "usd", "unit_amount": 10, "recurring[interval]": "month"}
    error = await world.refused("POST", "/v1/prices", **terms, **{"recurring[usage_type]": "metered"})
    assert "must be backed by meters" in error["message"]


async def test_items_are_exchanged_at_once_and_once(world: World, gateway: StripeGateway) -> None:
    subscription = await world.subscribe(0)
    product = (await world.post("/v1/products", name="Seats"))["id"]
    terms = {"product": product, "currency": "usd", "unit_amount": 900, "recurring[interval]": "month"}
    price = (await world.post("/v1/prices", **terms))["id"]
    for quantity in (2, 2, 5):
        await gateway.set_items(subscription["id"], key="items", items={price: quantity})
        assert (await gateway.subscription(subscription["id"])).items == {price: quantity}
    entry = {"items[0][price]": price, "proration_behavior": "none"}
    assert "once" in (await world.refused("POST", f"/v1/subscriptions/{subscription['id']}", **entry))["message"]
