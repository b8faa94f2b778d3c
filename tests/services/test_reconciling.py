"""Reconciling with Stripe: what differs is found, kept once, explained, repaired where that is safe, and resolved."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from inkmeter.money import Money
from services import discrepancies, reconciling, timetable
from services.checking import check_invoices
from services.comparing import Difference, DifferenceKind
from storage.charges import Charge, ChargeKind
from storage.discrepancies import Discrepancy
from storage.invoices import Invoice, InvoiceState
from storage.tenants import Tenant
from storage.webhooks import WebhookEvent
from tests.services.dunning_steps import at_stripe, debtor, fail
from tests.services.order_steps import call_stripe
from tests.services.spoiling import invoices_at_stripe, join, kept, kinds, reconcile, spoil
from tests.services.steps import Json, do, event, fault, refused, stripe_books
from tests.services.terms import billed, cancel
from tests.world import START, World

pytestmark = pytest.mark.anyio

APRIL = datetime(2026, 4, 10, tzinfo=UTC)


async def test_equal_books_are_clean(world: World) -> None:
    await join(world)
    report = await reconcile(world)
    assert (report["isClean"], report["tenants"], report["checks"], report["differences"]) == (True, 1, 2, [])


async def test_too_much_at_stripe_is_credited_once(world: World) -> None:
    await join(world)
    [theirs] = await invoices_at_stripe(world)
    await spoil(world, "line", theirs["id"], do="change", position=0, amount=6500)
    [found] = (await reconcile(world))["differences"]
    assert (found["kind"], found["repair"], found["isRepaired"]) == ("AMOUNT", "CREDIT_NOTE", False)
    assert found["explanation"] == "Our line 'Fee (1 × 60.00)' is 60.00 USD, Stripe's is 65.00 USD."
    assert (found["ours"]["amount"], found["theirs"]["amount"]) == ("60.00", "65.00")
    for _ in range(3):
        report = await reconcile(world, repair=True)
        assert report["isClean"]
    books = await stripe_books(world)
    [note] = books["credit_note"]
    assert (note["amount"], note["invoice"], books["customer"][0]["balance"]) == (500, theirs["id"], -500)
    [row] = await kept(world)
    assert (row["state"], row["repair"], row["times"]) == ("RESOLVED", "CREDIT_NOTE", 1)


async def test_too_little_at_stripe_is_on_our_next_invoice(world: World) -> None:
    customer = await join(world)
    [theirs] = await invoices_at_stripe(world)
    await spoil(world, "line", theirs["id"], do="remove", position=1)
    for _ in range(3):
        assert (await reconcile(world, repair=True))["isClean"]
    [charge] = await Charge.all()
    assert (charge.kind, charge.amount_minor) == (ChargeKind.CORRECTION, 6000)
    await world.travel_to(APRIL + timedelta(hours=1))
    await world.work()
    closed = (await billed(customer))[-1]
    [line] = [line for line in closed["lines"] if line["kind"] == "CHARGE"]
    assert line["label"].startswith("Correction of invoice 00000001-0001: Per seat")
    assert (await reconcile(world))["isClean"]


@pytest.mark.parametrize(
    ("order", "kind", "repair"),
    [
        ({"do": "remove"}, "MISSING", "CHARGE"),
        ({"do": "double"}, "DUPLICATE", "CREDIT_NOTE"),
        ({"do": "change", "amount": 5900}, "AMOUNT", "CHARGE"),
        ({"do": "change", "currency": "eur"}, "CURRENCY", None),
        ({"do": "change", "period": {"start": 1, "end": 2}}, "PERIOD", None),
        ({"do": "add", "amount": 700}, "STRIPE_ONLY", None),
    ],
)
async def test_each_class_on_a_paid_invoice(world: World, order: Json, kind: str, repair: str | None) -> None:
    await join(world)
    [theirs] = await invoices_at_stripe(world)
    await spoil(world, "line", theirs["id"], **order)
    assert [(f["kind"], f["repair"]) for f in (await reconcile(world))["differences"]] == [(kind, repair)]
    before = await stripe_books(world)
    report = await reconcile(world, repair=True, dryRun=True)
    assert [(f["kind"], f["repair"], f["discrepancy"]) for f in report["differences"]] == [(kind, repair, None)]
    assert await stripe_books(world) == before
    assert (await reconcile(world, repair=True))["isClean"] == (repair is not None)
    assert len(await kept(world, state="OPEN")) == (repair is None)
    if repair is None:
        after = await stripe_books(world)
        assert (after["invoiceitem"], after["credit_note"]) == (before["invoiceitem"], before["credit_note"])


async def test_sums_states_and_what_is_gone(world: World) -> None:
    await join(world)
    [theirs] = await invoices_at_stripe(world)
    await spoil(world, "sums", theirs["id"], total=11000)
    assert kinds(await reconcile(world)) == ["HEADER"]
    await spoil(world, "sums", theirs["id"], total=12000, status="void")
    assert kinds(await reconcile(world)) == ["STATE"]
    await spoil(world, "forget", theirs["id"])
    assert kinds(await reconcile(world)) == ["INVOICE_MISSING"]
    assert sorted((row["kind"], row["state"]) for row in await kept(world)) == [
        ("HEADER", "RESOLVED"),
        ("INVOICE_MISSING", "OPEN"),
        ("STATE", "RESOLVED"),
    ]


async def test_a_payment_whose_webhook_was_lost_is_taken_over(world: World) -> None:
    await join(world)
    await Invoice.all().update(state=InvoiceState.PUSHED, paid_at=None)
    [found] = (await reconcile(world))["differences"]
    assert (found["kind"], found["repair"]) == ("STATE", "TAKE_STATE")
    assert (await reconcile(world, repair=True))["isClean"]
    assert [invoice.state for invoice in await Invoice.all()] == [InvoiceState.PAID]


async def test_an_invoice_that_was_voided_and_nobody_was_told(world: World) -> None:
    await join(world)
    [theirs] = await invoices_at_stripe(world)
    await spoil(world, "sums", theirs["id"], status="void")
    await Invoice.all().update(state=InvoiceState.PUSHED, paid_at=None)
    [found] = (await reconcile(world))["differences"]
    assert (found["kind"], found["repair"]) == ("STATE", "TAKE_STATE")
    assert (await reconcile(world, repair=True))["isClean"]
    assert [invoice.state for invoice in await Invoice.all()] == [InvoiceState.VOID]


async def test_what_comes_back_is_opened_again_and_repaired_again(world: World) -> None:
    await join(world)
    [theirs] = await invoices_at_stripe(world)
    await spoil(world, "line", theirs["id"], do="change", amount=6500)
    assert (await reconcile(world, repair=True))["isClean"]
    await spoil(world, "line", theirs["id"], do="change", amount=6700)
    assert (await reconcile(world, repair=True))["isClean"]
    assert [note["amount"] for note in (await stripe_books(world))["credit_note"]] == [500, 200]
    [row] = await kept(world)
    assert (row["times"], row["state"]) == (2, "RESOLVED")


async def test_a_person_explains_what_stays(world: World) -> None:
    await join(world)
    [theirs] = await invoices_at_stripe(world)
    await spoil(world, "line", theirs["id"], do="add", amount=700)
    [row] = [found["discrepancy"] for found in (await reconcile(world))["differences"]]
    explain = "discrepancy { state note }"
    assert (
        refused(await do(world.operator, "explainDiscrepancy", explain, id=row["id"], note=" "))["code"]
        == "INVALID_INPUT"
    )
    said = await do(world.operator, "explainDiscrepancy", explain, id=row["id"], note="A setup fee, by hand.")
    assert said["discrepancy"] == {"state": "EXPLAINED", "note": "A setup fee, by hand."}
    assert (await reconcile(world))["isClean"]
    await spoil(world, "line", theirs["id"], do="add", amount=800)
    assert [found["discrepancy"]["state"] for found in (await reconcile(world))["differences"]] == ["EXPLAINED", "OPEN"]


async def test_invoices_that_we_do_not_know(world: World) -> None:
    """Another system's, one of a database that was restored, a second one for ours."""
    customer = await join(world)
    [theirs] = (await stripe_books(world))["customer"]
    [ours] = await Invoice.all()
    path = f"/_sandbox/customers/{theirs['id']}/invoice"
    for metadata in ({}, {"invoice_id": "01940000-0000-7000-8000-000000000000"}, {"invoice_id": str(ours.id)}):
        order = {"amount": 900, "metadata": metadata}
        (await world.stripe.post(path, json=order)).raise_for_status()
    for metadata in ({"inkmeter_key": "topup:1"}, {"invoice_id": "junk"}):
        (await world.stripe.post(path, json={"amount": 900, "metadata": metadata})).raise_for_status()
    before = await stripe_books(world)
    report = await reconcile(world, tenantId=customer.id, repair=True)
    assert kinds(report) == ["DUPLICATE", "EXTRA", "EXTRA", "STRIPE_ONLY"]
    assert {found["repair"] for found in report["differences"]} == {None}
    assert (await stripe_books(world))["invoice"] == before["invoice"], "nothing of another system's is touched"


