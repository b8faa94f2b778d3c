"""Subscriptions that Stripe ends, gives up or pauses, and those that we ended ourselves."""

from datetime import timedelta

import pytest

from inkmeter import SigningRestricted
from storage.jobs import LEASE
from storage.webhooks import WebhookEvent
from tests.services.dunning_steps import (
    APRIL,
    FAILED,
    STRIPE,
    at_stripe,
    card,
    days,
    debtor,
    fail,
    listen,
    notices,
    post,
    standing,
    step,
    stripe_dunning,
    told,
    travel,
)
from tests.services.steps import Customer, do
from tests.world import START, World

pytestmark = pytest.mark.anyio


async def end_at_stripe(world: World, customer: Customer) -> None:
    """As in the Dashboard or the portal."""
    [theirs] = [s for s in await at_stripe(world, customer, "subscription") if s["status"] != "canceled"]
    (await world.stripe.delete(f"/v1/subscriptions/{theirs['id']}", headers=STRIPE)).raise_for_status()
    await world.work()


async def settle_the_last_period(world: World) -> None:
    """The close of what was cut, and the push of its invoice."""
    for hours in (1.1, 1.2, 1.4):
        await travel(world, world.clock.now() + timedelta(hours=hours) + LEASE)


@pytest.mark.parametrize(
    ("policy", "state", "plan"),
    [
        ({"then": "DEPROVISION"}, "DEPROVISIONED", None),
        ({"then": "DOWNGRADE", "to": "free"}, "ACTIVE", {"code": "free"}),
        ({"then": "RESTRICT"}, "ACTIVE", None),
    ],
    ids=lambda value: value["then"] if isinstance(value, dict) and "then" in value else None,
)
async def test_one_that_was_cancelled_at_stripe_ends_here_as_the_plan_says(
    world: World, policy: dict[str, str], state: str, plan: dict[str, str] | None
) -> None:
    heard = listen(world)
    customer = await debtor(world, **policy)
    await card(world, customer, "success")
    await world.travel_to(START + timedelta(days=5))
    await end_at_stripe(world, customer)
    await settle_the_last_period(world)
    tenant = await standing(customer)
    running = tenant["subscription"]
    assert (tenant["state"], running and running["plan"], tenant["dunning"]) == (state, plan, None)
    [final] = await customer.invoices()
    assert (final["state"], final["total"]["amount"]) == ("PAID", "6.00"), "its usage is billed"
    assert [i["billing_reason"] for i in await at_stripe(world, customer)] == ["manual"]
    assert (await told(customer))[0] == "SUBSCRIPTION_ENDED"
    assert (await notices(customer))[0]["leftPlan"] == {"code": "growth-acme"}
    ends = {"DEPROVISION": ["TenantDeprovisioned"], "DOWNGRADE": ["TenantDowngraded"], "RESTRICT": []}
    assert heard.names == [*ends[policy["then"]], "InvoicePaid"]


async def test_one_that_we_cancelled_ourselves_is_no_news(world: World) -> None:
    customer = await debtor(world, then="DEPROVISION")
    await card(world, customer, "success")
    for at in ("PERIOD_END", "NOW"):
        await do(world.operator, "cancelSubscription", "subscription { endsAt }", tenantId=customer.id, at=at)
        await settle_the_last_period(world)
    assert [s["status"] for s in await at_stripe(world, customer, "subscription")] == ["canceled"]
    assert (await standing(customer))["state"] == "ACTIVE"
    assert await told(customer) == []
    [event] = await WebhookEvent.filter(type="customer.subscription.deleted")
    assert event.state.value == "APPLIED"


async def test_one_that_was_ended_again_and_again_ends_once(world: World) -> None:
    customer = await debtor(world, then="DOWNGRADE", to="free")
    await card(world, customer, "success")
    await world.stripe.post("/_sandbox/webhooks", json={"duplicate": True, "reorder": True})
    await end_at_stripe(world, customer)
    account = world.stripe._transport.app.state.account  # type: ignore[attr-defined]
    for theirs in account.books.all("subscription"):
        account.books.emit("customer.subscription.updated", theirs)
        account.books.emit("customer.subscription.deleted", theirs)
    await settle_the_last_period(world)
    assert await told(customer) == ["SUBSCRIPTION_ENDED", "DOWNGRADED"]
    assert [s["status"] for s in await at_stripe(world, customer, "subscription")] == ["canceled", "active"]


async def test_an_end_after_all_retries_is_the_end_of_the_case(world: World) -> None:
    customer = await debtor(world, graceDays=30, then="DOWNGRADE", to="free")
    await stripe_dunning(world, retry_days=[1, 1], after_retries="cancel")
    await fail(world)
    await days(world, 1, 2.1, 2.2)
    tenant = await standing(customer)
    assert (tenant["state"], tenant["dunning"]["step"]) == ("ACTIVE", "DOWNGRADED")
    assert tenant["subscription"]["plan"]["code"] == "free"
    assert await told(customer) == ["PAYMENT_FAILED", "SUBSCRIPTION_ENDED", "DOWNGRADED"]
    await card(world, customer, "success")
    await world.work()
    await days(world, 3, 4)
    assert await step(customer) == ("ACTIVE", None)
    assert (await notices(customer))[-1]["leftPlan"] == {"code": "growth-acme"}


