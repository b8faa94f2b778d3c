"""correctUsage: an event is taken back once, whole, and another may take its place."""

from datetime import timedelta
from typing import Any

import pytest

from services import usage
from services.usage import NewEvent
from storage.usage import UsageEvent
from tests.services.steps import Customer, Json, do, event, make_meter, problems, refused, sign_up, sums
from tests.world import START, World

pytestmark = pytest.mark.anyio
RESULTS = "results { idempotencyKey status userError { __typename code message path } }"


def correction(event_key: str, quantity: Any = None, key: str = "c", **more: Any) -> Json:
    return {"eventKey": event_key, "idempotencyKey": key, "quantity": quantity, **more}


async def correct(customer: Customer, *corrections: Json) -> list[Json]:
    answer = await do(customer.world.operator, "correctUsage", RESULTS, tenantId=customer.id, corrections=corrections)
    assert answer["userErrors"] == []
    return list(answer["results"])


async def statuses(customer: Customer, *corrections: Json) -> list[str]:
    return [result["status"] for result in await correct(customer, *corrections)]


async def agree(customer: Customer) -> None:
    """The counters are what the events come to."""
    report = await do(
        customer.world.operator,
        "rebuildCounters",
        "report { differences { meter sum stored expected } }",
        tenantId=customer.id,
        check=True,
    )
    assert report["report"] == {"differences": []}


async def test_an_event_is_corrected_once(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("a", 10), event("b", 5), event("c", 1))
    done = [
        correction("a", 4, "one", reason="counted twice"),
        correction("b", None, "two"),
        correction("c", 0, "three"),
    ]
    assert await statuses(customer, *done) == ["CORRECTED"] * 3
    assert await sums(customer) == {"invites_sent": "4"}
    assert await statuses(customer, *done) == ["DUPLICATE"] * 3
    answers = await correct(
        customer,
        correction("a", 3, "one"),
        correction("b", None, "one"),
        correction("a", 7, "again"),
        correction("correction:one", 1, "of a correction"),
        correction("nothing", 1, "of nothing"),
        correction("c", 1, "op:mine"),
        correction("replacement:one", 2, "four"),
    )
    assert [(a["status"], (a["userError"] or {}).get("__typename")) for a in answers] == [
        ("REFUSED", "Conflict"),
        ("REFUSED", "Conflict"),
        ("REFUSED", "Conflict"),
        ("REFUSED", "Conflict"),
        ("REFUSED", "NotFound"),
        ("REFUSED", "InvalidInput"),
        ("CORRECTED", None),
    ]
    assert answers[2]["userError"]["path"] == ["corrections", "2", "eventKey"]
    assert await sums(customer) == {"invites_sent": "2"}
    await agree(customer)
    listed = await customer.api.ask(
        """query ($id: ID) { usageEvents(tenantId: $id, meter: "invites_sent") { edges { node {
            idempotencyKey quantity reverses reversedBy note source } } } }""",
        id=customer.id,
    )
    shown = {e["node"].pop("idempotencyKey"): tuple(e["node"].values()) for e in listed["usageEvents"]["edges"]}
    assert shown == {
        "a": ("10", None, "correction:one", None, "api"),
        "b": ("5", None, "correction:two", None, "api"),
        "c": ("1", None, "correction:three", None, "api"),
        "correction:one": ("-10", "a", None, "counted twice", "correction"),
        "replacement:one": ("4", None, "correction:four", "counted twice", "correction"),
        "correction:two": ("-5", "b", None, None, "correction"),
        "correction:three": ("-1", "c", None, None, "correction"),
        "correction:four": ("-4", "replacement:one", None, None, "correction"),
        "replacement:four": ("2", None, None, None, "correction"),
    }


async def test_corrections_reach_every_meter_that_was_fed(world: World) -> None:
    customer = await sign_up(world)
    for code, aggregation, more in (
        ("calls", "COUNT", {}),
        ("people", "UNIQUE", {"property": "who"}),
        ("largest", "MAX", {}),
        ("eu", "SUM", {"filters": [{"property": "region", "values": ["eu"]}]}),
        ("now", "LATEST", {}),
    ):
        await make_meter(world, code, aggregation, source="invites_sent", **more)
    await world.work()
    await customer.record(
        event("a", 3, properties={"who": "ann", "region": "eu"}),
        event("b", 9, properties={"who": "bob", "region": "eu"}),
        event("c", 4, properties={"who": "ann", "region": "us"}),
    )
    before = {"invites_sent": "16", "calls": "3", "people": "2", "largest": "9", "eu": "12", "now": "4"}
    assert await sums(customer) == before
    await statuses(customer, correction("b", 2, "one", properties={"who": "ann", "region": "us"}))
    after = {"invites_sent": "9", "calls": "3", "people": "1", "largest": "4", "eu": "3", "now": "2"}
    assert await sums(customer) == after
    await agree(customer)
    await statuses(customer, correction("replacement:one", None, "two"))
    assert await sums(customer) == {**after, "invites_sent": "7", "calls": "2", "now": "4"}
    await agree(customer)


