"""Invoices on their way through Stripe: the same lines once, the same total, the same state."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stripe

from inkmeter import Event, InvoicePaid, PaymentFailed, hookimpl
from inkmeter.errors import PaymentRefused
from integrations.protocols import AddedLines
from integrations.stripe.rates import endpoint
from plugins.manager import load_plugins
from services import timetable
from storage.discrepancies import Discrepancy
from storage.invoices import LineItem
from storage.webhooks import WebhookEvent
from tests.services.steps import Customer, Json, event, fault, price, sign_up, stripe_books
from tests.world import SECRET, START, World, open_world

pytestmark = pytest.mark.anyio

STRIPE = {"authorization": "Bearer sk_test_inkmeter"}
APRIL = datetime(2026, 4, 10, tzinfo=UTC)
ADD_LINES = "/v1/invoices/DRAFT/add_lines"
LINES = (
    price("invites_sent", "tiered", fee="49.00", included=2, overage={"unitPrice": "4.25"}),
    price("downloads", "per-document", unitPrice="0.10"),
    price("signatures", "per-document", unitPrice="1.00"),
)
"""With the usage below five lines, one of them zero."""


async def used(world: World, reference: str = "acme") -> Customer:
    customer = await sign_up(world, *LINES, reference=reference)
    await customer.record(event("i", 5), event("d", 3, "downloads"), event("s", 7, "signatures"))
    return customer


async def at_stripe(world: World, customer: Customer) -> list[Json]:
    """The tenant's invoices in Stripe's books."""
    books = await stripe_books(world)
    [theirs] = [c for c in books["customer"] if c["metadata"]["tenant_id"] == str(customer.tenant.public_id)]
    return [invoice for invoice in books["invoice"] if invoice["customer"] == theirs["id"]]


async def card(world: World, customer: Customer, card: str) -> None:
    books = await stripe_books(world)
    [theirs] = [c for c in books["customer"] if c["metadata"]["tenant_id"] == str(customer.tenant.public_id)]
    (await world.stripe.post(f"/_sandbox/customers/{theirs['id']}/card", json={"card": card})).raise_for_status()


async def only(customer: Customer) -> Json:
    [invoice] = await customer.invoices()
    return invoice


async def finish(world: World, since: datetime = APRIL) -> None:
    """Hours in which the worker looks again and again."""
    for minutes in (60, 61, 62, 64, 70, 90, 120, 180, 240):
        await world.travel_to(since + timedelta(minutes=minutes))
        await world.work()


async def test_lines_and_totals_are_the_same_in_both_books(world: World) -> None:
    customer = await used(world)
    await world.travel_to(APRIL)
    await world.work()
    [draft] = await at_stripe(world, customer)
    assert (draft["status"], draft["auto_advance"]) == ("draft", False), "held until our lines are on it"
    await finish(world)
    ours, [theirs] = await only(customer), await at_stripe(world, customer)
    assert (ours["state"], ours["total"]["amount"], theirs["status"], theirs["total"]) == (
        "PAID",
        "69.05",
        "paid",
        6905,
    )
    lines = [(line["description"], line["amount"]) for line in theirs["lines"]["data"] if line["amount"]]
    assert lines == [
        ("Fee (1 × 49.00)", 4900),
        ("Overage per invite (3 × 4.25)", 1275),
        ("Per download (3 × 0.10)", 30),
        ("Per signature (7 × 1.00)", 700),
    ]
    assert ours["hostedUrl"] == theirs["hosted_invoice_url"]
    assert ours["paidAt"] is not None


@pytest.mark.parametrize(
    "faults",
    [
        [("500", 3, "POST", ADD_LINES)],
        [("500_remembered", 3, "POST", ADD_LINES)],
        [("timeout_before", 4, "POST", ADD_LINES)],
        [("timeout_after", 3, "POST", ADD_LINES)],
        [("timeout_after", 9, "POST", ADD_LINES), ("429", 2, "POST", ADD_LINES)],
        [("timeout_before", 3, "POST", "/v1/invoices"), ("500", 3, "GET", "/v1/invoices")],
        [("timeout_after", 5, "POST", "/v1/invoices")],
        [("409", 3, "POST", ADD_LINES), ("429", 1, "GET", "/v1/invoiceitems")],
        [("timeout_after", 3, "POST", ADD_LINES), ("500", 3, "GET", "/v1/invoiceitems")],
    ],
    ids=lambda faults: "+".join(f"{kind}x{times}{on[3:]}" for kind, times, _, on in faults),
)
async def test_faults_in_the_middle_resume_without_a_second_line(world: World, faults: list[Any]) -> None:
    customer = await used(world)
    await world.travel_to(APRIL)
    await world.work()
    [draft] = await at_stripe(world, customer)
    for kind, times, method, on in faults:
        await fault(world.stripe, kind, times, on=on.replace("DRAFT", draft["id"]), method=method)
    await finish(world)
    ours, [theirs] = await only(customer), await at_stripe(world, customer)
    assert (ours["state"], theirs["total"]) == ("PAID", 6905)
    assert len([line for line in theirs["lines"]["data"] if line["amount"]]) == 4
    assert len((await stripe_books(world))["invoiceitem"]) == 4
    assert await Discrepancy.all().count() == 0


async def test_an_ordinary_invoice_takes_seven_calls(world: World) -> None:
    """Three of them read it: when Stripe tells of the draft, when it is pushed, when Stripe tells that it is paid."""
    customer = await used(world)
    await world.work()
    calls: list[str] = []

    async def note(request: httpx.Request) -> None:
        if request.url.path.startswith("/v1/"):
            calls.append(endpoint(request.method, request.url.path))

    world.stripe.event_hooks = {"request": [note]}
    await world.travel_to(APRIL)
    await world.work()
    await finish(world)
    assert (await only(customer))["state"] == "PAID"
    assert Counter(calls) == {
        "GET /v1/invoices/-": 3,
        "POST /v1/invoices/-": 1,
        "POST /v1/invoices/-/add_lines": 1,
        "POST /v1/invoices/-/finalize": 1,
        "GET /v1/subscriptions/-": 1,
    }


async def test_a_stripe_that_does_not_add_several_lines_gets_them_one_by_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(**_: object) -> AddedLines:
        raise PaymentRefused("Unrecognized request URL", upstream_code="invalid_request_error")

    monkeypatch.setattr(world.platform.stripe, "add_lines", refuse)
    customer = await used(world)
    await world.travel_to(APRIL)
    await world.work()
    await fault(world.stripe, "timeout_after", 3, on="/v1/invoiceitems")
    await finish(world)
    ours, [theirs] = await only(customer), await at_stripe(world, customer)
    assert (ours["state"], theirs["total"]) == ("PAID", 6905)
    assert len((await stripe_books(world))["invoiceitem"]) == 4


async def test_items_that_are_there_are_not_added_again(world: World) -> None:
    """A process that died after Stripe had added the lines, and another that has added one of them by itself."""
    customer = await used(world)
    await world.travel_to(APRIL)
    await world.work()
    [draft] = await at_stripe(world, customer)
    await fault(world.stripe, "timeout_after", 3, on=f"/v1/invoices/{draft['id']}/add_lines")
    await world.travel_to(APRIL + timedelta(minutes=60))
    await world.work()
    one, *_ = (await stripe_books(world))["invoiceitem"]
    (await world.stripe.delete(f"/v1/invoiceitems/{one['id']}", headers=STRIPE)).raise_for_status()
    await finish(world, APRIL + timedelta(days=2))  # Stripe has forgotten its keys
    ours, [theirs] = await only(customer), await at_stripe(world, customer)
    assert (ours["state"], theirs["total"]) == ("PAID", 6905)
    items = {item["id"]: item["amount"] for item in (await stripe_books(world))["invoiceitem"]}
    stored = {line.stripe_item_id: line.amount_minor for line in await LineItem.all() if line.amount_minor}
    assert items == stored
    assert len(items) == 4


async def test_a_line_that_someone_added_at_stripe_holds_the_draft(world: World) -> None:
    customer = await used(world)
    await world.travel_to(APRIL)
    await world.work()
    [draft] = await at_stripe(world, customer)
    data = {
        "customer": draft["customer"],
        "invoice": draft["id"],
        "amount": 100,
        "currency": "usd",
        "description": "Oops",
    }
    item = (await world.stripe.post("/v1/invoiceitems", data=data, headers=STRIPE)).json()
    await finish(world)
    ours, [theirs] = await only(customer), await at_stripe(world, customer)
    assert (ours["state"], theirs["status"], theirs["auto_advance"]) == ("FINALIZED", "draft", False)
    [found] = await Discrepancy.all()
    assert (found.tenant_id, found.kind, found.ours_minor, found.theirs_minor) == (
        customer.tenant.id,
        "INVOICE_TOTAL",
        6905,
        7005,
    )
    assert "Oops" in str(found.evidence)
    await world.travel_to(APRIL + timedelta(days=4))
    await world.work()
    assert (await at_stripe(world, customer))[0]["status"] == "draft", "not even after Stripe's longest wait"
    (await world.stripe.delete(f"/v1/invoiceitems/{item['id']}", headers=STRIPE)).raise_for_status()
    await finish(world, APRIL + timedelta(days=5))
    assert (await only(customer))["state"] == "PAID"


async def test_a_draft_that_stripe_finalized_without_our_lines_is_made_up_for(world: World) -> None:
    """The worker was away for the hour that Stripe waits: 0.00 was paid, and we are owed 69.05."""
    customer = await used(world)
    await world.travel_to(APRIL)
    await world.travel_to(APRIL + timedelta(hours=1))
    await world.work()
    missed, ours = await at_stripe(world, customer)
    assert (missed["status"], missed["total"], missed["billing_reason"]) == ("paid", 0, "subscription_cycle")
    assert (ours["status"], ours["total"], ours["billing_reason"]) == ("paid", 6905, "manual")
    await finish(world, APRIL + timedelta(hours=1))
    assert (await only(customer))["state"] == "PAID"
    assert len(await at_stripe(world, customer)) == 2
    assert await Discrepancy.all().count() == 0


async def test_a_pending_item_that_stripe_pulls_in_is_found(world: World) -> None:
    customer = await used(world)
    [theirs] = (await stripe_books(world))["customer"]
    data = {"customer": theirs["id"], "amount": -500, "currency": "usd", "description": "A credit by hand"}
    (await world.stripe.post("/v1/invoiceitems", data=data, headers=STRIPE)).raise_for_status()
    await world.travel_to(APRIL)
    await world.work()
    await finish(world)
    [found] = await Discrepancy.all()
    assert (found.ours_minor, found.theirs_minor) == (6905, 6405)
    assert (await only(customer))["state"] == "FINALIZED"


async def test_our_close_may_come_before_the_draft(world: World) -> None:
    """Stripe's webhooks are lost, and our close is early: the push waits until the draft is there, and finds it."""
    customer = await used(world)
    await world.stripe.post("/_sandbox/webhooks", json={"drop": 1000})
    world.clock.travel_to(APRIL)  # Stripe's own time stands still
    await customer.close()
    await world.work()
    assert (await only(customer))["state"] == "FINALIZED"
    assert await at_stripe(world, customer) == []
    await world.travel_to(APRIL + timedelta(minutes=6))
    await world.work()
    await world.work()
    [theirs] = await at_stripe(world, customer)
    assert (theirs["status"], theirs["total"]) == ("paid", 6905)
    assert (await only(customer))["state"] in ("PUSHED", "PAID")


