"""From the first failed payment to the end that the plan has, and back."""

from datetime import timedelta

import pytest

from services import timetable
from storage.invoices import Invoice
from storage.webhooks import WebhookEvent
from tests.services.dunning_steps import (
    APRIL,
    FAILED,
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
from tests.services.steps import INVITES, Customer, Json, do, fault, make_plan, problems, refused
from tests.world import World

pytestmark = pytest.mark.anyio
RESTRICTED = """userErrors { __typename message ... on TenantRestricted { invoices { total { amount } hostedUrl } } }"""
UPLOAD = f"mutation ($input: UploadDocumentInput!) {{ uploadDocument(input: $input) {{ {RESTRICTED} }} }}"


async def try_to_sign(customer: Customer, key: str) -> Json | None:
    """The refusal of an upload; None if it succeeds."""
    content = "JVBERi0xLjQ="
    found = {"tenantId": customer.id, "name": "Lease", "content": content, "idempotencyKey": key}
    errors = (await customer.api.ask(UPLOAD, input=found))["uploadDocument"]["userErrors"]
    return dict(errors[0]) if errors else None


async def test_grace_then_restricted_then_deprovisioned(world: World) -> None:
    heard = listen(world)
    customer = await debtor(world, graceDays=3, restrictedDays=4, then="DEPROVISION")
    await fail(world)
    tenant = await standing(customer)
    [theirs] = await at_stripe(world, customer)
    owed = [{"id": tenant["dunning"]["invoices"][0]["id"], "total": {"amount": "6.00"}}]
    assert [{k: v for k, v in one.items() if k != "hostedUrl"} for one in tenant["dunning"]["invoices"]] == owed
    assert tenant["dunning"]["invoices"][0]["hostedUrl"] == theirs["hosted_invoice_url"]
    assert (tenant["state"], tenant["dunning"]["step"], tenant["dunning"]["nextStep"]) == (
        "GRACE",
        "GRACE",
        "RESTRICTED",
    )
    assert tenant["dunning"]["nextAt"] == tenant["graceUntil"]

    await days(world, 2.9)
    assert await step(customer) == ("GRACE", "GRACE")
    await days(world, 3)
    tenant = await standing(customer)
    assert (tenant["state"], tenant["dunning"]["step"], tenant["dunning"]["nextStep"]) == (
        "RESTRICTED",
        "RESTRICTED",
        "DEPROVISIONED",
    )
    refusal = await try_to_sign(customer, "new")
    assert refusal is not None
    assert refusal["__typename"] == "TenantRestricted"
    assert refusal["invoices"] == [{"total": {"amount": "6.00"}, "hostedUrl": theirs["hosted_invoice_url"]}]
    assert theirs["hosted_invoice_url"] in refusal["message"]

    await days(world, 6.9)
    assert await step(customer) == ("RESTRICTED", "RESTRICTED")
    await days(world, 7, 7.1)
    tenant = await standing(customer)
    assert (tenant["state"], tenant["subscription"]) == ("DEPROVISIONED", None)
    assert (tenant["dunning"]["step"], tenant["dunning"]["nextStep"]) == ("DEPROVISIONED", None)
    [subscription] = await at_stripe(world, customer, "subscription")
    assert subscription["status"] == "canceled"
    kinds = ["PAYMENT_FAILED", "RESTRICTED", "DEPROVISIONED"]
    assert await told(customer) == kinds
    assert (await notices(customer))[-1]["leftPlan"] == {"code": "growth-acme"}
    assert heard.names == ["PaymentFailed", "SigningRestricted", "TenantDeprovisioned", "InvoicePaid"]
    assert len(await customer.invoices()) == 2, "the last period is billed (0.00, and so paid); reads go on"


async def test_the_end_may_be_another_plan(world: World) -> None:
    heard = listen(world)
    customer = await debtor(world, graceDays=2, restrictedDays=2, then="DOWNGRADE", to="free")
    await fail(world)
    await days(world, 2, 4, 4.1)
    tenant = await standing(customer)
    assert (tenant["state"], tenant["dunning"]["step"]) == ("ACTIVE", "DOWNGRADED")
    assert tenant["subscription"]["plan"]["code"] == "free"
    assert await try_to_sign(customer, "on the small plan") is None
    statuses = [s["status"] for s in await at_stripe(world, customer, "subscription")]
    assert statuses == ["canceled", "active"]
    await card(world, customer, "success")
    await world.work()
    tenant = await standing(customer)
    assert (tenant["state"], tenant["dunning"], tenant["subscription"]["plan"]["code"]) == ("ACTIVE", None, "free")
    found = await notices(customer)
    assert [(n["kind"], n["plan"], n["leftPlan"]) for n in found[2:]] == [
        ("DOWNGRADED", {"code": "free"}, {"code": "growth-acme"}),
        ("RESTORED", None, {"code": "growth-acme"}),
    ]
    assert heard.names[2:4] == ["TenantDowngraded", "InvoicePaid"]
    assert heard.names.count("TenantRestored") == 1


@pytest.mark.parametrize("day", [1, 3, 5, 9], ids=["grace", "restricted", "deprovisioned", "long after"])
@pytest.mark.parametrize("way", ["paid", "out of band", "void", "forgiven"])
async def test_whatever_settles_the_debt_lifts_at_any_step(world: World, day: int, way: str) -> None:
    heard = listen(world)
    customer = await debtor(world, graceDays=2, restrictedDays=2, then="DEPROVISION")
    await fail(world)
    await days(world, *range(1, day + 1))
    for theirs in [i for i in await at_stripe(world, customer) if i["status"] == "open"]:
        url = f"/v1/invoices/{theirs['id']}"
        match way:
            case "paid":
                await card(world, customer, "success")
            case "out of band":
                await post(world, f"{url}/pay", paid_out_of_band="true")
            case "void":
                await post(world, f"{url}/void")
            case "forgiven":
                await post(world, f"{url}/mark_uncollectible")
    await world.work()
    tenant = await standing(customer)
    assert (tenant["state"], tenant["dunning"]) == ("ACTIVE", None)
    assert (tenant["subscription"] is None) == (day >= 5)
    states = {"void": "VOID", "forgiven": "UNCOLLECTIBLE"}
    assert (await customer.invoices())[0]["state"] == states.get(way, "PAID")
    assert heard.names[-1] == "TenantRestored"
    assert (await told(customer))[-1] == "RESTORED"


async def test_a_debt_that_stripe_has_given_up_by_itself_is_owed_still(world: World) -> None:
    customer = await debtor(world, graceDays=2)
    await stripe_dunning(world, retry_days=[1], gives_up_invoices=True)
    await fail(world)
    await days(world, 1, 1.1)
    assert (await at_stripe(world, customer))[0]["status"] == "uncollectible"
    assert await step(customer) == ("GRACE", "GRACE")
    await days(world, 2, 3)
    assert await step(customer) == ("RESTRICTED", "RESTRICTED")
    [theirs] = await at_stripe(world, customer)
    await post(world, f"/v1/invoices/{theirs['id']}/pay", payment_method="pm_card_visa")
    await world.work()
    assert await step(customer) == ("ACTIVE", None)


async def test_two_unpaid_invoices_are_one_case(world: World) -> None:
    heard = listen(world)
    customer = await debtor(world, graceDays=60)
    await fail(world)
    since = (await standing(customer))["dunning"]["since"]
    await travel(world, APRIL + timedelta(days=30))
    for minutes in (60, 61, 62, 65):
        await travel(world, APRIL + timedelta(days=30, minutes=minutes))
    await customer.record({"meter": "invites_sent", "quantity": 1, "idempotencyKey": "more"})
    second = [i for i in await at_stripe(world, customer) if i["status"] == "open"]
    assert (await standing(customer))["dunning"]["since"] == since
    assert len((await standing(customer))["dunning"]["invoices"]) == len(second)
    for left in reversed(second):
        assert await step(customer) == ("GRACE", "GRACE")
        await post(world, f"/v1/invoices/{left['id']}/pay", paid_out_of_band="true")
        await world.work()
    assert await step(customer) == ("ACTIVE", None)
    assert heard.names.count("TenantRestored") == 1


async def test_a_payment_that_nobody_told_us_of_keeps_the_step_from_being_taken(world: World) -> None:
    customer = await debtor(world, graceDays=2, restrictedDays=1, then="DEPROVISION")
    await fail(world)
    await days(world, 2)
    assert await step(customer) == ("RESTRICTED", "RESTRICTED")
    await world.stripe.post("/_sandbox/webhooks", json={"drop": 1000})
    await card(world, customer, "success")
    await travel(world, FAILED + timedelta(days=4))
    tenant = await standing(customer)
    assert (tenant["state"], tenant["dunning"]) == ("ACTIVE", None)
    assert tenant["subscription"]["plan"]["code"] == "growth-acme"


async def test_while_stripe_is_down_no_step_is_taken_and_the_job_does_not_die(world: World) -> None:
    customer = await debtor(world, graceDays=2, restrictedDays=1, then="DEPROVISION")
    await fail(world)
    await fault(world.stripe, "500", 1000, on="/v1/invoices", method="GET")
    for hours in range(30):
        await travel(world, FAILED + timedelta(days=3, hours=hours))
    assert await step(customer) == ("GRACE", "GRACE")
    assert (await try_to_sign(customer, "late") or {})["__typename"] == "TenantRestricted", "the clock alone refuses"
    account = world.stripe._transport.app.state.account  # type: ignore[attr-defined]
    account.faults.clear()
    await days(world, 5, 5.1)
    assert await step(customer) == ("DEPROVISIONED", "DEPROVISIONED")
    assert await told(customer) == ["PAYMENT_FAILED", "RESTRICTED", "DEPROVISIONED"]


async def test_two_workers_take_each_step_once(world: World) -> None:
    customer = await debtor(world, graceDays=2, restrictedDays=2, then="DOWNGRADE", to="free")
    await fail(world)
    for number in (2, 4, 5):
        await world.travel_to(FAILED + timedelta(days=number, minutes=10))
        for _ in range(3):
            await timetable.run_due_work(world.platform)
        await world.work()
    assert await told(customer) == ["PAYMENT_FAILED", "RESTRICTED", "DOWNGRADED"]
    assert len(await at_stripe(world, customer, "subscription")) == 2


async def test_a_policy_is_part_of_a_plan(world: World) -> None:
    free = await make_plan(world, INVITES, code="free")
    shown = "plan { id version dunning { graceDays restrictedDays then downgradePlan { code } } }"
    terms = {
        "code": "big",
        "name": "Big",
        "currency": "USD",
        "prices": [{"meter": "downloads", "model": "per-document", "config": {"unitPrice": "1"}}],
    }
    silent = (await do(world.operator, "createPlan", shown, **terms))["plan"]
    assert silent["dunning"] == {"graceDays": None, "restrictedDays": 14, "then": "RESTRICT", "downgradePlan": None}
    assert (await do(world.operator, "createPlan", shown, **terms, dunning={}))["plan"]["version"] == 1
    policy = {"graceDays": 0, "restrictedDays": 30, "then": "DOWNGRADE", "downgradePlanId": free}
    strict = (await do(world.operator, "createPlan", shown, **terms, dunning=policy))["plan"]
    assert (strict["version"], strict["dunning"]) == (
        2,
        {"graceDays": 0, "restrictedDays": 30, "then": "DOWNGRADE", "downgradePlan": {"code": "free"}},
    )
    wrong = await do(
        world.operator,
        "createPlan",
        shown,
        **terms,
        dunning={"graceDays": -1, "restrictedDays": 366, "then": "DOWNGRADE"},
    )
    assert sorted(problems(wrong)) == ["dunning.downgradePlanId", "dunning.graceDays", "dunning.restrictedDays"]
    unasked = await do(world.operator, "createPlan", shown, **terms, dunning={"downgradePlanId": free})
    assert sorted(problems(unasked)) == ["dunning.downgradePlanId"]
    unknown = {"then": "DOWNGRADE", "downgradePlanId": "UGxhbjowMTk0MDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDA="}
    assert refused(await do(world.operator, "createPlan", shown, **terms, dunning=unknown))["__typename"] == "NotFound"


async def test_days_of_grace_may_be_none(world: World) -> None:
    customer = await debtor(world, graceDays=0, restrictedDays=0, then="DEPROVISION")
    await fail(world)
    await days(world, 0, 0.1)
    assert await step(customer) == ("DEPROVISIONED", "DEPROVISIONED")
    assert await told(customer) == ["PAYMENT_FAILED", "RESTRICTED", "DEPROVISIONED"]


async def test_a_payment_that_waits_for_the_bank_is_told(world: World) -> None:
    customer = await debtor(world)
    await fail(world)
    [theirs] = await at_stripe(world, customer)
    account = world.stripe._transport.app.state.account  # type: ignore[attr-defined]
    account.books.emit("invoice.payment_action_required", account.books.get("invoice", theirs["id"]))
    await world.work()
    found = (await notices(customer))[-1]
    assert (found["kind"], found["invoice"]["hostedUrl"]) == ("PAYMENT_ACTION_REQUIRED", theirs["hosted_invoice_url"])
    assert not await WebhookEvent.filter(type="invoice.payment_action_required", state="IGNORED").exists()


async def test_an_invoice_that_was_void_before_it_failed_is_no_debt(world: World) -> None:
    customer = await debtor(world)
    await card(world, customer, "success")
    await fail(world)
    assert await step(customer) == ("ACTIVE", None)
    [invoice] = await Invoice.all()
    assert (invoice.failed_at, invoice.state) == (None, "PAID")
    assert await told(customer) == []