async def test_deleted_customers_and_cancelled_subscriptions(world: World) -> None:
    customer, other = await join(world), await join(world, "bolt", "other")
    headers = {"authorization": "Bearer sk_test_inkmeter"}
    [first, second] = (await stripe_books(world))["customer"]
    [subscription] = [s for s in (await stripe_books(world))["subscription"] if s["customer"] == second["id"]]
    (await world.stripe.delete(f"/v1/customers/{first['id']}", headers=headers)).raise_for_status()
    (await world.stripe.delete(f"/v1/subscriptions/{subscription['id']}", headers=headers)).raise_for_status()
    assert kinds(await reconcile(world, tenantId=customer.id)) == ["CUSTOMER"]
    assert kinds(await reconcile(world, tenantId=other.id)) == ["SUBSCRIPTION"]


@pytest.mark.parametrize(
    ("order", "kind", "repair"),
    [
        ({"do": "remove"}, "MISSING", "ADD_ITEM"),
        ({"do": "double"}, "DUPLICATE", "REMOVE_ITEM"),
        ({"do": "change", "amount": 1}, "AMOUNT", "REPLACE_ITEM"),
    ],
)
async def test_a_held_draft_is_mended_and_goes_out(world: World, order: Json, kind: str, repair: str) -> None:
    customer = await join(world)
    await customer.record(event("a", 3))
    await world.travel_to(APRIL)
    await world.work()
    draft = (await invoices_at_stripe(world))[-1]
    await fault(world.stripe, "500", 3, on=f"/v1/invoices/{draft['id']}/finalize")
    await world.travel_to(APRIL + timedelta(hours=1))
    await world.work()  # its lines are on it, and it is not finalized
    await spoil(world, "line", draft["id"], **order)
    await world.travel_to(APRIL + timedelta(hours=4))
    await world.work()
    assert [row["kind"] for row in await kept(world, state="OPEN")] == ["INVOICE_TOTAL"]
    [found] = (await reconcile(world))["differences"]
    assert (found["kind"], found["repair"]) == (kind, repair)
    assert (await reconcile(world, repair=True))["isClean"]
    await world.work()
    assert (await billed(customer))[-1]["state"] == "PAID"
    assert await kept(world, state="OPEN") == []
    assert (await reconcile(world))["isClean"]


