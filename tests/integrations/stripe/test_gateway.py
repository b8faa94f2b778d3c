"""The gateway's promises, kept against the sandbox over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inkmeter.errors import PaymentRefused, UpstreamError, UpstreamRateLimited, UpstreamTimeout
from inkmeter.money import Money
from inkmeter.periods import BillingPeriod
from integrations.protocols import UNKNOWN_ID, Stripe, StripeInvoice, StripeLineToBe, StripeSubscription
from integrations.stripe.errors import RememberedFailure
from integrations.stripe.gateway import StripeGateway
from tests.integrations.stripe.conftest import START, World

pytestmark = pytest.mark.anyio

CYCLE_END = datetime(2027, 2, 28, tzinfo=UTC)
PERIOD = BillingPeriod(START, CYCLE_END)


async def a_customer(stripe: Stripe, *, key: str = "customer-1", is_retry: bool = False) -> str:
    return await stripe.ensure_customer(
        key=key, is_retry=is_retry, name="Acme", email="billing@acme.test", metadata={"tenant": "t1"}
    )


async def a_price(stripe: Stripe, *, currency: str = "USD", is_retry: bool = False) -> str:
    product = await stripe.ensure_product(key="product-1", is_retry=is_retry, name="Business", metadata={})
    return await stripe.ensure_base_price(
        key="price-1", product_id=product, currency=currency, interval="month", lookup_key="inkmeter-base-month"
    )


async def a_subscription(stripe: Stripe, *, key: str = "subscription-1", is_retry: bool = False) -> StripeSubscription:
    return await stripe.ensure_subscription(
        key=key,
        is_retry=is_retry,
        customer_id=await a_customer(stripe, is_retry=is_retry),
        items={await a_price(stripe, is_retry=is_retry): 1},
        cycle_anchor_at=CYCLE_END,
        metadata={"tenant": "t1"},
    )


async def a_draft(stripe: Stripe, world: World) -> StripeInvoice:
    """The cycle's draft, born a minute ago."""
    subscription = await a_subscription(stripe)
    await world.travel(CYCLE_END + timedelta(minutes=1))
    draft = await stripe.find_draft_invoice(subscription.id, CYCLE_END)
    assert draft is not None
    return draft


async def a_line(
    stripe: Stripe, draft: StripeInvoice, minor: int = 1250, *, key: str = "line-1", is_retry: bool = False
) -> str:
    return await stripe.add_line(
        key=key,
        is_retry=is_retry,
        invoice=draft,
        amount=Money(minor, "USD"),
        description="25 documents",
        period=PERIOD,
        metadata={"line": key},
    )


async def test_a_customer_is_made_once_and_found_by_its_key_when_stripe_has_forgotten(
    gateway: StripeGateway, world: World
) -> None:
    made = await a_customer(gateway)
    assert made.startswith("cus_")
    assert await a_customer(gateway) == made  # Stripe's own memory of the key
    world.clock.travel_to(START + timedelta(days=3))
    assert await a_customer(gateway, is_retry=True) == made
    assert await a_customer(gateway, key="customer-2", is_retry=True) != made  # the same address, another intent
    [first, _] = (await world.books())["customer"]
    assert first["metadata"] == {"tenant": "t1", "inkmeter_key": "customer-1"}


async def test_without_the_look_up_a_forgotten_key_would_make_a_second_customer(
    gateway: StripeGateway, world: World
) -> None:
    made = await a_customer(gateway)
    world.clock.travel_to(START + timedelta(days=3))
    assert await a_customer(gateway) != made


async def test_products_subscriptions_and_lines_are_found_again_too(gateway: StripeGateway, world: World) -> None:
    product = await gateway.ensure_product(key="product-1", is_retry=False, name="Business", metadata={})
    draft = await a_draft(gateway, world)
    line = await a_line(gateway, draft)
    world.clock.travel_to(CYCLE_END + timedelta(days=2))
    assert await gateway.ensure_product(key="product-1", is_retry=True, name="Business", metadata={}) == product
    assert (await a_subscription(gateway, is_retry=True)).id == draft.subscription_id
    assert await a_line(gateway, draft, is_retry=True) == line
    assert len((await world.books())["invoiceitem"]) == 1


async def test_a_search_among_many_pages_to_the_end(gateway: StripeGateway, world: World) -> None:
    made = await a_customer(gateway)
    for number in range(101):
        await world.post("/v1/customers", email="billing@acme.test", name=str(number))
    assert await a_customer(gateway, is_retry=True) == made


