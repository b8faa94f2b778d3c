"""Credits: given once, consumed in order, each unit traced; taken back, refunded, expired."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from services import credits, jobs, operations, refunds
from services.commands import TakeCredits
from services.metering import Metering
from storage.charges import Charge
from storage.credits import CreditEntryKind, CreditGrant
from storage.database import rows
from storage.ledgers import open_ledger
from tests.services.credit_steps import balance, buy, correct, give, history, left, take, upload
from tests.services.steps import (
    Customer,
    Json,
    do,
    event,
    fault,
    global_id,
    outcomes,
    price,
    problems,
    quota,
    raw_id,
    refused,
    sign_up,
)
from tests.world import START, World

pytestmark = pytest.mark.anyio

DOWNLOADS = price("downloads", "per-document", unitPrice="1.00")
PACKS: Json = {"topUpPacks": [{"units": 3, "price": "10.00"}, {"units": 10, "price": "9.00"}]}


async def customer_of(world: World, *quotas: Json) -> Customer:
    """One download is included, everything beyond needs credits."""
    return await sign_up(world, DOWNLOADS, quotas=quotas or ({**quota("downloads", "TOP_UP", 1), **PACKS},))


async def expect(customer: Customer, **numbers: int) -> None:
    """These numbers stand in the balance, which adds up."""
    shown = await balance(customer)
    assert {name: shown[name] for name in numbers} == numbers


def charged(charges: list[Charge]) -> list[tuple[str, int]]:
    return [(charge.kind, charge.amount_minor) for charge in charges]


async def test_a_grant_is_given_once(world: World) -> None:
    customer = await customer_of(world)
    first = await give(customer, 5, priority=3, note="welcome", expiresAt="2026-04-01T00:00:00Z")
    assert first == {
        "id": first["id"],
        "meter": "downloads",
        "source": "PROMOTION",
        "units": "5",
        "remaining": "5",
        "priority": 3,
        "expiresAt": "2026-04-01T00:00:00Z",
        "price": None,
        "note": "welcome",
    }
    same: Json = {"priority": 3, "note": "welcome", "expiresAt": "2026-04-01T00:00:00Z"}
    again = await asyncio.gather(*(give(customer, 5, **same) for _ in range(5)))
    assert again == [first] * 5
    assert await left(customer) == 5
    world.clock.travel_to(START + timedelta(days=40))
    assert await give(customer, 5, **same) == first, "a repeat is a read, though the grant has expired"
    for change in ({"units": 6}, {"priority": 4}, {"meter": "signatures"}, {"note": None}, {"source": "OTHER"}):
        wanted = {"meter": "downloads", "units": 5, "source": "PROMOTION", "idempotencyKey": "gift", **same, **change}
        answer = await do(customer.api, "grantCredits", "grant { id }", tenantId=customer.id, **wanted)
        assert refused(answer)["__typename"] == "Conflict", change
    node = await customer.api.ask("query ($id: ID!) { node(id: $id) { ... on CreditGrant { units } } }", id=first["id"])
    assert node == {"node": {"units": "5"}}


async def test_nonsense_is_refused_in_words(world: World) -> None:
    customer = await customer_of(world)
    good = {"meter": "downloads", "units": 1, "source": "OTHER", "idempotencyKey": "k"}
    for change, path in (
        ({"meter": "nonsense"}, "meter"),
        ({"meter": "seats"}, "meter"),
        ({"units": 0}, "units"),
        ({"units": -1}, "units"),
        ({"units": 10**12 + 1}, "units"),
        ({"source": "TOP_UP"}, "source"),
        ({"priority": -1}, "priority"),
        ({"priority": 101}, "priority"),
        ({"note": ""}, "note"),
        ({"note": "x" * 501}, "note"),
        ({"idempotencyKey": ""}, "idempotencyKey"),
        ({"expiresAt": "2026-03-10T09:00:00Z"}, "expiresAt"),
    ):
        answer = await do(customer.api, "grantCredits", "grant { id }", tenantId=customer.id, **{**good, **change})
        assert list(problems(answer)) == [path], change
    assert await history(customer) == []


async def test_credits_are_consumed_in_order_and_each_unit_is_traced(world: World) -> None:
    customer = await customer_of(world)
    names: dict[str, str] = {}
    given: dict[str, Json] = {
        "last": {"priority": 5, "expiresAt": "2026-03-11T00:00:00Z"},
        "never": {},
        "later": {"expiresAt": "2026-06-01T00:00:00Z"},
        "soon": {"expiresAt": "2026-05-01T00:00:00Z"},
        "other meter": {"meter": "signatures"},
    }
    for name, more in given.items():
        names[(await give(customer, 2, key=name, **more))["id"]] = name
    for number in range(1, 8):
        await customer.record(event(f"e{number}", 1, "downloads"))
    await customer.record(event("many", 5, "downloads"))
    used = [
        (entry["eventKey"], names[entry["grantId"]], entry["units"])
        for entry in await history(customer, meter="downloads")
        if entry["kind"] == "CONSUMED"
    ]
    assert used == [
        ("e2", "soon", "-1"),
        ("e3", "soon", "-1"),
        ("e4", "later", "-1"),
        ("e5", "later", "-1"),
        ("e6", "never", "-1"),
        ("e7", "never", "-1"),
        ("many", "last", "-2"),
    ], "the first was included; of the last five, two had credits"
    assert await balance(customer) == {
        "balance": 0,
        "pledged": 0,
        "granted": 8,
        "consumed": 8,
        "expired": 0,
        "revoked": 0,
        "refunded": 0,
    }
    [entry] = [e for e in await history(customer) if e["eventKey"] == "e2"]
    assert entry["periodStartsAt"] == "2026-03-10T00:00:00Z"
    [one] = [grant for grant, name in names.items() if name == "soon"]
    assert [e["kind"] for e in await history(customer, grant=one)] == ["GRANTED", "CONSUMED", "CONSUMED"]


async def test_an_operation_is_covered_by_credits(world: World) -> None:
    customer = await sign_up(world, quotas=[quota("documents_created", "HARD", 1)])
    await give(customer, 1, meter="documents_created")
    free = {"price": {"amount": "0.00"}, "plan": None}
    assert (await upload(customer, "a"))["decision"] == {"reason": "INCLUDED", "credits": [], **free}
    covered = [{"meter": "documents_created", "units": "1"}]
    assert (await upload(customer, "b"))["decision"] == {"reason": "CREDIT", "credits": covered, **free}
    assert (await upload(customer, "b"))["decision"]["reason"] == "CREDIT", "a repeat tells the first decision"
    [error] = (await upload(customer, "c"))["userErrors"]
    assert (error["__typename"], error["limit"], error["used"]) == ("QuotaExceeded", "1", "2")
    [consumed] = [e for e in await history(customer) if e["kind"] == "CONSUMED"]
    assert consumed["eventKey"].startswith("op:")


async def test_a_failed_operation_gives_its_credits_back(world: World) -> None:
    customer = await sign_up(world, quotas=[quota("documents_created", "HARD", 0)])
    await give(customer, 1, meter="documents_created")
    await fault(world.signnow, "429", on="/document")
    assert await outcomes(customer.upload("a")) != ["ok"]
    now = await balance(customer, "documents_created")
    assert (now["balance"], now["pledged"]) == (1, 0)
    assert await outcomes(customer.upload("b"), customer.upload("c")) == ["QuotaExceeded", "ok"]


async def test_a_correction_returns_credits(world: World) -> None:
    customer = await customer_of(world)
    await give(customer, 5)
    await customer.record(event("a", 1, "downloads"), event("b", 4, "downloads"))
    assert await left(customer) == 1
    assert await correct(customer, "b", 1) is True
    assert await correct(customer, "b", 1) is False, "the same correction again"
    await expect(customer, balance=4, consumed=1)
    back = [(e["eventKey"], e["units"]) for e in await history(customer) if e["kind"] == "RETURNED"]
    assert back == [("correction:fix", "4")]
    again = [(e["eventKey"], e["units"]) for e in await history(customer) if e["kind"] == "CONSUMED"]
    assert again == [("b", "-4"), ("replacement:fix", "-1")]
    await customer.record(event("c", 4, "downloads"))
    assert await left(customer) == 0


async def test_what_returns_to_an_expired_grant_counts_as_expired(world: World) -> None:
    customer = await customer_of(world)
    await give(customer, 5, expiresAt="2026-03-11T00:00:00Z")
    await customer.record(event("a", 4, "downloads"))
    await world.travel_to(START + timedelta(days=2))
    await world.work()
    await expect(customer, balance=0, expired=2, consumed=3)
    assert await correct(customer, "a", None) is True
    await expect(customer, balance=0, expired=5, consumed=0)
    await world.work()
    assert [(e["kind"], e["units"]) for e in await history(customer)][-2:] == [("RETURNED", "3"), ("EXPIRED", "-3")]
    await expect(customer, balance=0, expired=5, consumed=0)


async def test_expiry_waits_for_what_is_pledged(world: World) -> None:
    customer = await sign_up(world, quotas=[quota("documents_created", "HARD", 0)])
    await give(customer, 3, meter="documents_created", expiresAt="2026-03-10T09:01:00Z")
    await fault(world.signnow, "timeout_before", on="/document")
    assert await outcomes(customer.upload("a")) == ["OutcomeUnknown"]
    assert (await balance(customer, "documents_created"))["pledged"] == 1
    await world.travel_to(START + timedelta(minutes=1))
    await world.work()
    stored = await CreditGrant.get(tenant_id=customer.tenant.id)
    assert stored.remaining == 1, "two have expired, one is pledged"
    assert await outcomes(customer.upload("b")) == ["QuotaExceeded"], "nobody else gets it"
    await world.travel_to(START + timedelta(minutes=10))
    await world.work()
    await world.travel_to(START + timedelta(minutes=20))
    await world.work()
    assert await balance(customer, "documents_created") == {
        "balance": 0,
        "pledged": 0,
        "granted": 3,
        "consumed": 0,
        "expired": 3,
        "revoked": 0,
        "refunded": 0,
    }
    assert (await CreditGrant.get(tenant_id=customer.tenant.id)).remaining == 0


async def test_an_operation_may_end_after_its_credits_have_expired(world: World) -> None:
    customer = await sign_up(world, quotas=[quota("documents_created", "HARD", 0)])
    await give(customer, 1, meter="documents_created", expiresAt="2026-03-10T09:01:00Z")
    await fault(world.signnow, "timeout_after", on="/document")
    assert await outcomes(customer.upload("a")) == ["OutcomeUnknown"]
    await world.travel_to(START + timedelta(minutes=10))
    await world.work()
    assert (await customer.upload("a"))["userErrors"] == []
    now = await balance(customer, "documents_created")
    assert (now["consumed"], now["expired"]) == (1, 0)


async def test_expired_credits_pay_for_nothing(world: World) -> None:
    customer = await customer_of(world)
    await give(customer, 5, expiresAt="2026-03-11T00:00:00Z")
    await world.travel_to(START + timedelta(days=1))
    await customer.record(event("a", 3, "downloads"))
    await expect(customer, balance=0, expired=5, consumed=0)
    await world.work()
    await expect(customer, balance=0, expired=5, consumed=0)
    assert [e["kind"] for e in await history(customer)] == ["GRANTED", "EXPIRED"]


async def test_a_key_whose_grant_was_refused_may_be_used_with_another_expiry(world: World) -> None:
    """The job that ends a grant is there before it: it must end the right one at the right time."""
    customer = await customer_of(world)
    wanted = {"tenantId": customer.id, "meter": "downloads", "source": "OTHER", "idempotencyKey": "gift"}
    later, sooner = "2026-03-20T00:00:00Z", "2026-03-12T00:00:00Z"
    refused(await do(customer.api, "grantCredits", "grant { id }", **wanted, units=0, expiresAt=later))
    await give(customer, 5, source="OTHER", expiresAt=sooner)
    await world.travel_to(START + timedelta(days=3))
    await world.work()
    assert (await CreditGrant.get(tenant_id=customer.tenant.id)).remaining == 0


async def test_credits_are_revoked_as_far_as_they_are_free(world: World) -> None:
    customer = await customer_of(world)
    grant = await give(customer, 10)
    await customer.record(event("a", 4, "downloads"))
    error = refused(await take(customer, "revokeCredits", grant, 8))
    assert (error["__typename"], error["path"]) == ("Conflict", ["units"])
    assert await left(customer) == 7
    taken = await take(customer, "revokeCredits", grant, 3)
    assert (taken["units"], taken["grant"]["remaining"]) == ("3", "4")
    again = await asyncio.gather(*(take(customer, "revokeCredits", grant, 3) for _ in range(4)))
    assert [answer["units"] for answer in again] == ["3"] * 4
    assert await left(customer) == 4, "once per key"
    assert refused(await take(customer, "revokeCredits", grant, 2))["__typename"] == "Conflict"
    rest = await take(customer, "revokeCredits", grant, key="all")
    assert (rest["units"], rest["grant"]["remaining"]) == ("4", "0")
    assert (await take(customer, "revokeCredits", grant, key="nothing"))["units"] == "0"
    await expect(customer, balance=0, consumed=3, revoked=7)
    for units, path in ((0, "units"), (-1, "units")):
        assert list(problems(await take(customer, "revokeCredits", grant, units, key="x"))) == [path]


async def test_the_same_revocation_at_once_takes_once(world: World) -> None:
    customer = await customer_of(world)
    grant = await give(customer, 10)
    answers = await asyncio.gather(*(take(customer, "revokeCredits", grant, 3) for _ in range(6)))
    assert [answer["units"] for answer in answers] == ["3"] * 6
    assert await left(customer) == 7


async def test_pledged_credits_cannot_be_taken(world: World) -> None:
    customer = await sign_up(world, quotas=[quota("documents_created", "HARD", 0)])
    grant = await give(customer, 2, meter="documents_created")
    await fault(world.signnow, "timeout_before", on="/document")
    await customer.upload("a")
    assert refused(await take(customer, "revokeCredits", grant, 2))["__typename"] == "Conflict"
    assert (await take(customer, "revokeCredits", grant, key="all"))["units"] == "1"
    assert (await balance(customer, "documents_created"))["balance"] == 1


async def test_a_refund_gives_back_the_price_of_what_is_left(world: World) -> None:
    customer = await customer_of(world)
    grant = (await buy(customer, 3))["grant"]
    assert grant["price"] == {"amount": "10.00"}
    refunds_made = [await take(customer, "refundCredits", grant, 1, key=f"r{n}") for n in range(3)]
    assert [(r["units"], r["refund"]["amount"]) for r in refunds_made] == [("1", "3.33"), ("1", "3.33"), ("1", "3.34")]
    assert (await take(customer, "refundCredits", grant, 1, key="r1"))["refund"] == {"amount": "3.33"}
    stored = await Charge.filter(tenant_id=customer.tenant.id).order_by("id")
    assert charged(stored) == [("TOP_UP", 1000), ("REFUND", -333), ("REFUND", -333), ("REFUND", -334)]
    await world.travel_to(START + timedelta(minutes=2))
    await world.work()
    assert await Charge.filter(tenant_id=customer.tenant.id).count() == 4, "the job finds nothing to do"
    assert refused(await take(customer, "refundCredits", grant, 1, key="r9"))["__typename"] == "Conflict"
    nothing = await take(customer, "refundCredits", grant, key="all")
    assert (nothing["units"], nothing["refund"], nothing["userErrors"]) == ("0", None, [])


async def test_what_was_used_is_not_refunded(world: World) -> None:
    customer = await customer_of(world)
    grant = (await buy(customer, 10))["grant"]
    await customer.record(event("a", 5, "downloads"))
    assert refused(await take(customer, "refundCredits", grant, 7))["__typename"] == "Conflict"
    back = await take(customer, "refundCredits", grant, key="all")
    assert (back["units"], back["refund"]) == ("6", {"amount": "5.40"})
    await expect(customer, consumed=4, refunded=6, balance=0)


async def test_only_bought_credits_are_refunded(world: World) -> None:
    customer = await customer_of(world)
    error = refused(await take(customer, "refundCredits", await give(customer, 5)))
    assert (error["__typename"], error["path"]) == ("Conflict", ["grantId"])
    assert await left(customer) == 5


async def test_a_refund_that_died_half_way_is_finished(world: World) -> None:
    customer = await customer_of(world)
    grant = await CreditGrant.get(id=raw_id((await buy(customer, 10))["grant"]["id"]))
    await refunds.ensure_paid_back(world.platform, grant)
    now = world.clock.now()
    command = TakeCredits(grant.tenant_id, grant.id, CreditEntryKind.REFUNDED, now, 5, "REFUNDED:back")
    await operations.submit(world.platform, command)
    assert not await Charge.exists(tenant_id=grant.tenant_id, kind="REFUND"), "the process died here"
    await world.travel_to(START + timedelta(minutes=2))
    await world.work()
    refund = await Charge.get(tenant_id=grant.tenant_id, kind="REFUND")
    assert refund.amount_minor == -450
    assert refund.period_starts_at.isoformat() == "2026-03-10T00:00:00+00:00"
    shown = global_id("CreditGrant", grant.id)
    assert (await take(customer, "refundCredits", {"id": shown}, 5))["refund"] == {"amount": "4.50"}


async def test_one_refund_asked_for_many_times_at_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    customer = await customer_of(world)
    grant = (await buy(customer, 10))["grant"]
    answers = await asyncio.gather(*(take(customer, "refundCredits", grant, 4) for _ in range(8)))
    assert [answer["refund"] for answer in answers] == [{"amount": "3.60"}] * 8
    await expect(customer, refunded=4, balance=6)
    assert not [entry for entry in caplog.records if entry.levelname == "ERROR"]


async def test_two_processes_take_credits_of_a_tenant_without_a_period(world: World, database_url: str) -> None:
    tenant = await world.provision()
    writer = Metering(open_ledger(database_url), world.clock, world.platform.plugins.publish)
    async with writer.running() as metering:
        platforms = (world.platform, replace(world.platform, metering=metering))
        for turn in range(10):
            given = credits.GivenCredits("downloads", 10, credits.CreditSource.PROMOTION, f"g{turn}")
            grant = await credits.grant_credits(world.platform, tenant, given)
            calls = (credits.revoke_credits(platforms[n % 2], tenant.id, grant.id, 3, f"{turn}-{n}") for n in range(12))
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 9 + ["Taken"] * 3


async def test_a_refund_after_the_end_is_on_the_last_invoice(world: World) -> None:
    customer = await customer_of(world)
    grant = (await buy(customer, 10))["grant"]
    await do(customer.api, "cancelSubscription", "subscription { id }", tenantId=customer.id, at="NOW")
    world.clock.travel_to(START + timedelta(minutes=5))
    back = await take(customer, "refundCredits", grant, 4)
    assert back["refund"] == {"amount": "3.60"}
    charges = [line for line in (await customer.close())["invoice"]["lines"] if line["kind"] == "CHARGE"]
    assert [line["amount"]["amount"] for line in charges] == ["9.00", "-3.60"]
    late = refused(await take(customer, "refundCredits", grant, 6, key="late"))
    assert (late["__typename"], await left(customer)) == ("SubscriptionInactive", 6)
    assert await take(customer, "refundCredits", grant, 4) == back, "a repeat is answered like the first"


async def test_another_tenants_grant_is_unknown(world: World) -> None:
    customer = await customer_of(world)
    grant = await give(customer, 5)
    other = await sign_up(world, DOWNLOADS, reference="bolt", code="other")
    for mutation in ("revokeCredits", "refundCredits"):
        error = refused(await take(other, mutation, grant))
        assert (error["__typename"], error["path"]) == ("NotFound", ["grantId"])
    assert await history(other) == []
    assert await left(customer) == 5


async def test_an_expiry_job_without_its_grant_ends(world: World) -> None:
    customer = await customer_of(world)
    tenant_id = customer.tenant.id
    await jobs.add_job(
        world.platform, tenant_id=tenant_id, topic=credits.EXPIRE, dedup="lost", payload={"key": "given:lost"}
    )
    await world.work()
    [job] = await rows("SELECT state FROM job WHERE tenant_id = ? AND dedup = 'lost'", tenant_id)
    assert job == {"state": "DONE"}


async def test_the_invoice_bills_what_was_bought_and_not_what_credits_paid(world: World) -> None:
    customer = await customer_of(world)
    grant = (await buy(customer, 10))["grant"]
    await give(customer, 2)
    await customer.record(event("a", 6, "downloads"))
    await take(customer, "refundCredits", grant, 2)
    await world.travel_to(START + timedelta(days=31))
    closed = await customer.close()
    assert closed["userErrors"] == []
    lines = [(line["kind"], line["quantity"], line["amount"]["amount"]) for line in closed["invoice"]["lines"]]
    assert sorted(lines) == [("CHARGE", "1", "-1.80"), ("CHARGE", "1", "9.00"), ("USAGE", "1", "1.00")]
    assert closed["invoice"]["total"]["amount"] == "8.20"
    assert not await Charge.filter(tenant_id=customer.tenant.id, invoice_id=None).exists()


METER: Json = {
    "code": "pages",
    "unit": "page",
    "description": "Pages that were sent.",
    "aggregation": "SUM",
    "decimals": 2,
}


async def test_credits_of_a_meter_with_decimals_are_whole_units(world: World) -> None:
    made = await do(world.operator, "createMeter", "meter { code }", **METER)
    assert made["userErrors"] == []
    pages = {**quota("pages", "TOP_UP", 3), "topUpPacks": [{"units": 4, "price": "2.00"}]}
    customer = await sign_up(world, price("pages", "per-document", unitPrice="1.00"), quotas=[pages])
    given = await give(customer, 5, meter="pages")
    assert (given["units"], given["remaining"]) == ("5", "5")
    bought = (await buy(customer, 4, meter="pages"))["grant"]
    assert (bought["units"], bought["price"]) == ("4", {"amount": "2.00"})
    await customer.record({**event("a", 1, "pages"), "quantity": "4.25"})
    query = "query ($id: ID) { creditBalance(tenantId: $id) { meter balance consumed grants { remaining } } }"
    [shown] = (await customer.api.ask(query, id=customer.id))["creditBalance"]
    remaining = [{"remaining": "3.75"}, {"remaining": "4"}]
    assert shown == {"meter": "pages", "balance": "7.75", "consumed": "1.25", "grants": remaining}
    taken = await take(customer, "revokeCredits", given)
    assert (taken["units"], taken["grant"]["remaining"]) == ("3.75", "0")
    refused_units = await take(customer, "refundCredits", bought, 5)
    assert refused(refused_units)["__typename"] == "Conflict"
    plan = "query ($id: ID) { tenant(id: $id) { subscription { plan { quotas { units topUpPacks { units } } } } } }"
    shown = await customer.api.ask(plan, id=customer.id)
    assert shown["tenant"]["subscription"]["plan"]["quotas"] == [{"units": "3", "topUpPacks": [{"units": "4"}]}]
    check = """query ($id: ID) { checkQuota(tenantId: $id, meter: "pages", quantity: 5) {
        used limit remaining credits refusal { __typename } } }"""
    assert (await customer.api.ask(check, id=customer.id))["checkQuota"] == {
        "used": "4.25",
        "limit": "3",
        "remaining": "0",
        "credits": "4",
        "refusal": {"__typename": "TopUpRequired"},
    }