async def fault_off(world: World) -> None:
    """Calls succeed again."""
    world.stripe._transport.app.state.account.faults.clear()  # type: ignore[attr-defined]


async def test_two_reconciles_at_once_repair_once(world: World) -> None:
    await join(world)
    [theirs] = await invoices_at_stripe(world)
    await spoil(world, "line", theirs["id"], do="change", position=0, amount=6500)
    await spoil(world, "line", theirs["id"], do="change", position=1, amount=5000)
    await asyncio.gather(*(reconcile(world, repair=True) for _ in range(4)))
    assert (await reconcile(world))["isClean"]
    assert [note["amount"] for note in (await stripe_books(world))["credit_note"]] == [500]
    assert [charge.amount_minor for charge in await Charge.all()] == [1000]
    assert [row["times"] for row in await kept(world)] == [1, 1]


@pytest.mark.parametrize("kind", ["500", "500_remembered", "timeout_before", "timeout_after", "429"])
async def test_a_repair_that_failed_is_tried_again(world: World, kind: str) -> None:
    await join(world)
    [theirs] = await invoices_at_stripe(world)
    await spoil(world, "line", theirs["id"], do="change", amount=6500)
    await fault(world.stripe, kind, 3, on="/v1/credit_notes")
    [found] = (await reconcile(world, repair=True))["differences"]
    assert found["problem"]
    assert not found["isRepaired"]
    await fault_off(world)
    world.clock.travel_to(START + timedelta(days=2))  # Stripe has forgotten its keys
    assert (await reconcile(world, repair=True))["isClean"]
    assert [note["amount"] for note in (await stripe_books(world))["credit_note"]] == [500]