async def test_the_base_price_is_free_and_known_by_its_lookup_key(gateway: StripeGateway, world: World) -> None:
    price = await a_price(gateway)
    assert await a_price(gateway) == price
    stored = await world.get(f"/v1/prices/{price}")
    assert (stored["unit_amount"], stored["recurring"]["interval"], stored["currency"]) == (0, "month", "usd")
    with pytest.raises(PaymentRefused, match="other terms"):
        await a_price(gateway, currency="EUR")


async def test_a_subscription_starts_free_and_cycles_at_the_anchor(gateway: StripeGateway, world: World) -> None:
    subscription = await a_subscription(gateway)
    assert subscription.status == "active"
    assert subscription.period_end == CYCLE_END
    assert subscription.metadata["tenant"] == "t1"
    assert (await world.books())["invoice"] == []
    await world.travel(CYCLE_END)
    assert (await gateway.subscription(subscription.id)).period_end == datetime(2027, 3, 28, tzinfo=UTC)


async def test_there_is_no_draft_before_the_cycle_ends_nor_for_another_period(
    gateway: StripeGateway, world: World
) -> None:
    subscription = await a_subscription(gateway)
    assert await gateway.find_draft_invoice(subscription.id, CYCLE_END) is None
    await world.travel(CYCLE_END + timedelta(minutes=1))
    assert await gateway.find_draft_invoice(subscription.id, CYCLE_END + timedelta(days=28)) is None
    nearly = await gateway.find_draft_invoice(subscription.id, CYCLE_END - timedelta(hours=1))
    assert nearly is not None
    assert nearly.billing_reason == "subscription_cycle"
    assert nearly.period == (START, CYCLE_END)


@pytest.mark.parametrize("foreign", ["..", ".", "../customers", "a/b", "a?b=c", "a#b"])
async def test_an_id_leads_nowhere_else(gateway: StripeGateway, foreign: str) -> None:
    with pytest.raises(PaymentRefused) as refused:
        await gateway.invoice(foreign)
    assert refused.value.upstream_code == UNKNOWN_ID


async def test_a_month_becomes_a_paid_invoice(gateway: StripeGateway, world: World) -> None:
    draft = await a_draft(gateway, world)
    assert draft.is_advancing
    await gateway.hold_invoice(draft.id)
    await gateway.hold_invoice(draft.id)
    await world.travel(CYCLE_END + timedelta(days=2))  # far past Stripe's own hour
    held = await gateway.invoice(draft.id)
    assert (held.status, held.is_advancing) == ("draft", False)

    items = [await a_line(gateway, held, 1250), await a_line(gateway, held, -250, key="line-2")]
    full = await gateway.invoice(draft.id)
    assert [line.invoice_item_id for line in full.lines] == [None, *items]
    assert full.total == Money(1000, "USD")
    assert full.lines[1].description == "25 documents"

    assert (await gateway.finalize_invoice(draft.id, key="finalize-1")).status == "open", "charged after the answer"
    final = await gateway.invoice(draft.id)
    await world.control("flush")
    assert (final.status, final.amount_paid, final.attempt_count) == ("paid", Money(1000, "USD"), 1)
    assert final.hosted_url
    assert {"invoice.created", "invoice.finalized", "invoice.paid"} <= set(world.inbox.types())
    paid = next(event for event in world.inbox.events if event.type == "invoice.paid")
    assert (paid.object_type, paid.object_id) == ("invoice", draft.id)


async def test_finalizing_again_answers_the_invoice_as_it_is_now(gateway: StripeGateway, world: World) -> None:
    draft = await a_draft(gateway, world)
    await a_line(gateway, draft)
    await world.control(f"customers/{draft.customer_id}/card", card="decline")
    assert (await gateway.finalize_invoice(draft.id, key="finalize-1")).status == "open"
    await world.control(f"customers/{draft.customer_id}/card", card="success")
    assert (await gateway.finalize_invoice(draft.id, key="finalize-1")).status == "paid"
    assert (await gateway.finalize_invoice(draft.id, key="finalize-2")).status == "paid"


def lines_to_be(*minors: int) -> list[StripeLineToBe]:
    return [
        StripeLineToBe(f"line-{number}", Money(minor, "USD"), f"{minor} documents", PERIOD, {"line": str(number)})
        for number, minor in enumerate(minors)
    ]


