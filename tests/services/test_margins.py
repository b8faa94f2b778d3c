"""The margin report: complete to the cent, whoever comes late, and whatever is asked."""

from datetime import UTC, date, datetime, timedelta

import pytest

from inkmeter import Event, MarginNegative, hookimpl
from plugins.manager import load_plugins
from services import invites, margins, operations, timetable
from services.margin import MarginGroup, Measure
from services.margins import read_margin
from storage.alerts import Alert
from storage.operations import Operation, as_stored
from tests.services.credit_steps import alerts, correct
from tests.services.steps import (
    INVITES,
    Customer,
    event,
    fault,
    make_plan,
    price,
    problems,
    provision,
    refused,
    sign_up,
)
from tests.services.upstream_steps import ROW, brief, margin, record, set_cost
from tests.world import START, World, open_world

pytestmark = pytest.mark.anyio
APRIL = datetime(2026, 4, 10, 12, tzinfo=UTC)
EVER = {"period": {"from": "2026-01-01", "to": "2027-01-01"}}
CHEAP = price("invites_sent", "per-document", unitPrice="0.50")


async def two_tenants(world: World) -> tuple[Customer, Customer]:
    """acme pays 2.00 an invite and sends three, bolt pays 0.50 and sends one."""
    acme = await sign_up(world, INVITES)
    bolt = await sign_up(world, CHEAP, reference="bolt", code="cheap")
    for number in range(3):
        await acme.send(number)
    await bolt.send(1)
    return acme, bolt


async def test_a_running_month_shows_what_is_known(world: World) -> None:
    await two_tenants(world)
    table = await margin(world)
    assert [brief(row) for row in table["rows"]] == [
        ("acme Inc", "6.00", "0.00", "0.00", "4.50", "1.50"),
        ("bolt Inc", "0.50", "0.00", "0.00", "1.50", "-1.00"),
    ]
    [total] = table["totals"]
    assert brief(total) == (None, "6.50", "0.00", "0.00", "6.00", "0.50")
    assert (total["unitsSold"], total["unitsBought"], total["declared"]["percent"]) == ("4", "4", "7.69")
    assert total["actual"] is None
    assert [row["declared"]["percent"] for row in table["rows"]] == ["25.00", "-200.00"]


async def test_what_is_closed_and_paid_is_billed_and_collected(world: World) -> None:
    acme, bolt = await two_tenants(world)
    await world.travel_to(APRIL)
    await acme.close()
    await bolt.close()
    await world.work()
    await world.travel_to(APRIL + timedelta(hours=3))
    await world.work()
    assert [invoice["state"] for invoice in await acme.invoices()] == ["PAID"]
    for group, names in (
        ("TENANT", ["acme Inc", "bolt Inc"]),
        ("PLAN", ["cheap", "growth"]),
        ("MONTH", ["2026-03"]),
        ("BILLING_MODEL", ["per-document"]),
    ):
        table = await margin(world, group)
        assert [row["name"] for row in table["rows"]] == names
        assert [brief(row) for row in table["totals"]] == [(None, "6.50", "6.50", "6.50", "6.00", "0.50")]
    assert (await margin(world, month="2026-04"))["totals"] == []


async def test_upstream_units_that_come_after_the_close_are_in_the_margin(world: World) -> None:
    """A "no" that turns out to be a "yes" when the period is closed: no invoice has its cost, the margin has."""
    acme = await sign_up(world, INVITES)
    await acme.send("seen")
    document = await acme.document("late", "Late")
    await fault(world.signnow, "timeout_after", on="/document/", method="POST")
    await acme.invite(document, "in-late")
    operation = await Operation.get(kind="INVITE", state="UNKNOWN")
    await operations.give_up(world.platform, as_stored(operation))
    await acme.record(event("elsewhere", 4))
    await world.travel_to(APRIL)
    closed = await acme.close()
    assert closed["invoice"]["upstream"]["units"] == "1"
    await invites.finish_invite(world.platform, as_stored(operation), 4)
    await acme.record(event("too late", 2, occurred_at="2026-03-20T00:00:00Z"))
    await correct(acme, "elsewhere", 1)
    [row] = (await margin(world))["rows"]
    assert (row["unitsSold"], row["unitsBought"]) == ("5", "2")
    assert brief(row) == ("acme Inc", "10.00", "10.00", "0.00", "3.00", "7.00")
    await acme.record(event("later still", 1, occurred_at="2026-03-21T00:00:00Z"))
    [row] = (await margin(world))["rows"]
    assert brief(row) == ("acme Inc", "12.00", "10.00", "0.00", "3.00", "9.00")
    await world.travel_to(datetime(2026, 5, 10, 12, tzinfo=UTC))
    await acme.close()
    [row] = (await margin(world))["rows"]
    assert brief(row) == ("acme Inc", "12.00", "12.00", "0.00", "3.00", "9.00")