async def test_a_charge_without_a_next_invoice_stays_open(world: World) -> None:
    customer = await join(world)
    await cancel(customer)
    await world.travel_to(START + timedelta(days=1))
    await world.work()
    opening = (await invoices_at_stripe(world))[0]
    await spoil(world, "line", opening["id"], do="remove", position=0)
    [found] = (await reconcile(world, repair=True))["differences"]
    assert (found["kind"], found["repair"], found["isRepaired"]) == ("MISSING", "CHARGE", False)
    assert "subscription" in found["problem"]
    assert await Charge.all().count() == 0


async def test_the_daily_job_goes_through_all_tenants(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "TENANTS_AT_ONCE", 2)
    for name in ("acme", "bolt", "crux", "dune", "echo"):
        await join(world, name, f"plan-{name}")
    for theirs in await invoices_at_stripe(world):
        await spoil(world, "line", theirs["id"], do="change", amount=6500)
    await reconciling.schedule_reconciling(world.platform)
    await reconciling.schedule_reconciling(world.platform)
    await world.travel_to(START + timedelta(days=1))
    for _ in range(4):
        await timetable.run_due_work(world.platform)
        world.clock.travel_to(world.clock.now() + timedelta(seconds=2))
    assert [row["kind"] for row in await kept(world, state="OPEN")] == ["AMOUNT"] * 5
    assert (await stripe_books(world))["credit_note"] == [], "it repairs nothing"


async def test_pages_of_tenants(world: World) -> None:
    for name in ("acme", "bolt", "crux"):
        await join(world, name, f"plan-{name}")
    first = await reconcile(world, first=2)
    assert (first["tenants"], first["isClean"]) == (2, True)
    rest = await reconcile(world, first=2, after=first["endCursor"])
    assert (rest["tenants"], rest["endCursor"]) == (1, None)


async def test_one_tenants_trouble_does_not_stop_the_others(world: World) -> None:
    await join(world)
    await join(world, "bolt", "other")
    await fault(world.stripe, "500", 3, on="/v1/customers", method="GET")
    report = await reconcile(world)
    assert (report["tenants"], len(report["failures"]), report["isClean"]) == (2, 1, False)


