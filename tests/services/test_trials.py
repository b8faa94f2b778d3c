"""Trials, fees in advance, discounts, commitments and charges: what each invoice says, and what it would say."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from inkmeter import InvoiceDraft, Line, hookimpl
from plugins.manager import load_plugins
from storage.charges import Charge, ChargeKind
from tests.services.steps import (
    Customer,
    Json,
    do,
    event,
    global_id,
    price,
    problems,
    provision,
    refused,
    stripe_books,
)
from tests.services.terms import (
    FEE,
    SEATS,
    billed,
    cancel,
    change_plan,
    change_seats,
    discount,
    plan_of,
    shown,
    told,
    upcoming,
)
from tests.world import World, open_world

pytestmark = pytest.mark.anyio

APRIL, MAY, JUNE, JULY = (datetime(2026, month, 10, tzinfo=UTC) for month in (4, 5, 6, 7))
HALF = datetime(2026, 4, 25, tzinfo=UTC)


async def join(world: World, plan: str, reference: str = "acme", **terms: object) -> Customer:
    customer = await provision(world, reference)
    joined = await customer.subscribe(plan, **terms)
    assert joined["userErrors"] == []
    return customer


async def close_at(world: World, moment: datetime) -> None:
    """The worker looks when a cycle ends and when it is closed."""
    await world.travel_to(moment)
    await world.work()
    await world.travel_to(moment + timedelta(hours=1))
    await world.work()


async def last(customer: Customer) -> list[tuple[str, str, str]]:
    return told((await billed(customer))[-1])


async def test_a_trial_is_free_and_its_usage_is_counted(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE), trialDays=14)
    found = await shown(customer)
    assert found is not None
    assert (found["trialEndsAt"], found["anchorOn"]) == ("2026-03-24T00:00:00Z", "2026-03-24")
    await customer.record(event("trial", 50))
    assert await customer.usage() == {"invites_sent": (50, 0)}
    assert (await upcoming(customer))["total"]["amount"] == "0.00"
    [mirrored] = (await stripe_books(world))["subscription"]
    assert mirrored["billing_cycle_anchor"] == int(datetime(2026, 3, 24, tzinfo=UTC).timestamp())
    await close_at(world, datetime(2026, 3, 24, tzinfo=UTC))
    [trial] = await billed(customer)
    assert (trial["period"], trial["total"]["amount"], trial["state"], trial["lines"]) == (
        {"start": "2026-03-10T00:00:00Z", "end": "2026-03-24T00:00:00Z"},
        "0.00",
        "PAID",
        [],
    )
    await customer.record(event("first", 3))
    await close_at(world, datetime(2026, 4, 24, tzinfo=UTC))
    assert await last(customer) == [("FEE", "Fee", "60.00"), ("USAGE", "Overage per invite", "4.00")]
    assert (await billed(customer))[-1]["state"] == "PAID"


async def test_late_usage_of_a_trial_is_free_too(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE), trialDays=1)
    await close_at(world, datetime(2026, 3, 11, tzinfo=UTC))
    await customer.record(event("late", 90, occurred_at="2026-03-10T20:00:00Z"))
    await close_at(world, datetime(2026, 4, 11, tzinfo=UTC))
    assert await last(customer) == [("FEE", "Fee", "60.00")]


async def test_a_trial_that_is_longer_than_a_cycle(world: World) -> None:
    """Stripe takes no anchor beyond its next cycle: it counts cycles in the trial, and those are left alone."""
    customer = await join(world, await plan_of(world, FEE), trialDays=75, zone="America/New_York")
    assert len((await stripe_books(world))["subscription"]) == 1
    for moment in (datetime(2026, 3, 24, 4, tzinfo=UTC), datetime(2026, 4, 24, 4, tzinfo=UTC)):
        await close_at(world, moment)
    theirs = (await stripe_books(world))["invoice"]
    assert [(i["auto_advance"], i["total"]) for i in theirs if i["status"] == "draft"] in ([], [(True, 0)])
    await close_at(world, datetime(2026, 5, 24, 4, tzinfo=UTC))
    await close_at(world, datetime(2026, 6, 24, 4, tzinfo=UTC))
    assert [(i["period"]["start"], i["total"]["amount"], i["state"]) for i in await billed(customer)] == [
        ("2026-03-10T04:00:00Z", "0.00", "PAID"),
        ("2026-05-24T04:00:00Z", "60.00", "PAID"),
    ]


async def test_a_trial_may_end_early(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE, fees="ADVANCE"), trialDays=30)
    await customer.record(event("a", 9))
    await cancel(customer, proration="NONE")
    await close_at(world, datetime(2026, 3, 10, 12, tzinfo=UTC))
    assert [(i["kind"], i["total"]["amount"], i["state"]) for i in await billed(customer)] == [
        ("PERIOD", "0.00", "PAID")
    ]
    other = await join(world, await plan_of(world, FEE, code="other"), "bolt", trialDays=30)
    await cancel(other, "PERIOD_END")
    await close_at(world, APRIL - timedelta(days=1))
    await close_at(world, MAY)
    assert [i["total"]["amount"] for i in await billed(other)] == ["0.00"]


async def test_wrong_trials_are_named(world: World) -> None:
    customer, plan = await provision(world), await plan_of(world, FEE)
    assert problems(await customer.subscribe(plan, trialDays=-1)).keys() == {"trialDays"}
    assert problems(await customer.subscribe(plan, trialDays=731)).keys() == {"trialDays"}
    assert problems(await customer.subscribe(plan, trialDays=1, anchorOn="2026-03-10")).keys() == {"anchorOn"}
    first = await customer.subscribe(plan, trialDays=10)
    await world.travel_to(datetime(2026, 3, 12, tzinfo=UTC))
    assert await customer.subscribe(plan, trialDays=10) == first
    assert refused(await customer.subscribe(plan, trialDays=11))["__typename"] == "Conflict"
    assert refused(await customer.subscribe(plan))["__typename"] == "Conflict"


@pytest.mark.parametrize(
    ("proration", "fee"), [(None, "40.00"), ("DAY", "40.00"), ("NONE", "60.00")], ids=["default", "day", "none"]
)
async def test_a_start_within_a_cycle(world: World, proration: str | None, fee: str) -> None:
    """Today is the 11th of 30 days: 20 are left, however late today it is."""
    world.clock.travel_to(datetime(2026, 4, 11, 17, tzinfo=UTC))
    plan = await plan_of(world, FEE)
    more = {"proration": proration} if proration else {}
    customer = await join(world, plan, anchorOn="2026-04-01", **more)
    await close_at(world, datetime(2026, 5, 1, tzinfo=UTC))
    assert (await billed(customer))[0]["total"]["amount"] == fee


async def test_fees_in_advance(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE, SEATS, fees="ADVANCE"), seats=2)
    [opening] = await billed(customer)
    assert (opening["kind"], told(opening)) == ("OPENING", [("FEE", "Fee", "60.00"), ("FEE", "Per seat", "60.00")])
    await world.work()
    assert (await billed(customer))[0]["state"] == "PAID"
    await customer.record(event("a", 5))
    assert told(await upcoming(customer)) == [
        ("USAGE", "Overage per invite", "12.00"),
        ("FEE", "Fee", "60.00"),
        ("FEE", "Per seat", "60.00"),
    ]
    await close_at(world, APRIL)
    assert (await last(customer))[0] == ("USAGE", "Overage per invite", "12.00")
    ahead = (await billed(customer))[-1]["lines"][-1]
    assert ahead["period"] == {"start": "2026-04-10T00:00:00Z", "end": "2026-05-10T00:00:00Z"}
    await world.travel_to(HALF)
    await change_seats(customer, 4)
    await close_at(world, MAY)
    assert await last(customer) == [
        ("ADJUSTMENT", "Adjustment of 2026-04-10 to 2026-05-10: fees", "30.00"),
        ("FEE", "Fee", "60.00"),
        ("FEE", "Per seat", "120.00"),
    ]
    [line] = [line for line in (await billed(customer))[-1]["lines"] if line["kind"] == "ADJUSTMENT"]
    assert line["adjustment"] == {
        "adjusts": "FEE",
        "lateEvents": 0,
        "corrections": 0,
        "reason": "the plan, the seats or the end of the subscription changed after the fees were billed",
        "period": {"start": "2026-04-10T00:00:00Z"},
        "billed": {"quantity": "2", "amount": {"amount": "60.00"}},
        "now": {"quantity": "3", "amount": {"amount": "90.00"}},
    }
    await cancel(customer, "PERIOD_END")
    await close_at(world, JUNE)
    assert await last(customer) == []
    assert {i["state"] for i in await billed(customer)} == {"PAID"}


async def test_fees_in_advance_come_back_when_it_ends_now(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE, fees="ADVANCE"))
    await world.work()
    await close_at(world, APRIL)
    await world.travel_to(HALF)
    await cancel(customer)
    await close_at(world, HALF)
    final = (await billed(customer))[-1]
    assert told(final) == [("ADJUSTMENT", "Adjustment of 2026-04-10 to 2026-04-25: fees", "-30.00")]
    assert final["state"] == "PAID"
    [theirs] = (await stripe_books(world))["customer"]
    assert theirs["balance"] == -3000, "Stripe keeps it for the next invoice"


async def test_from_arrears_to_advance_and_back(world: World) -> None:
    late, early = await plan_of(world, FEE, code="late"), await plan_of(world, FEE, code="early", fees="ADVANCE")
    customer = await join(world, late)
    await change_plan(customer, early, "PERIOD_END")
    await close_at(world, APRIL)
    assert await last(customer) == [("FEE", "Fee", "60.00"), ("FEE", "Fee", "60.00")], "March's and, ahead, April's"
    await change_plan(customer, late, "PERIOD_END")
    await close_at(world, MAY)
    assert await last(customer) == [], "April's was billed ahead, May's is due when it is over"
    await close_at(world, JUNE)
    assert await last(customer) == [("FEE", "Fee", "60.00")]


async def test_after_a_trial_fees_in_advance_begin_with_its_close(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE, fees="ADVANCE"), trialDays=31)
    assert await billed(customer) == []
    await close_at(world, APRIL)
    [trial] = await billed(customer)
    assert (trial["kind"], told(trial)) == ("PERIOD", [("FEE", "Fee", "60.00")])


async def test_discounts_count_billed_periods(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE), trialDays=31)
    half = await discount(customer, percent="50", periods=2)
    assert half["discount"]["startsAt"] == "2026-03-10T00:00:00Z"
    assert await discount(customer, percent="50.0", periods=2) == half
    assert refused(await discount(customer, percent="40", periods=2))["__typename"] == "Conflict"
    await discount(customer, "five", "Five off", amount="5.00")
    await customer.record(event("a", 3, occurred_at=None))
    await close_at(world, APRIL)
    await customer.record(event("b", 3))
    await close_at(world, MAY)
    assert await last(customer) == [
        ("FEE", "Fee", "60.00"),
        ("USAGE", "Overage per invite", "4.00"),
        ("DISCOUNT", "Launch", "-32.00"),
        ("DISCOUNT", "Five off", "-5.00"),
    ]
    await close_at(world, JUNE)
    assert (await last(customer))[1] == ("DISCOUNT", "Launch", "-30.00")
    await close_at(world, JULY)
    assert await last(customer) == [("FEE", "Fee", "60.00"), ("DISCOUNT", "Five off", "-5.00")]


async def test_a_discount_that_is_ended_holds_for_what_is_over(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE))
    made = (await discount(customer, percent="10"))["discount"]
    await world.travel_to(APRIL + timedelta(minutes=10))
    selection = "discount { id endedAt }"
    ending = {"tenantId": customer.id, "discountId": made["id"]}
    ended = await do(customer.api, "endDiscount", selection, **ending)
    assert ended["discount"]["endedAt"] == "2026-04-10T00:10:00Z"
    await world.travel_to(APRIL + timedelta(minutes=20))
    assert await do(customer.api, "endDiscount", selection, **ending) == ended
    await close_at(world, APRIL + timedelta(minutes=30))
    assert await last(customer) == [("FEE", "Fee", "60.00"), ("DISCOUNT", "Launch", "-6.00")], "it was over"
    await customer.record(event("late", 3, occurred_at="2026-03-11T00:00:00Z"))
    await close_at(world, MAY)
    assert await last(customer) == [
        ("FEE", "Fee", "60.00"),
        ("ADJUSTMENT", "Adjustment of 2026-03-10 to 2026-04-10: late invites_sent", "4.00"),
        ("ADJUSTMENT", "Adjustment of 2026-03-10 to 2026-04-10: discounts", "-0.40"),
    ]


async def test_a_discount_on_fees_in_advance(world: World) -> None:
    """What is billed ahead is discounted ahead; the close takes the rest off the usage."""
    customer = await join(world, await plan_of(world, FEE, fees="ADVANCE"))
    await discount(customer, percent="10")
    await customer.record(event("a", 12))
    await close_at(world, APRIL)
    assert await last(customer) == [
        ("USAGE", "Overage per invite", "40.00"),
        ("DISCOUNT", "Launch", "-10.00"),
        ("FEE", "Fee", "60.00"),
        ("DISCOUNT", "Launch", "-6.00"),
    ], "March's opening came before the discount"
    await customer.record(event("b", 12))
    await close_at(world, MAY)
    assert (await last(customer))[:2] == [("USAGE", "Overage per invite", "40.00"), ("DISCOUNT", "Launch", "-4.00")]


async def test_wrong_discounts_are_named(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE))
    for wrong, path in (
        ({}, ""),
        ({"percent": "10", "amount": "1"}, ""),
        ({"percent": "0"}, "percent"),
        ({"percent": "100.1"}, "percent"),
        ({"percent": "1.00001"}, "percent"),
        ({"amount": "0.001"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "1" + "0" * 20}, "amount"),
        ({"percent": "1", "periods": 0}, "periods"),
        ({"percent": "1", "label": " "}, "label"),
        ({"percent": "1", "key": ""}, "idempotencyKey"),
    ):
        answer: Json = await discount(customer, **wrong)
        assert list(problems(answer)) == [path], wrong
    nobody = await provision(world, "nobody")
    assert refused(await discount(nobody, percent="1"))["__typename"] == "SubscriptionInactive"
    unknown = global_id("Discount", "01940000-0000-7000-8000-000000000000")
    answer = await do(customer.api, "endDiscount", "discount { id }", tenantId=customer.id, discountId=unknown)
    assert refused(answer)["path"] == ["discountId"]


async def test_a_commitment_is_filled_up(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE, minimum=10000))
    await customer.record(event("a", 3))
    assert told(await upcoming(customer))[-1] == ("COMMITMENT", "Minimum commitment", "36.00")
    await close_at(world, APRIL)
    assert await last(customer) == [
        ("FEE", "Fee", "60.00"),
        ("USAGE", "Overage per invite", "4.00"),
        ("COMMITMENT", "Minimum commitment", "36.00"),
    ]
    await customer.record(event("late", 4, occurred_at="2026-04-01T00:00:00Z"))
    await world.travel_to(HALF)
    await cancel(customer)
    await close_at(world, HALF)
    assert await last(customer) == [
        ("FEE", "Fee (15 of 30 days)", "30.00"),
        ("COMMITMENT", "Minimum commitment", "20.00"),
        ("ADJUSTMENT", "Adjustment of 2026-03-10 to 2026-04-10: late invites_sent", "16.00"),
        ("ADJUSTMENT", "Adjustment of 2026-03-10 to 2026-04-10: commitment", "-16.00"),
    ], "what came late was committed to and paid for"


async def test_charges_are_billed_once(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE))
    for key, moment, minor in (("in", world.clock.now(), 500), ("after", APRIL + timedelta(minutes=5), 700)):
        await Charge.create(
            tenant_id=customer.tenant.id,
            idempotency_key=key,
            kind=ChargeKind.TOP_UP,
            meter="invites_sent",
            period_starts_at=moment,
            label=f"Top-up {key}",
            amount_minor=minor,
            currency="USD",
            created_at=moment,
        )
    assert ("CHARGE", "Top-up in", "5.00") in told(await upcoming(customer))
    await close_at(world, APRIL)
    first = (await billed(customer))[-1]
    assert told(first) == [("FEE", "Fee", "60.00"), ("CHARGE", "Top-up in", "5.00")]
    assert [c.invoice_id is not None for c in await Charge.all().order_by("created_at")] == [True, False]
    await close_at(world, MAY)
    assert await last(customer) == [("FEE", "Fee", "60.00"), ("CHARGE", "Top-up after", "7.00")]
    await close_at(world, JUNE)
    assert await last(customer) == [("FEE", "Fee", "60.00")]


async def test_the_last_invoice_takes_what_was_bought_after_it(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE))
    await cancel(customer, "PERIOD_END")
    await world.travel_to(APRIL + timedelta(minutes=5))
    await Charge.create(
        tenant_id=customer.tenant.id,
        idempotency_key="k",
        kind=ChargeKind.TOP_UP,
        meter="invites_sent",
        period_starts_at=APRIL,
        label="Top-up",
        amount_minor=700,
        currency="USD",
        created_at=APRIL + timedelta(minutes=5),
    )
    await close_at(world, APRIL + timedelta(minutes=10))
    assert await last(customer) == [("FEE", "Fee", "60.00"), ("CHARGE", "Top-up", "7.00")]


async def test_the_preview_is_the_bill(world: World) -> None:
    """Asked in the period's last moment, it says what the close will say; asking stores nothing."""
    customer = await join(world, await plan_of(world, FEE, SEATS, fees="ADVANCE", minimum=50000), seats=3)
    await discount(customer, percent="12.5", periods=1)
    await customer.record(event("a", 7))
    await close_at(world, APRIL)
    await customer.record(event("late", 7, occurred_at="2026-04-01T00:00:00Z"), event("b", 9))
    await change_seats(customer, 5, "PERIOD_END")
    await world.travel_to(MAY - timedelta(microseconds=1))
    before = await upcoming(customer)
    assert await upcoming(customer) == before
    await close_at(world, MAY)
    bill = (await billed(customer))[-1]
    assert (bill["lines"], bill["total"], bill["period"]) == (before["lines"], before["total"], before["period"])
    assert Decimal(bill["total"]["amount"]) == sum(Decimal(line["amount"]["amount"]) for line in bill["lines"])