async def test_the_end_of_the_smaller_plan_at_stripe_is_an_end_of_its_own(world: World) -> None:
    customer = await debtor(world, graceDays=1, restrictedDays=1, then="DOWNGRADE", to="free")
    await fail(world)
    await days(world, 1, 2, 2.1)
    assert (await standing(customer))["subscription"]["plan"]["code"] == "free"
    await end_at_stripe(world, customer)
    await settle_the_last_period(world)
    assert (await standing(customer))["subscription"] is None
    assert (await told(customer))[-1] == "SUBSCRIPTION_ENDED"


@pytest.mark.parametrize("after_retries", ["unpaid", "pause"])
async def test_where_stripe_gives_up_there_is_nothing_to_wait_for(world: World, after_retries: str) -> None:
    heard = listen(world)
    customer = await debtor(world, graceDays=30, restrictedDays=5, then="DEPROVISION")
    await stripe_dunning(world, retry_days=[1], after_retries=after_retries)
    await fail(world)
    assert await step(customer) == ("GRACE", "GRACE")
    await days(world, 1.1)
    assert await step(customer) == ("RESTRICTED", "RESTRICTED")
    [theirs] = [i for i in await at_stripe(world, customer) if i["status"] == "open"]
    await post(world, f"/v1/invoices/{theirs['id']}/pay", payment_method="pm_card_visa")
    await world.work()
    assert await step(customer) == ("ACTIVE", None), "though a pause for a payment may still stand at Stripe"
    assert heard.names == ["PaymentFailed", "SigningRestricted", "InvoicePaid", "TenantRestored"]


async def test_past_due_for_good_leaves_the_clock_to_us(world: World) -> None:
    customer = await debtor(world, graceDays=20)
    await stripe_dunning(world, retry_days=[], after_retries="past_due")
    await fail(world)
    await days(world, 5, 19)
    assert await step(customer) == ("GRACE", "GRACE")
    await days(world, 20)
    assert await step(customer) == ("RESTRICTED", "RESTRICTED")


async def test_a_pause_restricts_and_is_lifted_where_it_was_made(world: World) -> None:
    heard = listen(world)
    customer = await debtor(world, then="DEPROVISION")
    await card(world, customer, "success")
    [theirs] = await at_stripe(world, customer, "subscription")
    await world.stripe.post(f"/_sandbox/subscriptions/{theirs['id']}/pause")
    await world.work()
    assert await step(customer) == ("RESTRICTED", None)
    assert await told(customer) == ["SUBSCRIPTION_PAUSED"]
    refusal = (await customer.upload("paused"))["userErrors"][0]
    assert (refusal["__typename"], "paused" in refusal["message"]) == ("TenantRestricted", True)
    await travel(world, FAILED + timedelta(days=40))
    assert await step(customer) == ("RESTRICTED", None), "a pause leads to no end"
    assert {i["state"] for i in await customer.invoices()} == {"PAID"}, "what was used is billed without a cycle"
    (await world.stripe.post(f"/_sandbox/subscriptions/{theirs['id']}/resume")).raise_for_status()
    await world.work()
    assert await step(customer) == ("ACTIVE", None)
    assert heard.names == ["SigningRestricted", *(["InvoicePaid"] * 2), "TenantRestored"]
    assert isinstance(heard.events[0], SigningRestricted)
    assert heard.events[0].invoice_ids == ()


async def test_a_pause_of_collection_changes_nothing_here(world: World) -> None:
    customer = await debtor(world)
    [theirs] = await at_stripe(world, customer, "subscription")
    await post(world, f"/v1/subscriptions/{theirs['id']}", **{"pause_collection[behavior]": "keep_as_draft"})
    await world.work()
    assert await step(customer) == ("ACTIVE", None)


async def test_the_end_of_a_trial_at_stripe_is_told(world: World) -> None:
    customer = await debtor(world)
    account = world.stripe._transport.app.state.account  # type: ignore[attr-defined]
    [theirs] = account.books.all("subscription")
    theirs["trial_end"] = int(APRIL.timestamp())
    account.books.emit("customer.subscription.trial_will_end", theirs)
    await world.work()
    [notice] = await notices(customer)
    assert (notice["kind"], notice["until"]) == ("TRIAL_ENDING", "2026-04-10T00:00:00Z")


async def test_subscriptions_of_others_are_left_alone(world: World) -> None:
    customer = await debtor(world)
    [price] = [p["id"] for p in (await world.stripe.get("/v1/prices", headers=STRIPE)).json()["data"]]
    theirs = (await at_stripe(world, customer, "subscription"))[0]["customer"]
    made = await world.stripe.post(
        "/v1/subscriptions", data={"customer": theirs, "items[0][price]": price}, headers=STRIPE
    )
    (await world.stripe.delete(f"/v1/subscriptions/{made.json()['id']}", headers=STRIPE)).raise_for_status()
    await world.work()
    [event] = await WebhookEvent.filter(type="customer.subscription.deleted")
    assert (event.state.value, event.note) == ("IGNORED", "not a subscription of ours")
    assert await step(customer) == ("ACTIVE", None)