async def test_what_another_one_opened_meanwhile_is_told_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared by two at once: the second finds the row of the first, and does not call the books clean."""
    await join(world)
    [theirs] = await invoices_at_stripe(world)
    await spoil(world, "line", theirs["id"], do="add", amount=700)
    known_of, looks = discrepancies.known_of, 0

    async def known_before_the_other(tenant_id: int, scope: str) -> discrepancies.Known:
        nonlocal looks
        known = await known_of(tenant_id, scope)
        looks += 1
        if looks == 1:
            assert not (await reconcile(world))["isClean"]
        return known

    monkeypatch.setattr(discrepancies, "known_of", known_before_the_other)
    monkeypatch.setattr(reconciling, "CHECKS", [check_invoices])
    report = await reconcile(world, repair=True)
    assert (kinds(report), report["isClean"]) == (["STRIPE_ONLY"], False)
    assert report["differences"][0]["discrepancy"]["times"] == 1


async def test_an_older_look_opens_nothing_again(world: World) -> None:
    """Compared before another one repaired it, noted after."""
    await join(world)
    [theirs] = await invoices_at_stripe(world)
    await spoil(world, "line", theirs["id"], do="change", amount=6500)
    await reconcile(world)
    [row] = await Discrepancy.all()
    assert (await reconcile(world, repair=True))["isClean"]
    owner = await Tenant.get(id=row.tenant_id)
    seen = Difference(
        DifferenceKind.AMOUNT, row.subject, Money(6000, "USD"), Money(6500, "USD"), str(row.explanation), {}
    )
    scope = discrepancies.scope_of(row.subject)
    for known in ({(row.kind, row.subject): row}, {}):
        await discrepancies.note_differences(world.platform, owner, known, scope, {"AMOUNT"}, [seen])
    assert [(kept.state.value, kept.times) for kept in await Discrepancy.all()] == [("RESOLVED", 1)]


async def test_a_credit_note_by_hand_is_told_at_once_and_over_when_it_is_voided(world: World) -> None:
    await join(world)
    [theirs] = await invoices_at_stripe(world)
    note = await call_stripe(world, "/v1/credit_notes", invoice=theirs["id"], amount=500, credit_amount=500)
    await world.work()
    [row] = await kept(world)
    assert (row["kind"], row["state"], row["theirs"]["amount"]) == ("STRIPE_ONLY", "OPEN", "-5.00")
    assert row["explanation"].startswith("Somebody took 5.00 USD off the invoice at Stripe by a credit note")
    assert kinds(await reconcile(world, repair=True)) == ["STRIPE_ONLY"], "which is never touched"
    [stored] = await Discrepancy.all()
    assert stored.evidence["stripe_credit_note_id"] == note["id"]
    await discrepancies.explain_discrepancy(world.platform, stored.id, "A month with an outage.")
    assert (await reconcile(world))["isClean"]


async def test_a_credit_note_that_is_voided_is_over(world: World) -> None:
    customer = await debtor(world)
    await fail(world)
    [theirs] = await at_stripe(world, customer)
    note = await call_stripe(world, "/v1/credit_notes", invoice=theirs["id"], amount=200)
    await world.work()
    assert [(row["kind"], row["state"]) for row in await kept(world)] == [("STRIPE_ONLY", "OPEN")]
    await call_stripe(world, f"/v1/credit_notes/{note['id']}/void")
    await world.work()
    assert [(row["kind"], row["state"]) for row in await kept(world)] == [("STRIPE_ONLY", "RESOLVED")]


async def test_credit_notes_of_others_are_ignored(world: World) -> None:
    await join(world)
    [theirs] = (await stripe_books(world))["customer"]
    made = await call_stripe(world, "/v1/invoices", customer=theirs["id"], auto_advance="false")
    await call_stripe(world, "/v1/invoiceitems", customer=theirs["id"], invoice=made["id"], amount=700, currency="usd")
    await call_stripe(world, f"/v1/invoices/{made['id']}/pay")
    await call_stripe(world, "/v1/credit_notes", invoice=made["id"], amount=500, credit_amount=500)
    await world.work()
    [event] = await WebhookEvent.filter(type="credit_note.created")
    assert (event.state, event.note) == ("IGNORED", "not an invoice of ours")