async def test_an_adjustment_says_what_was_billed_and_why(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE))
    await customer.record(event("a", 3))
    await close_at(world, APRIL)
    await customer.record(
        event("b", 2, occurred_at="2026-03-12T00:00:00Z"), event("c", 1, occurred_at="2026-03-13T00:00:00Z")
    )
    await close_at(world, MAY)
    [line] = [line for line in (await billed(customer))[-1]["lines"] if line["kind"] == "ADJUSTMENT"]
    assert (line["quantity"], line["unitPrice"], line["amount"]["amount"]) == ("1", "12.00", "12.00")
    assert line["adjustment"] == {
        "adjusts": "USAGE",
        "lateEvents": 2,
        "corrections": 0,
        "reason": "2 late events",
        "period": {"start": "2026-03-10T00:00:00Z"},
        "billed": {"quantity": "3", "amount": {"amount": "4.00"}},
        "now": {"quantity": "6", "amount": {"amount": "16.00"}},
    }
    await customer.record(event("d", 5, occurred_at="2026-03-12T00:00:00Z"))
    await close_at(world, JUNE)
    [line] = [line for line in (await billed(customer))[-1]["lines"] if line["kind"] == "ADJUSTMENT"]
    assert (line["adjustment"]["lateEvents"], line["adjustment"]["billed"], line["adjustment"]["now"]) == (
        1,
        {"quantity": "6", "amount": {"amount": "16.00"}},
        {"quantity": "11", "amount": {"amount": "36.00"}},
    )


