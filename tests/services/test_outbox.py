"""The outbox: every call that changes Stripe is noted before it is made, and nothing is made twice."""

from datetime import timedelta
from uuid import uuid4

import pytest

from inkmeter.errors import PaymentRefused, UpstreamError, UpstreamRateLimited, UpstreamTimeout
from integrations.protocols import CallOutcome, CallState, StripeCall
from services import outbox, timetable
from storage.intents import Intent, IntentState
from tests.services.spoiling import join
from tests.services.steps import Json, fault, sign_up, stripe_books
from tests.world import START, World

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("impatient")]

DAY = timedelta(days=1)


async def make_customer(world: World, *, name: str = "Acme", email: str = "a@acme.test", is_retry: bool = False) -> str:
    return await world.platform.stripe.ensure_customer(
        key="tenant:acme:customer", is_retry=is_retry, name=name, email=email, metadata={}
    )


async def customers(world: World) -> list[str]:
    return [customer["id"] for customer in (await stripe_books(world))["customer"]]


async def only() -> Intent:
    [intent] = await Intent.all()
    return intent


async def test_every_call_that_changes_stripe_is_noted(world: World) -> None:
    customer = await sign_up(world)
    books = await stripe_books(world)
    made = {entry["id"] for kind in ("customer", "product", "price", "subscription") for entry in books[kind]}
    intents = await Intent.all().order_by("id")
    assert {intent.object_id for intent in intents} == made
    assert {intent.state for intent in intents} == {IntentState.CONFIRMED}
    assert {intent.tenant_id for intent in intents} == {customer.tenant.id}
    assert all(intent.attempts == 1 and intent.request_id and intent.settled_at for intent in intents)
    assert {intent.method for intent in intents} == {"POST"}


async def test_it_is_noted_before_the_call(world: World) -> None:
    """A process that dies during the call leaves what it was about to do."""
    await fault(world.stripe, "timeout_before", 3, on="/v1/customers")
    with pytest.raises(UpstreamTimeout):
        await make_customer(world)
    intent = await only()
    assert (intent.state.value, intent.attempts) == ("UNKNOWN", 3)
    assert intent.object_id is None
    assert intent.settled_at is None
    assert (intent.created_at, intent.path) == (START, "/v1/customers")


@pytest.mark.parametrize("later", [timedelta(minutes=1), 2 * DAY], ids=["key known", "key forgotten"])
@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "500"])
async def test_an_unknown_outcome_is_looked_up_though_nobody_says_that_it_is_a_repeat(
    world: World, kind: str, later: timedelta
) -> None:
    await fault(world.stripe, kind, 3, on="/v1/customers")
    with pytest.raises(UpstreamError):
        await make_customer(world)
    world.clock.travel_to(START + later)
    made = await make_customer(world)
    assert await customers(world) == [made]
    intent = await only()
    assert (intent.state, intent.object_id) == ("CONFIRMED", made)


async def test_a_key_that_stripe_has_forgotten_makes_nothing_twice(world: World) -> None:
    made = await make_customer(world)
    world.clock.travel_to(START + 2 * DAY)
    assert await make_customer(world) == made
    assert await customers(world) == [made]


async def test_a_key_with_other_parameters_never_leaves(world: World) -> None:
    made = await make_customer(world)
    for other in ({"email": "b@acme.test"}, {"email": "b@acme.test", "is_retry": True}):
        with pytest.raises(PaymentRefused) as refused:
            await make_customer(world, **other)
        assert refused.value.upstream_code == "idempotency_error"
    assert (await only()).attempts == 1
    world.clock.travel_to(START + 2 * DAY)
    again = await make_customer(world, email="b@acme.test")
    assert await customers(world) == [made, again], "the old key is over, and no object of that address was made"


async def test_a_refusal_is_certain_and_a_pause_is_no_answer_to_keep(world: World) -> None:
    await fault(world.stripe, "429", on="/v1/customers")
    with pytest.raises(UpstreamRateLimited):
        await make_customer(world)
    intent = await only()
    assert (intent.state, intent.attempts) == ("REFUSED", 1), "not repeated at once"
    assert intent.last_error is not None
    assert intent.last_error.startswith("HTTP 429")
    made = await make_customer(world)
    assert (await only()).object_id == made
    with pytest.raises(PaymentRefused):
        await world.platform.stripe.finalize_invoice("in_unknown", key="finalize")
    refused = await Intent.get(idempotency_key="finalize")
    assert refused.state.value == "REFUSED"
    assert refused.object_id is None