async def test_lines_are_added_together_and_known_by_their_keys(gateway: StripeGateway, world: World) -> None:
    draft = await a_draft(gateway, world)
    wanted = lines_to_be(1250, -250, *range(10))  # more than an invoice carries
    added = await gateway.add_lines(key="lines-1", is_retry=False, invoice=draft, lines=wanted)
    assert added.invoice == await gateway.invoice(draft.id)
    assert added.invoice.subtotal == Money(1045, "USD")
    found = {line.invoice_item_id: line for line in added.invoice.lines}
    assert {key: found[item].amount for key, item in added.items.items()} == {new.key: new.amount for new in wanted}
    metadata = await gateway.item_metadata(draft.id)
    assert metadata[added.items["line-1"]] == {"line": "1", "inkmeter_key": "line-1"}
    again = await gateway.add_lines(key="lines-1", is_retry=False, invoice=draft, lines=wanted)
    assert (again.items, again.invoice) == (added.items, added.invoice), "Stripe's own memory of the key"


@pytest.mark.parametrize("bearer", ["item", "line"])
async def test_lines_are_found_when_stripe_has_forgotten_whoever_bears_the_metadata(
    gateway: StripeGateway, world: World, bearer: str
) -> None:
    """That items made with an invoice's lines have these lines' metadata is not promised."""
    draft = await a_draft(gateway, world)
    added = await gateway.add_lines(key="lines-1", is_retry=False, invoice=draft, lines=lines_to_be(700, 900))
    books = world.app.state.account.books
    for kind in {"invoiceitem", "line_item"} - {"invoiceitem" if bearer == "item" else "line_item"}:
        for stored in books.tables[kind].values():
            stored["metadata"] = {}
    await gateway.hold_invoice(draft.id)
    world.clock.travel_to(CYCLE_END + timedelta(days=3))
    again = await gateway.add_lines(key="lines-1", is_retry=True, invoice=draft, lines=lines_to_be(700, 900))
    assert again.items == added.items
    assert len((await world.books())["invoiceitem"]) == 2
    await gateway.remove_item(added.items["line-0"])
    rest = await gateway.add_lines(key="lines-1", is_retry=True, invoice=draft, lines=lines_to_be(700, 900))
    assert rest.items == {"line-1": added.items["line-1"]}, "what is missing is the caller's to add"
    assert rest.invoice.subtotal == Money(900, "USD")


async def test_lines_that_nobody_names_are_not_added_a_second_time(gateway: StripeGateway, world: World) -> None:
    draft = await a_draft(gateway, world)
    books = world.app.state.account.books
    emit = books.emit

    def forget(kind: str, stored: dict[str, Any], previous: Any = None) -> Any:
        for each in (*books.tables["invoiceitem"].values(), *books.tables["line_item"].values()):
            each["metadata"] = {}
        return emit(kind, stored, previous)

    books.emit = forget
    for _ in range(2):
        with pytest.raises(UpstreamError, match="does not name"):
            await gateway.add_lines(key="lines-1", is_retry=True, invoice=draft, lines=lines_to_be(700))
    assert len((await world.books())["invoiceitem"]) == 1


async def test_lines_are_added_all_or_none(gateway: StripeGateway, world: World) -> None:
    draft = await a_draft(gateway, world)
    await gateway.hold_invoice(draft.id)
    with pytest.raises(PaymentRefused, match="250"):
        await gateway.add_lines(key="lines-1", is_retry=False, invoice=draft, lines=lines_to_be(*range(251)))
    assert (await world.books())["invoiceitem"] == []
    await gateway.finalize_invoice(draft.id, key="finalize-1")
    with pytest.raises(PaymentRefused) as refused:
        await gateway.add_lines(key="lines-2", is_retry=False, invoice=draft, lines=lines_to_be(700))
    assert refused.value.upstream_code == "invoice_not_editable"


async def test_lines_cannot_be_added_after_finalizing(gateway: StripeGateway, world: World) -> None:
    draft = await a_draft(gateway, world)
    await gateway.finalize_invoice(draft.id, key="finalize-1")
    with pytest.raises(PaymentRefused) as refused:
        await a_line(gateway, draft)
    assert refused.value.upstream_code == "invoice_not_editable"


async def test_all_lines_are_read_though_an_invoice_carries_only_the_first_ten(
    gateway: StripeGateway, world: World
) -> None:
    draft = await a_draft(gateway, world)
    for number in range(101):
        await a_line(gateway, draft, number, key=f"line-{number}")
    full = await gateway.invoice(draft.id)
    assert len(full.lines) == 102
    assert sum(line.amount.minor for line in full.lines) == full.total.minor == 5050


