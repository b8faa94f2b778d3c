"""Invoices of their own, and the end of a subscription: the gateway's promises, kept against the sandbox over HTTP."""

from datetime import timedelta

import pytest

from inkmeter.errors import PaymentRefused, UpstreamTimeout
from inkmeter.money import Money
from integrations.protocols import Stripe
from integrations.stripe.gateway import StripeGateway
from tests.integrations.stripe.conftest import START, World
from tests.integrations.stripe.test_gateway import CYCLE_END, a_customer, a_draft, a_line, a_subscription

pytestmark = pytest.mark.anyio


async def an_invoice(stripe: Stripe, *, key: str = "invoice-1", is_retry: bool = False) -> str:
    return await stripe.ensure_invoice(
        key=key,
        is_retry=is_retry,
        customer_id=await a_customer(stripe, is_retry=is_retry),
        currency="USD",
        metadata={"tenant": "t1"},
    )


async def test_an_invoice_of_its_own_waits_for_its_lines(gateway: StripeGateway, world: World) -> None:
    customer = await a_customer(gateway)
    await world.post("/v1/invoiceitems", customer=customer, amount="900", currency="usd")
    draft = await gateway.invoice(await an_invoice(gateway))
    assert (draft.status, draft.is_advancing, draft.subscription_id, draft.lines) == ("draft", False, None, ())
    assert draft.metadata == {"tenant": "t1", "inkmeter_key": "invoice-1"}
    await world.travel(START + timedelta(days=5))
    item = await a_line(gateway, await gateway.invoice(draft.id))
    assert (await gateway.finalize_invoice(draft.id, key="finalize-1")).status == "open", "charged after the answer"
    final = await gateway.invoice(draft.id)
    assert (final.status, final.total, final.amount_paid) == ("paid", Money(1250, "USD"), Money(1250, "USD"))
    assert [line.invoice_item_id for line in final.lines] == [item], "what is pending stays pending"


async def test_it_is_made_once_and_found_again(gateway: StripeGateway, world: World) -> None:
    made = await an_invoice(gateway)
    assert await an_invoice(gateway) == made
    world.clock.travel_to(START + timedelta(days=2))
    assert await an_invoice(gateway, is_retry=True) == made
    assert await an_invoice(gateway, key="invoice-2", is_retry=True) != made


@pytest.mark.parametrize(("minor", "balance"), [(0, 0), (-700, -700), (30, 30)])
async def test_totals_that_are_not_charged_are_finalized_too(
    gateway: StripeGateway, world: World, minor: int, balance: int
) -> None:
    """Nothing, a credit, and less than the smallest charge: paid at once, the rest moves the customer's balance."""
    draft = await gateway.invoice(await an_invoice(gateway))
    if minor:
        await a_line(gateway, draft, minor)
    final = await gateway.finalize_invoice(draft.id, key="finalize-1")
    assert (final.status, final.total.minor, final.amount_due.minor, final.attempt_count) == ("paid", minor, 0, 0)
    assert (await world.get(f"/v1/customers/{draft.customer_id}"))["balance"] == balance
    again = await gateway.invoice(await an_invoice(gateway, key="invoice-2"))
    await a_line(gateway, again, 5000, key="line-2")
    await gateway.finalize_invoice(again.id, key="finalize-2")
    assert (await gateway.invoice(again.id)).amount_paid.minor == 5000 + balance


async def test_a_subscription_is_cancelled_once(gateway: StripeGateway, world: World) -> None:
    subscription = await a_subscription(gateway)
    for _ in range(2):
        await gateway.cancel_subscription(subscription.id, key="cancel-1")
    assert (await gateway.subscription(subscription.id)).status == "canceled"
    await world.travel(CYCLE_END + timedelta(days=40))
    assert (await world.books())["invoice"] == []
    with pytest.raises(PaymentRefused):
        await gateway.cancel_subscription("sub_unknown", key="cancel-2")


@pytest.mark.parametrize("kind", ["500", "timeout_before", "timeout_after"])
async def test_a_cancellation_without_an_answer_is_repeated(gateway: StripeGateway, world: World, kind: str) -> None:
    subscription = await a_subscription(gateway)
    await world.control("faults", kind=kind, times=1, method="DELETE")
    await gateway.cancel_subscription(subscription.id, key="cancel-1")
    assert (await gateway.subscription(subscription.id)).status == "canceled"


async def test_no_answer_at_all_to_a_cancellation(gateway: StripeGateway, world: World) -> None:
    subscription = await a_subscription(gateway)
    await world.control("faults", kind="timeout_before", times=3, method="DELETE")
    with pytest.raises(UpstreamTimeout):
        await gateway.cancel_subscription(subscription.id, key="cancel-1")
    await gateway.cancel_subscription(subscription.id, key="cancel-1")
    assert (await gateway.subscription(subscription.id)).status == "canceled"


async def test_collection_goes_on_after_a_cancellation(gateway: StripeGateway, world: World) -> None:
    draft = await a_draft(gateway, world)
    await a_line(gateway, draft)
    await world.control(f"customers/{draft.customer_id}/card", card="decline")
    await gateway.finalize_invoice(draft.id, key="finalize-1")
    assert draft.subscription_id is not None
    await gateway.cancel_subscription(draft.subscription_id, key="cancel-1")
    assert not (await gateway.invoice(draft.id)).is_advancing
    for _ in range(2):
        await gateway.resume_collection(draft.id)
    resumed = await gateway.invoice(draft.id)
    assert (resumed.status, resumed.is_advancing, resumed.attempt_count) == ("open", True, 1)
    await world.travel(CYCLE_END + timedelta(days=1))
    assert (await gateway.invoice(draft.id)).attempt_count == 2
    await world.control(f"customers/{draft.customer_id}/card", card="success")
    await gateway.resume_collection(draft.id)
    assert (await gateway.invoice(draft.id)).status == "paid"


async def test_a_draft_of_a_cancelled_subscription_can_still_be_billed(gateway: StripeGateway, world: World) -> None:
    draft = await a_draft(gateway, world)
    assert draft.subscription_id is not None
    await gateway.cancel_subscription(draft.subscription_id, key="cancel-1")
    await world.travel(CYCLE_END + timedelta(days=9))
    held = await gateway.invoice(draft.id)
    assert (held.status, held.is_advancing) == ("draft", False)
    await a_line(gateway, held)
    await gateway.finalize_invoice(draft.id, key="finalize-1")
    assert (await gateway.invoice(draft.id)).status == "paid"


async def test_what_was_finalized_just_before_it_was_held_is_collected(gateway: StripeGateway, world: World) -> None:
    draft = await a_draft(gateway, world)
    await a_line(gateway, draft)
    await world.control(f"customers/{draft.customer_id}/card", card="decline")
    await gateway.finalize_invoice(draft.id, key="by-somebody-else")
    held = await gateway.hold_invoice(draft.id)
    assert (held.status, held.is_advancing) == ("open", True)
