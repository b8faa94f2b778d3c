"""Stripe's events: each is known, its effect happens once, and neither order nor repetition can undo a newer state."""

import asyncio
from datetime import timedelta

import pytest

from inkmeter import Event, PaymentActionRequired, hookimpl
from plugins.manager import load_plugins
from services import discrepancies, stripe_events, timetable
from services.jobs import MAX_ATTEMPTS
from storage.database import rows, transaction
from storage.discrepancies import Discrepancy
from storage.invoices import Invoice, InvoiceState
from storage.subscriptions import Period, Subscription
from storage.webhooks import WebhookEvent
from tests.services.hooks import deliver, post_event
from tests.services.spoiling import reconcile
from tests.services.steps import Customer, Json, do, event, sign_up, stripe_books
from tests.world import START, World

pytestmark = pytest.mark.anyio

STRIPE = {"authorization": "Bearer sk_test_inkmeter"}
KNOWN = [
    "billing.alert.triggered",
    "billing.credit_balance_transaction.created",
    "billing.credit_grant.created",
    "billing.credit_grant.updated",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.refunded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "credit_note.created",
    "credit_note.updated",
    "credit_note.voided",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "customer.updated",
    "invoice.created",
    "invoice.deleted",
    "invoice.finalization_failed",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.overdue",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "invoice.upcoming",
    "invoice.updated",
    "invoice.voided",
    "invoice.will_be_due",
    "invoice_payment.paid",
    "payment_method.attached",
    "payment_method.automatically_updated",
    "payment_method.detached",
    "refund.created",
    "refund.failed",
    "refund.updated",
    "setup_intent.succeeded",
    "subscription_schedule.aborted",
    "subscription_schedule.canceled",
    "subscription_schedule.completed",
    "subscription_schedule.created",
    "subscription_schedule.expiring",
    "subscription_schedule.released",
    "subscription_schedule.updated",
    "v1.billing.meter.error_report_triggered",
    "v1.billing.meter.no_meter_found",
]