async def test_each_cost_has_its_date(world: World) -> None:
    acme = await sign_up(world, INVITES)
    await acme.send("before")
    made = await set_cost(world, "0.80", "2026-03-12T00:00:00Z")
    assert [(rate["kind"], rate["unitCost"]["amount"]) for rate in made["costs"]] == [
        ("FIELD_INVITE", "0.80"),
        ("FREE_FORM_SIGNER", "0.80"),
    ]
    await set_cost(world, "0.30", "2026-03-12T00:00:00Z", "FREE_FORM_SIGNER")
    await world.travel_to(START + timedelta(days=3))
    await acme.send("after")
    document = await acme.document("free", "Free")
    assert (await acme.invite(document, "in-free", kind="FREE_FORM"))["userErrors"] == []
    [row] = (await margin(world))["rows"]
    assert row["declared"]["cost"]["amount"] == "2.60"
    await world.travel_to(APRIL)
    closed = await acme.close()
    assert closed["invoice"]["upstream"]["cost"]["amount"] == "2.60"
    assert refused(await set_cost(world, "-1", "2026-03-12T00:00:00Z"))["__typename"] == "InvalidInput"
    for cost in ("0.001", "10000000.01", "99999999999999999999"):
        assert list(problems(await set_cost(world, cost, "2026-03-12T00:00:00Z"))) == ["unitCost"]


async def test_a_monthly_fee_is_shared_by_units_to_the_cent(world: World) -> None:
    await two_tenants(world)
    third = await sign_up(world, CHEAP, reference="calm", code="calm")
    await third.send(1)
    await set_cost(world, "0", "2026-01-01T00:00:00Z")
    await set_cost(world, "100.01", "2026-03-01T00:00:00Z", "MONTHLY_FEE")
    table = await margin(world)
    costs = [row["declared"]["cost"]["amount"] for row in table["rows"]]
    assert costs == ["60.01", "20.00", "20.00"]
    assert table["totals"][0]["declared"]["cost"]["amount"] == "100.01"
    for group in ("PLAN", "MONTH", "BILLING_MODEL"):
        rows = (await margin(world, group))["rows"]
        assert sum(int(row["declared"]["cost"]["amount"].replace(".", "")) for row in rows) == 10001
    await world.travel_to(datetime(2026, 4, 2, tzinfo=UTC))
    nobody = (await margin(world, month="2026-04"))["rows"]
    assert [(row["tenantId"], row["declared"]["cost"]["amount"]) for row in nobody] == [(None, "100.01")]


async def test_bills_are_shared_out_whole(world: World) -> None:
    await two_tenants(world)
    said = await record(
        world,
        bills=[
            {"number": "INV-1", "period": "2026-03", "amount": "10.01", "currency": "USD"},
            {"number": "INV-2", "period": "2026-01-01/2027-01-01", "amount": "0.02", "currency": "USD"},
            {"number": "INV-3", "period": "2026-02", "amount": "5.00", "currency": "EUR"},
        ],
    )
    assert said["recorded"] == {"new": 3, "corrected": 0, "unchanged": 0}
    for group in ("TENANT", "PLAN", "BILLING_MODEL", "MONTH"):
        table = await margin(world, group, **EVER)
        assert {t["currency"]: t["actual"]["cost"]["amount"] for t in table["totals"]} == {
            "EUR": "5.00",
            "USD": "10.03",
        }
    rows = (await margin(world))["rows"]
    assert [row["actual"]["cost"]["amount"] for row in rows] == ["7.53", "2.50"]
    assert (await margin(world, currency="EUR"))["rows"] == []
    [unused] = (await margin(world, month="2026-02"))["rows"]
    assert (unused["tenantId"], unused["name"], unused["actual"]["cost"]["amount"]) == (None, None, "5.00")


async def test_months_come_to_the_whole(world: World) -> None:
    acme, _ = await two_tenants(world)
    await set_cost(world, "84.00", "2026-03-01T00:00:00Z", "MONTHLY_FEE")
    await world.travel_to(START + timedelta(days=25))
    await acme.send("early april")
    await world.travel_to(APRIL + timedelta(days=3))
    await world.work()
    await acme.send("second period")
    start, end = date(2026, 1, 1), date(2027, 1, 1)
    whole = await read_margin(world.platform, start, end, MarginGroup.MONTH)
    assert [row.key for row in whole.rows] == ["2026-03", "2026-04"]
    for row in whole.rows:
        first = date.fromisoformat(f"{row.key}-01")
        alone = await read_margin(world.platform, first, date(2026, first.month + 1, 1), MarginGroup.MONTH)
        assert list(alone.rows) == [row]
    [total] = whole.totals
    assert total.money(Measure.DECLARED).minor == 6 * 150 + 2 * 8400
    assert whole.rows[0].units(Measure.BOUGHT) == 5, "what began in March has its April days"