async def test_an_earlier_period_is_rated_by_the_terms_of_then(world: World) -> None:
    customer = await join(world, await plan_of(world, FEE))
    await close_at(world, APRIL)
    dear = await plan_of(world, price("invites_sent", "per-document", unitPrice="99.00"), code="dear")
    await change_plan(customer, dear)
    await customer.record(event("late", 3, occurred_at="2026-03-12T00:00:00Z"), event("now", 1))
    await close_at(world, MAY)
    assert await last(customer) == [
        ("FEE", "Fee (1 h of 30 d)", "0.08"),
        ("USAGE", "Per invite", "99.00"),
        ("ADJUSTMENT", "Adjustment of 2026-03-10 to 2026-04-10: late invites_sent", "4.00"),
    ]


class Levy:
    """Adds a levy to every invoice."""

    @hookimpl
    def extra_lines(self, draft: InvoiceDraft) -> list[Line]:
        return [Line(f"Levy {draft.kind}", Decimal(1), draft.total.amount / 10)]


async def test_plugins_see_every_invoice(database_url: str) -> None:
    async with open_world(database_url) as world:
        object.__setattr__(world.platform, "plugins", load_plugins(extra=[Levy()]))
        customer = await join(world, await plan_of(world, FEE, fees="ADVANCE"))
        assert told(await upcoming(customer))[-1] == ("EXTRA", "Levy PERIOD", "6.00")
        await close_at(world, APRIL)
        assert [told(i)[-1] for i in await billed(customer)] == [
            ("EXTRA", "Levy OPENING", "6.00"),
            ("EXTRA", "Levy PERIOD", "6.00"),
        ]
