"""Alerts: each threshold is told once, however often and from wherever it is crossed."""

import asyncio
import json
import logging
from datetime import timedelta
from typing import Any

import pytest

from tests.services.credit_steps import alerts, correct, give, upload
from tests.services.steps import (
    Customer,
    Json,
    do,
    event,
    make_plan,
    price,
    problems,
    provision,
    quota,
    refused,
    sign_up,
)
from tests.world import START, World

pytestmark = pytest.mark.anyio

DOWNLOADS = price("downloads", "per-document", unitPrice="1.00")


def limit(units: int = 10, **more: Any) -> Json:
    return {**quota("downloads", "SOFT", units), **more}


async def told(customer: Customer) -> list[tuple[str, str | None, int, str]]:
    return await alerts(customer.api, customer.id)


async def set_budget(customer: Customer, amount: str | None, **more: Any) -> Json:
    selection = "subscription { budget { amount { amount currency } alertsAt } }"
    return await do(customer.api, "setBudget", selection, tenantId=customer.id, amount=amount, **more)


class Heard:
    """What the built-in plugin `event-log` has written."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    async def of(self, kind: str, count: int) -> list[Json]:
        """At least so many events of that kind, in order; plugins are told beside everything else."""
        async with asyncio.timeout(10):
            while len(events := self._events(kind)) < count:  # noqa: ASYNC110 - they come by the log
                await asyncio.sleep(0.001)
        return events

    def _events(self, kind: str) -> list[Json]:
        lines = [record.getMessage() for record in self._caplog.records if record.name == "inkmeter.events"]
        return [event for line in lines if (event := json.loads(line))["event"] == kind]


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Heard:
    caplog.set_level(logging.INFO, "inkmeter.events")
    return Heard(caplog)


async def test_each_threshold_is_told_once(world: World, heard: Heard) -> None:
    customer = await sign_up(world, DOWNLOADS, quotas=[limit()])
    await customer.record(event("a", 4, "downloads"))
    assert await told(customer) == []
    await customer.record(event("b", 1, "downloads"))
    assert await told(customer) == [("QUOTA", "downloads", 50, "5 of 10")]
    await customer.record(event("b", 1, "downloads"))
    await customer.record(event("c", 6, "downloads"))
    expected = [
        ("QUOTA", "downloads", 50, "5 of 10"),
        ("QUOTA", "downloads", 80, "11 of 10"),
        ("QUOTA", "downloads", 100, "11 of 10"),
    ]
    assert await told(customer) == expected
    await customer.record(event("d", 6, "downloads"))
    assert await told(customer) == expected
    crossed = await heard.of("ThresholdCrossed", 3)
    assert [(e["kind"], e["meter"], e["percent"], e["value"], e["bound"]) for e in crossed] == [
        ("QUOTA", "downloads", 50, 5, 10),
        ("QUOTA", "downloads", 80, 11, 10),
        ("QUOTA", "downloads", 100, 11, 10),
    ]
    assert {e["tenant_id"] for e in crossed} == {str(customer.tenant.public_id)}


async def test_a_threshold_that_is_crossed_again_after_a_correction_is_not_told_again(world: World) -> None:
    customer = await sign_up(world, DOWNLOADS, quotas=[limit()])
    await customer.record(event("a", 5, "downloads"))
    assert await correct(customer, "a", None) is True
    await customer.record(event("b", 5, "downloads"))
    assert await told(customer) == [("QUOTA", "downloads", 50, "5 of 10")]


async def test_each_period_is_told_anew(world: World) -> None:
    customer = await sign_up(world, DOWNLOADS, quotas=[limit(alertsAt=[100, 200])])
    await customer.record(event("a", 20, "downloads"))
    world.clock.travel_to(START + timedelta(days=31))
    await customer.record(event("b", 10, "downloads"))
    percents = [(percent, value) for _, _, percent, value in await told(customer)]
    assert percents == [(100, "20 of 10"), (200, "20 of 10"), (100, "10 of 10")]


async def test_many_at_once_tell_once(world: World, heard: Heard) -> None:
    customer = await sign_up(world, DOWNLOADS, quotas=[limit(20)])
    await asyncio.gather(*(customer.record(event(f"k{n}", 1, "downloads")) for n in range(40)))
    assert [(kind, percent) for kind, _, percent, _ in await told(customer)] == [
        ("QUOTA", 50),
        ("QUOTA", 80),
        ("QUOTA", 100),
    ]
    assert [e["percent"] for e in await heard.of("ThresholdCrossed", 3)] == [50, 80, 100]


async def test_credits_that_run_low_are_told_since_the_last_grant(world: World) -> None:
    customer = await sign_up(world, DOWNLOADS, quotas=[{**limit(0), "policy": "HARD", "alertsAt": [50, 100]}])
    await give(customer, 10)
    await customer.record(event("a", 5, "downloads"))
    assert await told(customer) == [("CREDITS", "downloads", 50, "5 of 10")]
    world.clock.travel_to(START + timedelta(hours=1))
    await give(customer, 15, key="more")
    await customer.record(event("b", 10, "downloads"))
    await customer.record(event("c", 10, "downloads"))
    assert await told(customer) == [
        ("CREDITS", "downloads", 50, "5 of 10"),
        ("CREDITS", "downloads", 50, "10 of 20"),
        ("CREDITS", "downloads", 100, "20 of 20"),
    ]


async def test_a_budget_is_told_in_money(world: World) -> None:
    customer = await sign_up(world, DOWNLOADS)
    own = Customer(world, customer.tenant, await customer.own_api())
    made = await set_budget(own, "10.00", alertsAt=[50, 150])
    shown = {"amount": {"amount": "10.00", "currency": "USD"}, "alertsAt": [50, 150]}
    assert made == {"subscription": {"budget": shown}, "userErrors": []}
    await customer.record(event("a", 4, "downloads"))
    assert await told(customer) == []
    await customer.record(event("b", 5, "downloads"))
    assert await told(customer) == [("SPEND", None, 50, "9.00 of 10.00")]
    await customer.record(event("c", 100, "downloads"))
    assert await told(own) == [("SPEND", None, 50, "9.00 of 10.00"), ("SPEND", None, 150, "109.00 of 10.00")]


async def test_a_budget_is_removed(world: World) -> None:
    customer = await sign_up(world, DOWNLOADS)
    await set_budget(customer, "10.00")
    assert (await set_budget(customer, None))["subscription"] == {"budget": None}
    await customer.record(event("a", 100, "downloads"))
    assert await told(customer) == []


async def test_a_budget_is_a_sum_of_money(world: World) -> None:
    customer = await sign_up(world, DOWNLOADS)
    for amount in ("0.00", "-1.00", "1.001", "99999999999999999999"):
        assert list(problems(await set_budget(customer, amount))) == ["amount"], amount
    for percents in ([0], [1001], [80, 50]):
        assert list(problems(await set_budget(customer, "1.00", alertsAt=percents))) == ["alertsAt"]
    assert refused(await set_budget(await provision(world, "bolt"), "1.00"))["__typename"] == "SubscriptionInactive"


async def test_alerts_are_paged_and_found_by_their_ids(world: World) -> None:
    customer = await sign_up(world, DOWNLOADS, quotas=[limit()])
    await customer.record(event("a", 10, "downloads"))
    page = """query ($id: ID, $after: String) { alerts(tenantId: $id, first: 2, after: $after) {
        edges { node { id percent } } pageInfo { hasNextPage endCursor } } }"""
    first = (await customer.api.ask(page, id=customer.id))["alerts"]
    second = (await customer.api.ask(page, id=customer.id, after=first["pageInfo"]["endCursor"]))["alerts"]
    nodes = [edge["node"] for edge in first["edges"] + second["edges"]]
    assert [node["percent"] for node in nodes] == [50, 80, 100]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    node = "query ($id: ID!) { node(id: $id) { ... on Alert { percent } } }"
    assert await customer.api.ask(node, id=nodes[1]["id"]) == {"node": {"percent": 80}}
    other = await sign_up(world, DOWNLOADS, reference="bolt", code="other")
    stranger = await other.own_api()
    assert await stranger.ask(node, id=nodes[1]["id"]) == {"node": None}
    assert await alerts(stranger, other.id) == []


async def test_plugins_learn_of_automatic_top_ups(world: World, heard: Heard) -> None:
    rule = {"below": 1, "packUnits": 10, "monthlyCap": "9.00"}
    downloads = {**limit(0), "policy": "HARD", "topUpPacks": [{"units": 10, "price": "9.00"}], "autoTopUp": rule}
    customer = await sign_up(world, DOWNLOADS, quotas=[downloads])
    await customer.record(event("a", 1, "downloads"))
    [bought] = await heard.of("CreditsToppedUp", 1)
    assert (bought["meter"], bought["units"]) == ("downloads", 10)
    assert bought["price"] == {"minor": 900, "currency": "USD"}


async def test_plugins_learn_of_upgrades(world: World, heard: Heard) -> None:
    created = quota("documents_created", "AUTO_UPGRADE", 0)
    above = await make_plan(world, DOWNLOADS, code="above")
    below = await make_plan(world, DOWNLOADS, code="below", quotas=[created], successorId=above)
    customer = await provision(world)
    await customer.subscribe(below)
    assert (await upload(customer, "a"))["decision"]["reason"] == "UPGRADED"
    [upgraded] = await heard.of("PlanUpgraded", 1)
    assert (upgraded["meter"], upgraded["from_plan"], upgraded["to_plan"]) == ("documents_created", "below", "above")