async def test_what_is_confirmed_stays_so(world: World) -> None:
    made = await make_customer(world)
    journal = outbox.Outbox(world.clock)
    intent = await only()
    await journal.begin(StripeCall(intent.idempotency_key, intent.method, intent.path, intent.parameters))
    await journal.settle(intent.idempotency_key, CallOutcome(CallState.UNKNOWN, error="no answer"))
    intent = await only()
    assert (intent.state, intent.object_id, intent.attempts) == ("CONFIRMED", made, 2)


async def test_states_may_be_set_again_and_again(world: World) -> None:
    """Calls without a key of ours: what they ask for is a state, not another object."""
    customer = await make_customer(world)
    stripe = world.platform.stripe
    invoice = await stripe.ensure_invoice(key="i", is_retry=False, customer_id=customer, currency="USD", metadata={})
    for _ in range(3):
        await stripe.hold_invoice(invoice)
    assert not (await stripe.invoice(invoice)).is_advancing
    holds = await Intent.filter(path=f"/v1/invoices/{invoice}")
    assert len({intent.idempotency_key for intent in holds}) == 3
    assert {intent.object_id for intent in holds} == {invoice}


async def test_what_was_settled_long_ago_is_forgotten_daily(world: World) -> None:
    await make_customer(world)
    await fault(world.stripe, "timeout_before", 3, on="/v1/products")
    with pytest.raises(UpstreamTimeout):
        await world.platform.stripe.ensure_product(key="plan:p", is_retry=False, name="P", metadata={})
    killed = StripeCall(str(uuid4()), "POST", "/v1/invoices/in_1", "what was asked for")
    await outbox.Outbox(world.clock).begin(killed)
    await timetable.schedule_all(world.platform)
    world.clock.travel_to(START + outbox.KEPT_FOR)
    await timetable.run_due_work(world.platform)
    assert await Intent.all().count() == 3
    assert (await Intent.get(idempotency_key=killed.key)).state == "SENT"
    world.clock.travel_to(START + outbox.KEPT_FOR + DAY + timedelta(seconds=1))
    await timetable.run_due_work(world.platform)
    intent = await only()
    assert (intent.idempotency_key, intent.state) == ("plan:p", "UNKNOWN"), "what is open stays visible"


async def test_every_key_of_ours_can_be_told_from_the_packages_own(world: World) -> None:
    """Those of the package, for calls that only put an object into a state, are forgotten without an answer, too."""
    await join(world)
    await world.travel_to(START + timedelta(days=31, hours=2))
    await world.work()
    made = await Intent.filter(path__in=["/v1/customers", "/v1/invoices", "/v1/subscriptions"])
    made += await Intent.filter(path__endswith="/add_lines")
    assert len(made) >= 4
    assert all(":" in intent.idempotency_key for intent in made)
    held = await Intent.filter(path__startswith="/v1/invoices/in_").exclude(path__contains="/finalize")
    held = [intent for intent in held if not intent.path.endswith("/add_lines")]
    assert held
    assert not any(":" in intent.idempotency_key for intent in held)


async def test_the_operator_sees_calls_by_their_state(world: World) -> None:
    customer = await sign_up(world)
    await fault(world.stripe, "timeout_after", 3, on="/v1/customers")
    with pytest.raises(UpstreamTimeout):
        await make_customer(world)

    async def ask(**arguments: object) -> list[Json]:
        query = """query ($state: StripeCallState, $after: String, $first: Int) {
            stripeCalls(state: $state, after: $after, first: $first) { edges { cursor node {
            idempotencyKey tenantId state attempts lastError path objectId requestId sentAt settledAt } } } }"""
        return list((await world.operator.ask(query, **arguments))["stripeCalls"]["edges"])

    [open_] = await ask(state="UNKNOWN")
    assert (open_["node"]["idempotencyKey"], open_["node"]["attempts"]) == ("tenant:acme:customer", 3)
    assert "NoAnswer" in open_["node"]["lastError"]
    assert open_["node"]["tenantId"] is None
    confirmed = await ask(state="CONFIRMED")
    assert {edge["node"]["tenantId"] for edge in confirmed} == {customer.id}
    everything, [first] = await ask(), await ask(first=1)
    assert [first, *await ask(after=first["cursor"])] == everything
    assert len(everything) == len(confirmed) + 1