async def test_a_lost_payment_is_found_out(world: World) -> None:
    """Webhooks of the payment are lost for good: the invoice is looked at again."""
    customer = await used(world)
    await world.travel_to(APRIL)
    await world.work()
    await world.stripe.post("/_sandbox/webhooks", json={"drop": 1000})
    await finish(world)
    assert (await at_stripe(world, customer))[0]["status"] == "paid"
    await world.travel_to(APRIL + timedelta(days=3))
    await world.work()
    assert (await only(customer))["state"] == "PAID"


async def test_a_lost_failure_is_found_out(world: World) -> None:
    customer = await used(world)
    await card(world, customer, "decline")
    await world.travel_to(APRIL)
    await world.work()
    await world.stripe.post("/_sandbox/webhooks", json={"drop": 1000})
    await finish(world)
    await world.travel_to(APRIL + timedelta(days=2))
    await world.work()
    assert ((await only(customer))["state"], await customer.state()) == ("PAST_DUE", "GRACE")
    await card(world, customer, "success")
    await world.travel_to(APRIL + timedelta(days=8))
    await world.work()
    assert ((await only(customer))["state"], await customer.state()) == ("PAID", "ACTIVE")


async def test_paid_may_come_before_our_own_commit(world: World) -> None:
    """The answer to the finalization is lost, the payment's webhook is applied, and only then does the push go on."""
    customer = await used(world)
    await world.travel_to(APRIL)
    await world.work()
    await customer.close()
    [draft] = await at_stripe(world, customer)
    await fault(world.stripe, "timeout_after", 3, on=f"/v1/invoices/{draft['id']}/finalize")
    await world.work()
    paid = await only(customer)
    assert paid["state"] == "PAID"
    await finish(world)
    assert {**(await only(customer)), "hostedUrl": None} == {**paid, "hostedUrl": None}
    assert len((await stripe_books(world))["invoiceitem"]) == 4