async def test_what_replaces_an_event_obeys_the_same_rules(world: World) -> None:
    customer = await sign_up(world)
    await make_meter(world, "gigabytes", decimals=2)
    await make_meter(world, "pages", property="pages")
    await customer.record(event("a", "1.25", "gigabytes"), event("b", 1, "pages", properties={"pages": 3}))
    told = [
        a["userError"]["message"]
        for a in await correct(
            customer,
            correction("a", "1.255", "1"),
            correction("a", -1, "2"),
            correction("b", 1, "3", properties={"other": "x"}),
            correction("b", 1, "4", properties={"pages": "many"}),
            correction("b", 1, "5", properties={"pages": 1.5}),
            correction("b", None, "6", properties={"pages": 1}),
            correction("a", 1, "7", reason="x" * 501),
        )
    ]
    assert [message.partition(":")[0] for message in told] == [
        "corrections.0.quantity",
        "corrections.1.quantity",
        "corrections.2.properties.pages",
        "corrections.3.properties.pages",
        "corrections.4.properties.pages",
        "corrections.5.properties",
        "corrections.6.reason",
    ]
    assert await statuses(
        customer, correction("a", "0.75", "8"), correction("b", 1, "9", properties={"pages": "4"})
    ) == [
        "CORRECTED",
        "CORRECTED",
    ]
    assert await sums(customer) == {"gigabytes": "0.75", "pages": "4"}
    await agree(customer)


async def test_only_the_operator_corrects_and_only_the_tenants_own(world: World) -> None:
    customer, other = await sign_up(world), await sign_up(world, reference="bolt", code="bolt")
    await customer.record(event("a", 10))
    own = await customer.own_api()
    answer = await do(own, "correctUsage", RESULTS, tenantId=customer.id, corrections=[correction("a")])
    assert refused(answer)["__typename"] == "NotPermitted"
    [foreign] = await correct(other, correction("a"))
    assert foreign["userError"]["__typename"] == "NotFound"
    assert await UsageEvent.filter(tenant_id__in=[customer.tenant.id, other.tenant.id]).count() == 1
    for count in (0, 1001):
        wanted = [correction("a", key=f"c{n}") for n in range(count)]
        answer = await do(world.operator, "correctUsage", RESULTS, tenantId=customer.id, corrections=wanted)
        assert list(problems(answer)) == ["corrections"]


async def test_what_an_operation_counted_can_be_corrected(world: World) -> None:
    customer = await sign_up(world)
    await customer.send(1)
    [counted] = await UsageEvent.filter(tenant_id=customer.tenant.id, meter="invites_sent")
    assert await statuses(customer, correction(counted.idempotency_key)) == ["CORRECTED"]
    assert "invites_sent" not in await sums(customer)
    assert sum(e.upstream_units for e in await UsageEvent.filter(tenant_id=customer.tenant.id)) == 1
    await agree(customer)


async def test_a_correction_in_a_closed_period_is_billed_with_the_next(world: World) -> None:
    customer = await sign_up(world)
    await usage.record_usage(world.platform, customer.tenant, [NewEvent("invites_sent", 10, "a")])
    await world.travel_to(START + timedelta(days=31))
    assert (await customer.close())["invoice"]["total"]["amount"] == "20.00"
    assert await statuses(customer, correction("a", 4)) == ["CORRECTED"]
    assert await sums(customer, at=START.isoformat()) == {"invites_sent": "4"}
    await agree(customer)
    await world.travel_to(START + timedelta(days=62))
    invoice = (await customer.close())["invoice"]
    assert [(line["kind"], line["amount"]["amount"]) for line in invoice["lines"]][-1] == ("ADJUSTMENT", "-12.00")


@pytest.mark.parametrize("is_closed", [False, True])
async def test_meters_that_are_younger_than_the_event(world: World, is_closed: bool) -> None:
    """What they never counted cannot be taken from them; in an open period they are counted anew soon after."""
    customer = await sign_up(world)
    facts = {"who": "ann", "pages": 7}
    await customer.record(event("a", 3, properties=facts), event("b", 4, properties=facts), event("c", 1))
    if is_closed:
        await world.travel_to(START + timedelta(days=31))
        await customer.close()
    await make_meter(world, "invite_calls", "COUNT", source="invites_sent")
    await make_meter(world, "people", "UNIQUE", source="invites_sent", property="who")
    await make_meter(world, "largest", "MAX", source="invites_sent", property="pages")
    await make_meter(world, "pages", source="invites_sent", property="pages")
    if is_closed:
        await world.work()
    assert await statuses(customer, correction("a"), correction("c", 2, "d")) == ["CORRECTED"] * 2
    at = {"at": START.isoformat()}
    if not is_closed:
        await world.work()
        expected = {"invite_calls": "2", "people": "1", "largest": "7", "pages": "7"}
        assert await sums(customer, **at) == {"invites_sent": "6", **expected}
    assert (await sums(customer, **at))["invites_sent"] == "6"
    await agree(customer)
    assert await statuses(customer, correction("b", None, "e")) == ["CORRECTED"]
    await agree(customer)
