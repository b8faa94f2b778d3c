"""Which deliveries about an invoice need no look at Stripe, and which do although they look alike."""

from datetime import UTC, datetime, timedelta
from itertools import count

import httpx
import pytest

from services import timetable
from storage.invoices import Invoice, InvoiceState
from storage.webhooks import WebhookEvent
from tests.services.hooks import deliver
from tests.services.steps import event, sign_up, stripe_books
from tests.world import World

pytestmark = pytest.mark.anyio

APRIL = datetime(2026, 4, 10, tzinfo=UTC)
ON_THE_WAY = ("invoice.finalized", "invoice.payment_failed", "invoice.paid", "invoice_payment.paid")
NUMBERS = count()


async def looks(world: World, kind: str, invoice_id: str) -> int:
    """How often a delivery about it makes us read the invoice."""
    read = []

    async def note(request: httpx.Request) -> None:
        if (request.method, request.url.path) == ("GET", f"/v1/invoices/{invoice_id}"):
            read.append(request)

    world.stripe.event_hooks = {"request": [note]}
    about = {"invoice": invoice_id} if kind.startswith("invoice_payment") else {}
    await deliver(world, f"evt_by_hand_{next(NUMBERS)}", kind, invoice_id, **about)
    world.stripe.event_hooks = {}
    return len(read)


async def test_a_draft_without_our_invoice(world: World) -> None:
    await sign_up(world)
    await world.work()
    await world.stripe.post("/_sandbox/webhooks", json={"drop": 1000})
    await world.travel_to(APRIL)
    [draft] = (await stripe_books(world))["invoice"]
    assert await looks(world, "invoice.updated", draft["id"]) == 1, "nobody has told us of it"
    assert await looks(world, "invoice.created", draft["id"]) == 1
    assert await looks(world, "invoice.updated", draft["id"]) == 0
    told = await WebhookEvent.filter(type="invoice.updated").order_by("-id").first()
    assert told is not None
    assert (told.state, told.note) == ("IGNORED", "our invoice is not on this draft yet")
    assert await looks(world, "invoice.finalized", draft["id"]) == 1, "Stripe may have done it by itself"


async def test_until_it_is_paid_it_is_looked_at_and_then_no_more(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("a", 3))
    await world.work()
    await world.travel_to(APRIL)
    await world.work()
    [theirs] = (await stripe_books(world))["customer"]
    await world.stripe.post(f"/_sandbox/customers/{theirs['id']}/card", json={"card": "decline"})
    await world.stripe.post("/_sandbox/webhooks", json={"drop": 1000})
    await world.travel_to(APRIL + timedelta(hours=1))
    await timetable.run_due_work(world.platform)
    await world.stripe.post("/_sandbox/flush")
    pushed = await Invoice.get()
    assert (pushed.state, pushed.stripe_total_minor, pushed.amount_paid_minor) == (InvoiceState.PUSHED, 600, 0)
    theirs_id = pushed.stripe_invoice_id
    assert await looks(world, "invoice.created", theirs_id) == 0, "the push has held it"
    assert await looks(world, "invoice.finalized", theirs_id) == 0, "the push has finalized it"
    for kind in ("invoice.updated", "invoice.payment_failed", "invoice.paid", "invoice.voided"):
        assert await looks(world, kind, theirs_id) == 1, kind
    assert (await Invoice.get()).state is InvoiceState.PAST_DUE
    await world.stripe.post(f"/_sandbox/customers/{theirs['id']}/card", json={"card": "success"})
    await world.stripe.post("/_sandbox/flush")
    assert await looks(world, "invoice.updated", theirs_id) == 1
    paid = await Invoice.get()
    assert (paid.state, paid.amount_paid_minor) == (InvoiceState.PAID, 600)
    for kind in ON_THE_WAY:
        assert await looks(world, kind, theirs_id) == 0, kind
    for kind in ("invoice.updated", "invoice.voided"):
        assert await looks(world, kind, theirs_id) == 1, "whatever has changed, also what cannot be"


async def test_a_payment_of_which_only_the_daily_look_has_told(world: World) -> None:
    customer = await sign_up(world)
    await customer.record(event("a", 3))
    await world.work()
    await world.travel_to(APRIL)
    await world.work()
    await world.stripe.post("/_sandbox/webhooks", json={"drop": 1000})
    for hours in (1, 26):
        await world.travel_to(APRIL + timedelta(hours=hours))
        await timetable.run_due_work(world.platform)
    paid = await Invoice.get()
    assert (paid.state, paid.amount_paid_minor) == (InvoiceState.PAID, 600), "as a webhook would have it"
    assert await looks(world, "invoice.paid", paid.stripe_invoice_id) == 0