async def test_a_failed_payment_is_grace_and_a_later_one_lifts_it(world: World) -> None:
    customer = await used(world)
    await card(world, customer, "decline")
    await world.travel_to(APRIL)
    await world.work()
    await finish(world)
    assert ((await only(customer))["state"], await customer.state()) == ("PAST_DUE", "GRACE")
    query = "query ($id: ID!) { tenant(id: $id) { graceUntil } }"
    until = (await world.operator.ask(query, id=customer.id))["tenant"]["graceUntil"]
    await world.travel_to(APRIL + timedelta(days=4))
    await world.work()
    again = (await world.operator.ask(query, id=customer.id))["tenant"]["graceUntil"]
    assert again == until, "the second failure gives no more time"
    await card(world, customer, "success")
    await world.work()
    assert ((await only(customer))["state"], await customer.state()) == ("PAID", "ACTIVE")
    assert (await world.operator.ask(query, id=customer.id))["tenant"]["graceUntil"] is None


async def test_grace_lasts_until_the_last_overdue_invoice_is_paid(world: World) -> None:
    customer = await used(world)
    await card(world, customer, "decline")
    for month in (4, 5):
        since = datetime(2026, month, 10, tzinfo=UTC)
        await world.travel_to(since)
        await world.work()
        await finish(world, since)
    assert [i["state"] for i in await customer.invoices()] == ["PAST_DUE", "PAST_DUE"]
    first, second = await at_stripe(world, customer)
    for invoice, state in ((second, "RESTRICTED"), (first, "ACTIVE")):
        url = f"/v1/invoices/{invoice['id']}/pay"
        (await world.stripe.post(url, data={"paid_out_of_band": "true"}, headers=STRIPE)).raise_for_status()
        await world.work()
        assert await customer.state() == state