class Told:
    """Keeps what plugins are told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @hookimpl
    def on_event(self, event: Event) -> None:
        self.events.append(event)


def listen(world: World) -> Told:
    told = Told()
    object.__setattr__(world.platform, "plugins", load_plugins(extra=[told]))
    return told


async def overdue(world: World) -> tuple[Customer, Invoice]:
    """A tenant whose first invoice could not be collected."""
    customer = await sign_up(world)
    await customer.record(event("i", 5))
    [theirs] = (await stripe_books(world))["customer"]
    await world.stripe.post(f"/_sandbox/customers/{theirs['id']}/card", json={"card": "decline"})
    for minutes in (0, 60, 61, 62, 64, 70, 90):
        await world.travel_to(START + timedelta(days=30, hours=15, minutes=minutes))
        await world.work()
    return customer, await ours()


async def ours() -> Invoice:
    [invoice] = await Invoice.all()
    return invoice


async def order(world: World, invoice: Invoice, what: str) -> None:
    url = f"/v1/invoices/{invoice.stripe_invoice_id}/{what}"
    (await world.stripe.post(url, headers=STRIPE)).raise_for_status()


def test_every_event_has_a_handler_or_a_reason() -> None:
    assert sorted({*stripe_events.HANDLERS, *stripe_events.IGNORED}) == sorted(KNOWN)
    assert not stripe_events.HANDLERS.keys() & stripe_events.IGNORED.keys()
    assert all(len(reason) > 10 for reason in stripe_events.IGNORED.values())


async def test_number_and_totals_are_taken_over(world: World) -> None:
    _, invoice = await overdue(world)
    [theirs] = (await stripe_books(world))["invoice"]
    assert (invoice.state, invoice.number) == (InvoiceState.PAST_DUE, theirs["number"])
    assert (invoice.stripe_total_minor, invoice.amount_paid_minor) == (theirs["total"], 0)
    assert invoice.hosted_url == theirs["hosted_invoice_url"]


async def test_what_ends_without_payment_is_mirrored(world: World) -> None:
    customer, invoice = await overdue(world)
    assert await customer.state() == "GRACE"
    await order(world, invoice, "mark_uncollectible")
    await world.work()
    assert ((await ours()).state, await customer.state()) == (InvoiceState.UNCOLLECTIBLE, "ACTIVE"), "forgiven"
    await order(world, invoice, "void")
    await world.work()
    assert ((await ours()).state, await customer.state()) == (InvoiceState.VOID, "ACTIVE")


@pytest.mark.parametrize("kind", ["invoice.updated", "invoice.payment_failed", "invoice.marked_uncollectible"])
async def test_who_looked_earlier_and_comes_later_undoes_nothing(world: World, kind: str) -> None:
    """Two workers on one invoice: the first has looked at Stripe, the second looks later and is quicker."""
    _, invoice = await overdue(world)
    if kind == "invoice.marked_uncollectible":
        await order(world, invoice, "mark_uncollectible")
    late = await stripe_events.HANDLERS[kind](world.platform, invoice.stripe_invoice_id or "")
    await order(world, invoice, "void")
    await world.work()
    async with transaction():
        await late()
    assert (await ours()).state is InvoiceState.VOID


async def test_workers_on_one_invoice_take_turns(world: World) -> None:
    """Many deliveries of the same and of other facts about one invoice, applied side by side."""

    told = listen(world)
    customer, invoice = await overdue(world)
    [theirs] = (await stripe_books(world))["customer"]
    await world.stripe.post(f"/_sandbox/customers/{theirs['id']}/card", json={"card": "success"})
    for number in range(12):
        kind = ("invoice.paid", "invoice.updated", "invoice.payment_failed", "invoice.finalized")[number % 4]
        about = {"id": invoice.stripe_invoice_id, "object": "invoice"}
        body = {"id": f"evt_{number}", "object": "event", "type": kind, "created": 1, "data": {"object": about}}
        assert await post_event(world, body) == 200
    await asyncio.gather(*(timetable.run_due_work(world.platform) for _ in range(4)))
    await world.work()
    assert ((await ours()).state, await customer.state()) == (InvoiceState.PAID, "ACTIVE")
    names = [type(heard).__name__ for heard in told.events]
    assert (names.count("InvoicePaid"), names.count("PaymentFailed")) == (1, 1)
    assert {e.state for e in await WebhookEvent.filter(key__startswith="evt_", type__startswith="invoice.")} <= {
        "APPLIED",
        "IGNORED",
    }


async def test_two_events_that_say_the_same_are_one(world: World) -> None:
    told = listen(world)
    _, invoice = await overdue(world)
    for event_id in ("evt_a", "evt_b"):
        stored = await deliver(world, event_id, "invoice.payment_action_required", invoice.stripe_invoice_id or "")
        assert stored.state == "APPLIED"
    [asked] = [heard for heard in told.events if isinstance(heard, PaymentActionRequired)]
    assert (asked.invoice_id, asked.hosted_url) == (str(invoice.id), invoice.hosted_url)


async def test_what_stripe_cannot_finalize_is_a_discrepancy(world: World) -> None:
    await sign_up(world)
    _, invoice = await overdue_draft(world)
    url = f"/_sandbox/invoices/{invoice.stripe_invoice_id}/finalization_error"

    async def fail() -> Discrepancy:
        for _ in range(2):
            (await world.stripe.post(url, json={"message": "The customer has no address."})).raise_for_status()
            await world.work()
        [found] = await Discrepancy.all()
        assert (found.kind, found.subject) == ("FINALIZATION", str(invoice.id))
        assert found.evidence["reason"] == "The customer has no address."
        return found

    assert (await fail()).times == 1
    async with transaction():
        await discrepancies.resolve(world.platform, invoice.tenant_id, ["FINALIZATION"], str(invoice.id))
    again = await fail()
    assert (again.state, again.times) == ("OPEN", 2), "what comes back is opened again, by its webhook alone"
    await discrepancies.explain_discrepancy(world.platform, again.id, "Its address is on the way.")
    assert (await fail()).state == "EXPLAINED"


async def test_a_finalization_problem_that_is_told_too_late_opens_nothing(world: World) -> None:
    """The webhook of the problem was looked at before the push, and is applied after it."""
    _, invoice = await overdue(world)
    url = f"/_sandbox/invoices/{invoice.stripe_invoice_id}/finalization_error"
    (await world.stripe.post(url, json={"message": "The customer has no address."})).raise_for_status()
    await world.work()
    assert await Discrepancy.all() == []


async def test_a_deleted_draft_is_a_discrepancy(world: World) -> None:
    """Only by hand: a draft of ours that was still to be filled."""
    await sign_up(world)
    _, invoice = await overdue_draft(world)
    (await world.stripe.delete(f"/v1/invoices/{invoice.stripe_invoice_id}", headers=STRIPE)).raise_for_status()
    await world.work()
    [found] = await Discrepancy.all()
    assert (found.kind, found.subject) == ("INVOICE_MISSING", str(invoice.id))
    assert (
        found.explanation
        == f"Our invoice of 1.00 USD is not at Stripe. Stripe has no invoice {invoice.stripe_invoice_id}."
    )
    late = await deliver(world, "evt_late", "invoice.updated", invoice.stripe_invoice_id or "")
    assert (late.state, late.note) == ("IGNORED", stripe_events.IS_GONE)


async def overdue_draft(world: World) -> tuple[str, Invoice]:
    """An invoice of its own at Stripe, linked to one of ours."""
    customer = (await stripe_books(world))["customer"][0]["id"]
    made = await world.platform.stripe.ensure_invoice(
        key="by-hand", is_retry=False, customer_id=customer, currency="USD", metadata={}
    )
    period = await Period.all().first()
    assert period is not None
    invoice = await Invoice.create(
        tenant_id=period.tenant_id,
        subscription_id=period.subscription_id,
        period_id=period.id,
        currency="USD",
        total_minor=100,
        upstream_cost_minor=0,
        upstream_cost_currency="USD",
        upstream_units=0,
        state=InvoiceState.FINALIZED,
        stripe_invoice_id=made,
        finalized_at=START,
    )
    return customer, invoice


async def test_a_deleted_customer_is_a_discrepancy(world: World) -> None:
    customer = await sign_up(world)
    [theirs] = (await stripe_books(world))["customer"]
    alive = await deliver(world, "evt_x", "customer.deleted", theirs["id"])
    assert (alive.state, alive.note) == ("IGNORED", "the customer still exists at Stripe")
    (await world.stripe.delete(f"/v1/customers/{theirs['id']}", headers=STRIPE)).raise_for_status()
    await world.work()
    [found] = await Discrepancy.all()
    assert (found.kind, found.subject, found.state) == ("CUSTOMER", "customer", "OPEN")
    assert [f["explanation"] for f in (await reconcile(world))["differences"]] == [found.explanation]
    assert (await Discrepancy.get(id=found.id)).times == 1, "webhook and comparison tell of the same"
    await do(world.operator, "deprovisionTenant", "tenant { state }", tenantId=customer.id)
    await world.work()
    assert (await reconcile(world))["isClean"], "who has left and owes nothing needs none"
    assert (await Discrepancy.get(id=found.id)).state == "RESOLVED"
    late = await deliver(world, "evt_late", "customer.deleted", theirs["id"])
    assert (late.state, (await Discrepancy.get(id=found.id)).state) == ("APPLIED", "RESOLVED")


async def test_a_webhook_before_our_own_commit_waits(world: World) -> None:
    await sign_up(world)
    [subscription] = await Subscription.all()
    known = subscription.stripe_subscription_id
    await Subscription.filter(id=subscription.id).update(stripe_subscription_id=None)
    await world.travel_to(START + timedelta(days=30, hours=15))
    await timetable.run_due_work(world.platform)
    created = await WebhookEvent.get(type="invoice.created")
    [job] = await rows("SELECT state, attempts, last_error FROM job WHERE dedup = ?", str(created.id))
    assert (created.state, job["state"]) == ("RECEIVED", "WAITING")
    assert "NotYetKnown" in job["last_error"]
    await Subscription.filter(id=subscription.id).update(stripe_subscription_id=known)
    await world.travel_to(START + timedelta(days=30, hours=15, minutes=5))
    await timetable.run_due_work(world.platform)
    assert (await WebhookEvent.get(type="invoice.created")).state == "APPLIED"
    assert await Period.filter(stripe_invoice_id__isnull=False).count() == 1


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"inkmeter_key": "invoice:1"},
        {"inkmeter_key": "invoice:1", "tenant_id": "0195f000-0000-7000-8000-000000000001"},
        {"inkmeter_key": "invoice:1", "tenant_id": "somebody"},
    ],
    ids=["none", "no tenant", "unknown tenant", "no id"],
)
async def test_an_invoice_of_another_system_is_ignored(world: World, metadata: dict[str, str]) -> None:
    stranger = (await world.stripe.post("/v1/customers", data={"email": "x@y.test"}, headers=STRIPE)).json()
    data = {"customer": stranger["id"], **{f"metadata[{name}]": value for name, value in metadata.items()}}
    made = (await world.stripe.post("/v1/invoices", data=data, headers=STRIPE)).json()
    for number, kind in enumerate(("invoice.updated", "invoice.paid", "invoice.finalization_failed")):
        stored = await deliver(world, f"evt_{number}", kind, made["id"])
        assert (stored.state, stored.note) == ("IGNORED", stripe_events.NOT_OURS)


async def test_what_nobody_ever_knows_is_given_up_and_seen(world: World) -> None:
    customer = await sign_up(world)
    [theirs] = (await stripe_books(world))["customer"]
    about = {"tenant_id": str(customer.tenant.public_id)}
    made = await world.platform.stripe.ensure_invoice(
        key="lost", is_retry=False, customer_id=theirs["id"], currency="USD", metadata=about
    )
    await deliver(world, "evt_lost", "invoice.updated", made)
    for hours in range(1, MAX_ATTEMPTS + 5):
        world.clock.travel_to(START + timedelta(hours=2 * hours))
        await timetable.run_due_work(world.platform)
    failed = (await world.operator.ask("{ webhookEvents(state: FAILED) { edges { node { key lastError } } } }"))[
        "webhookEvents"
    ]["edges"]
    assert "evt_lost" in {edge["node"]["key"] for edge in failed}
    assert all("NotYetKnown" in edge["node"]["lastError"] for edge in failed)


async def test_a_body_of_an_older_version_only_says_where_to_look(world: World) -> None:
    _, invoice = await overdue(world)
    await order(world, invoice, "void")
    body: Json = {
        "id": "evt_old",
        "object": "event",
        "type": "invoice.voided",
        "api_version": "2020-08-27",
        "created": 1_795_334_799,
        "data": {
            "object": {
                "id": invoice.stripe_invoice_id,
                "object": "invoice",
                "subscription": "sub_1",
                "charge": "ch_1",
                "payment_intent": "pi_1",
                "status": "paid",
            }
        },
    }
    assert await post_event(world, body) == 200
    await timetable.run_due_work(world.platform)
    stored = await WebhookEvent.get(key="evt_old")
    assert (stored.api_version, stored.state, (await ours()).state) == ("2020-08-27", "APPLIED", InvoiceState.VOID)


async def test_a_payment_of_an_invoice_makes_us_look_at_the_invoice(world: World) -> None:
    _, invoice = await overdue(world)
    stored = await deliver(world, "evt_p", "invoice_payment.paid", "inpay_1", invoice=invoice.stripe_invoice_id)
    assert stored.state == "APPLIED"


@pytest.mark.parametrize("related", [{"id": "acct_1", "type": "account", "url": "/v2/core/accounts/acct_1"}, None])
async def test_a_thin_event_is_stored(world: World, related: Json | None) -> None:
    kind = "v2.core.account.closed"
    body = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": kind,
        "created": "2026-03-10T09:00:00.000Z",
        "livemode": False,
        "related_object": related,
    }
    assert await post_event(world, body) == 200
    [job] = await rows("SELECT payload FROM job WHERE topic = 'webhook.apply'")
    assert (related or {"id": "evt_thin"})["id"] in job["payload"]
    await timetable.run_due_work(world.platform)
    stored = await WebhookEvent.get(key="evt_thin")
    assert (stored.state, stored.type) == ("IGNORED", kind)
    assert stored.note == f"nothing to do on {kind}: Inkmeter does not know such events"