async def test_a_declined_card_leaves_the_invoice_open_and_the_subscription_past_due(
    gateway: StripeGateway, world: World
) -> None:
    draft = await a_draft(gateway, world)
    await a_line(gateway, draft)
    await world.control(f"customers/{draft.customer_id}/card", card="decline")
    await gateway.finalize_invoice(draft.id, key="finalize-1")
    final = await gateway.invoice(draft.id)
    assert (final.status, final.attempt_count, final.amount_paid.minor) == ("open", 1, 0)
    assert final.next_payment_attempt_at == world.clock.now() + timedelta(days=3)
    assert draft.subscription_id is not None
    assert (await gateway.subscription(draft.subscription_id)).status == "past_due"
    await world.control("flush")
    assert "invoice.payment_failed" in world.inbox.types()

    await world.control(f"customers/{draft.customer_id}/card", card="success")
    assert (await gateway.invoice(draft.id)).status == "paid"
    assert (await gateway.subscription(draft.subscription_id)).status == "active"


@pytest.mark.parametrize("kind", ["timeout_after", "timeout_before"])
async def test_an_answer_that_got_lost_is_asked_for_again_without_a_second_effect(
    gateway: StripeGateway, world: World, kind: str
) -> None:
    await world.control("faults", kind=kind, times=2)
    await a_customer(gateway)
    assert len((await world.books())["customer"]) == 1


async def test_no_answer_at_all_is_an_unknown_outcome_and_a_repeat_finds_what_happened(
    gateway: StripeGateway, world: World
) -> None:
    await world.control("faults", kind="timeout_after", times=3)
    with pytest.raises(UpstreamTimeout):
        await a_customer(gateway)
    [accepted] = (await world.books())["customer"]
    world.clock.travel_to(START + timedelta(days=2))
    assert await a_customer(gateway, is_retry=True) == accepted["id"]


@pytest.mark.parametrize("kind", ["500", "409", "timeout_before"])
async def test_failures_that_stay_are_unknown_outcomes(gateway: StripeGateway, world: World, kind: str) -> None:
    await world.control("faults", kind=kind, times=3)
    with pytest.raises(UpstreamTimeout):
        await a_customer(gateway)
    assert await a_customer(gateway)


async def test_a_rate_limit_is_not_repeated_at_once(gateway: StripeGateway, world: World) -> None:
    await world.control("faults", kind="429")
    with pytest.raises(UpstreamRateLimited):
        await a_customer(gateway)
    assert (await world.books())["customer"] == []


async def test_a_failure_that_stripe_remembers_does_not_block_the_intent_for_a_day(
    gateway: StripeGateway, world: World
) -> None:
    await world.control("faults", kind="500_remembered")
    with pytest.raises(RememberedFailure):
        await a_customer(gateway)
    assert await a_customer(gateway, is_retry=True) == await a_customer(gateway, is_retry=True)
    [made] = (await world.books())["customer"]
    assert made["metadata"]["inkmeter_key"] == "customer-1"


async def test_a_key_used_for_something_else_is_refused(gateway: StripeGateway) -> None:
    await a_customer(gateway, key="shared")
    with pytest.raises(PaymentRefused) as refused:
        await gateway.ensure_product(key="shared", is_retry=False, name="Business", metadata={})
    assert refused.value.upstream_code == "idempotency_error"


async def test_refusals_keep_stripes_code(gateway: StripeGateway, world: World) -> None:
    with pytest.raises(PaymentRefused) as unknown:
        await gateway.invoice("in_unknown")
    assert unknown.value.upstream_code == "resource_missing"
    stranger = StripeGateway(api_key="sk_test_other", api_base="http://stripe", http_client=gateway._http)
    with pytest.raises(PaymentRefused, match="Invalid API Key") as refused:
        await stranger.invoice("in_unknown")
    assert refused.value.upstream_code == "invalid_request_error"


async def test_every_request_was_checked_against_stripes_openapi(gateway: StripeGateway, openapi: object) -> None:
    """Skipped where the file is absent; elsewhere every test of this file goes through the checking client."""
    await a_subscription(gateway)
    checked = [path for _, path, _ in getattr(gateway._http, "seen")]  # noqa: B009
    assert checked == ["/v1/customers", "/v1/products", "/v1/prices", "/v1/subscriptions"]