class Told:
    """Keeps what plugins are told of payments."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @hookimpl
    def on_event(self, event: Event) -> None:
        if isinstance(event, InvoicePaid | PaymentFailed):
            self.events.append(event)


async def test_duplicates_and_reordering_change_nothing(database_url: str) -> None:
    told = Told()
    async with open_world(database_url) as world:
        object.__setattr__(world.platform, "plugins", load_plugins(extra=[told]))
        await world.stripe.post("/_sandbox/webhooks", json={"duplicate": True, "reorder": True})
        customer = await used(world)
        await card(world, customer, "decline")
        await world.travel_to(APRIL)
        await world.work()
        await finish(world)
        await card(world, customer, "success")
        await world.work()
        for received in await WebhookEvent.filter(type__startswith="invoice."):
            assert received.state in ("APPLIED", "IGNORED")
        assert ((await only(customer))["state"], await customer.state()) == ("PAID", "ACTIVE")
        assert [type(heard).__name__ for heard in told.events] == ["PaymentFailed", "InvoicePaid"]


async def test_a_failure_that_is_heard_of_after_the_payment_is_history(database_url: str) -> None:
    told = Told()
    async with open_world(database_url) as world:
        object.__setattr__(world.platform, "plugins", load_plugins(extra=[told]))
        customer = await used(world)
        await card(world, customer, "decline")
        await world.travel_to(APRIL)
        await world.work()
        await world.stripe.post("/_sandbox/webhooks", json={"drop": 1000})
        await finish(world)
        await card(world, customer, "success")
        listed = (await world.stripe.get("/v1/events", params={"limit": 100}, headers=STRIPE)).json()["data"]
        payments = [e for e in listed if e["type"] in ("invoice.paid", "invoice.payment_failed")]
        assert [e["type"] for e in payments] == ["invoice.paid", "invoice.payment_failed"], "newest first"
        for delivery in payments:
            payload = json.dumps(delivery)
            signed = stripe.WebhookSignature.generate_signature_header(payload, SECRET)
            headers = {"stripe-signature": signed}
            (await world.http.post("/webhooks/stripe", content=payload, headers=headers)).raise_for_status()
            await world.work()
        assert ((await only(customer))["state"], await customer.state()) == ("PAID", "ACTIVE")
        assert [type(heard).__name__ for heard in told.events] == ["InvoicePaid"]


async def test_what_is_not_ours_at_stripe_is_left_alone(world: World) -> None:
    customer = await used(world)
    stranger = (await world.stripe.post("/v1/customers", data={"email": "x@y.test"}, headers=STRIPE)).json()
    made = (await world.stripe.post("/v1/invoices", data={"customer": stranger["id"]}, headers=STRIPE)).json()
    await world.work()
    data = {"customer": stranger["id"], "invoice": made["id"], "amount": 900, "currency": "usd"}
    await world.stripe.post("/v1/invoiceitems", data=data, headers=STRIPE)
    for step in ("finalize", "pay"):
        (await world.stripe.post(f"/v1/invoices/{made['id']}/{step}", headers=STRIPE)).raise_for_status()
    await world.work()
    notes = {e.type: (e.state.value, e.note) for e in await WebhookEvent.all() if e.type.startswith("invoice.")}
    assert notes["invoice.created"] == ("IGNORED", "not a billing cycle of ours")
    assert notes["invoice.paid"] == ("IGNORED", "not an invoice of ours")
    assert notes["invoice.finalized"] == ("IGNORED", "not an invoice of ours")
    assert await customer.invoices() == []


@pytest.mark.parametrize(
    ("currency", "unit_price", "total", "minor"),
    [("JPY", "49.5", "149", 149), ("KWD", "1.234", "3.700", 3700), ("EUR", "0.005", "0.02", 2)],
)
async def test_currencies_with_other_digits(
    world: World, currency: str, unit_price: str, total: str, minor: int
) -> None:
    customer = await sign_up(world, price("invites_sent", "per-document", unitPrice=unit_price), currency=currency)
    await customer.record(event("a", 3))
    await world.travel_to(APRIL)
    await world.work()
    await finish(world)
    ours, [theirs] = await only(customer), await at_stripe(world, customer)
    assert (ours["total"], ours["state"]) == ({"amount": total, "currency": currency}, "PAID")
    assert (theirs["total"], theirs["currency"]) == (minor, currency.lower())


async def test_zero_is_an_invoice_that_is_paid(world: World) -> None:
    customer = await sign_up(world)
    await world.travel_to(APRIL)
    await world.work()
    await finish(world)
    ours, [theirs] = await only(customer), await at_stripe(world, customer)
    assert (ours["total"]["amount"], ours["state"], theirs["status"]) == ("0.00", "PAID", "paid")
    assert (await stripe_books(world))["invoiceitem"] == []


async def test_less_than_stripe_charges_goes_to_the_next_invoice_there_alone(world: World) -> None:
    customer = await sign_up(world, price("invites_sent", "per-document", unitPrice="0.10"))
    for month, quantity in ((4, 3), (5, 20)):
        await customer.record(event(f"month {month}", quantity))
        since = datetime(2026, month, 10, tzinfo=UTC)
        await world.travel_to(since)
        await world.work()
        await finish(world, since)
    assert [i["total"]["amount"] for i in await customer.invoices()] == ["0.30", "2.00"]
    assert {i["state"] for i in await customer.invoices()} == {"PAID"}
    assert [(i["total"], i["amount_paid"]) for i in await at_stripe(world, customer)] == [(30, 0), (200, 230)]
    assert await Discrepancy.all().count() == 0


async def test_two_workers_push_the_same_invoice_once(world: World) -> None:
    customer = await used(world)
    await world.travel_to(APRIL)
    await world.work()
    await customer.close()
    for _ in range(3):
        await timetable.run_due_work(world.platform)
    await finish(world)
    assert (await at_stripe(world, customer))[0]["total"] == 6905
    assert (await only(customer))["state"] == "PAID"
    assert world.clock.now() > START