async def test_no_currency_is_added_to_another(world: World) -> None:
    euro = await sign_up(world, INVITES, currency="EUR", code="euro")
    await euro.send(1)
    rows = (await margin(world))["rows"]
    assert [(row["currency"], row["alsoIn"], brief(row)[1:]) for row in rows] == [
        ("EUR", ["USD"], ("2.00", "0.00", "0.00", "0.00", "2.00")),
        ("USD", ["EUR"], ("0.00", "0.00", "0.00", "1.50", "-1.50")),
    ]
    assert [row["declared"]["percent"] for row in rows] == ["100.00", None]
    assert (rows[0]["unitsSold"], rows[1]["unitsBought"]) == ("1", "1")
    await world.travel_to(APRIL)
    await euro.close()
    await world.travel_to(datetime(2026, 5, 12, tzinfo=UTC))
    assert await margins.find_negative_margins(world.platform, "2026-03") == [], "nobody can say"


async def test_a_month_begins_where_its_subscription_is(world: World) -> None:
    customer = await provision(world)
    plan = await make_plan(world, price("invites_sent", "flat", fee="30.00"))
    made = await customer.subscribe(plan, anchorOn="2026-03-01", zone="Europe/Berlin", proration="NONE")
    assert made["userErrors"] == []
    assert (await margin(world, month="2026-02"))["rows"] == []
    assert len((await margin(world))["rows"]) == 1


async def test_what_is_asked_is_checked(world: World) -> None:
    query = (
        f"query ($m: String, $p: MonthsInput) {{ margin(month: $m, period: $p, groupBy: PLAN) {{ rows {{ {ROW} }} }} }}"
    )
    for asked in (
        {},
        {"m": "2026-13"},
        {"m": "2026-3"},
        {"m": "2026-03-01"},
        {"m": "2026-03", "p": {"from": "2026-03-01", "to": "2026-04-01"}},
        {"p": {"from": "2026-03-02", "to": "2026-04-01"}},
        {"p": {"from": "2026-03-01", "to": "2026-03-01"}},
        {"p": {"from": "2026-03-01", "to": "2099-01-01"}},
        {"p": {"from": "9999-11-01", "to": "9999-12-01"}},
    ):
        answer = await world.operator.post(query, **asked)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["INVALID_INPUT"], asked


class Told:
    """Keeps what plugins are told of margins."""

    def __init__(self) -> None:
        self.events: list[MarginNegative] = []

    @hookimpl
    def on_event(self, event: Event) -> None:
        if isinstance(event, MarginNegative):
            self.events.append(event)


async def test_a_negative_margin_is_told_once_and_to_the_operator_alone(database_url: str) -> None:
    told = Told()
    async with open_world(database_url) as world:
        object.__setattr__(world.platform, "plugins", load_plugins(extra=[told]))
        _, bolt = await two_tenants(world)
        assert await margins.find_negative_margins(world.platform, "2026-03") == [], "the month is not over"
        await world.travel_to(datetime(2026, 4, 9, tzinfo=UTC))
        assert await margins.find_negative_margins(world.platform, "2026-03") == [], "the period is not over"
        await margins.schedule_check(world.platform)
        await world.travel_to(APRIL)
        await world.work()
        for day in (1, 2, 3):
            await world.travel_to(APRIL + timedelta(days=day))
            await timetable.run_due_work(world.platform)
        [heard] = told.events
        assert (heard.month, str(heard.revenue), str(heard.cost)) == ("2026-03", "0.50 USD", "1.50 USD")
        assert heard.tenant_id == str(bolt.tenant.public_id)
        months = margins.watched_months(world.platform)
        assert (months[0], months[-1], len(months)) == ("2026-03", "2025-02", 14)
        [alert] = await Alert.filter(kind="MARGIN")
        assert (alert.tenant_id, alert.percent, alert.value, alert.bound) == (bolt.tenant.id, 100, 150, 50)
        assert [kind for kind, *_ in await alerts(world.operator, bolt.id)] == ["MARGIN"]
        own = await bolt.own_api()
        assert await alerts(own, bolt.id) == []
        node = "query ($id: ID!) { node(id: $id) { id } }"
        listed = "query ($t: ID) { alerts(tenantId: $t) { edges { node { id spent { amount } budget { amount } } } } }"
        [edge] = (await world.operator.ask(listed, t=bolt.id))["alerts"]["edges"]
        assert (edge["node"]["spent"], edge["node"]["budget"]) == ({"amount": "1.50"}, {"amount": "0.50"})
        assert (await own.ask(node, id=edge["node"]["id"]))["node"] is None
        assert (await world.operator.ask(node, id=edge["node"]["id"]))["node"] is not None
