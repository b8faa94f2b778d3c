"""Credits under fire: processes that race for the last ones, buy and refund them, and pass a quota together."""

from collections import Counter
from decimal import Decimal

import pytest

from services import credits, plans, subscriptions
from services.credits import CreditSource, GivenCredits
from services.plans import CreatePlan, LimitPolicy, NewPack, NewPrice, NewQuota
from services.subscriptions import SubscribeTenant
from storage.charges import Charge
from storage.credits import CreditEntry, CreditEntryKind, CreditGrant
from storage.subscriptions import Phase
from tests.bookkeeping import hard, sign_up, used_units
from tests.crash.places import Place
from tests.crash.racing import buy_all, refund_all, use_all
from tests.processes import run_at_once
from tests.world import START, World

pytestmark = pytest.mark.anyio

METER = "documents_created"
PACKS = NewQuota(METER, LimitPolicy.HARD, 0, packs=[NewPack(10, Decimal("10.01"))])


async def test_the_last_credits_are_consumed_once(world: World, database_url: str) -> None:
    tenant = await sign_up(world.platform, "acme", hard(METER, 5))
    for key, units in (("a", 7), ("b", 8)):
        await credits.grant_credits(world.platform, tenant, GivenCredits(METER, units, CreditSource.OTHER, key))
    place = Place(database_url, START)
    answers = await run_at_once(use_all, [(place, tenant.id, [f"{p}-{n}" for n in range(15)]) for p in range(2)])
    reasons = Counter(answer for answered in answers for answer in answered)
    assert reasons == {"INCLUDED": 5, "CREDIT": 15, "refused": 10}
    assert (await used_units(tenant))[METER] == 20
    assert [grant.remaining for grant in await CreditGrant.filter(tenant_id=tenant.id)] == [0, 0]
    consumed = await CreditEntry.filter(tenant_id=tenant.id, kind=CreditEntryKind.CONSUMED)
    assert sum(entry.units for entry in consumed) == -15
    assert len({entry.event_id for entry in consumed}) == 15, "each for an event of its own"


async def test_a_key_buys_and_refunds_once_in_all_processes(world: World, database_url: str) -> None:
    tenant = await sign_up(world.platform, "acme", PACKS)
    place = Place(database_url, START)
    bought = await run_at_once(buy_all, [(place, tenant.id, ["one", "two", "one"])] * 3)
    assert len({grant_id for ids in bought for grant_id in ids}) == 2
    assert await Charge.filter(tenant_id=tenant.id).count() == 2

    grant = await CreditGrant.get(tenant_id=tenant.id, idempotency_key="bought:one")
    keys = [f"r{n}" for n in range(10)]
    back = await run_at_once(refund_all, [(place, tenant.id, grant.id, keys)] * 3)
    assert back[0] == back[1] == back[2]
    assert sum(back[0]) == 1001, "all units, and the whole price"
    refunds = await Charge.filter(tenant_id=tenant.id, kind="REFUND")
    assert sum(charge.amount_minor for charge in refunds) == -1001
    assert (await CreditGrant.get(tenant_id=tenant.id, id=grant.id)).remaining == 0


async def test_a_quota_that_is_passed_everywhere_upgrades_once(world: World, database_url: str) -> None:
    price = NewPrice(METER, "per-document", {"unitPrice": "1.00"})
    above = await plans.create_plan(world.platform, CreatePlan("above", "Above", "USD", [price]))
    limit = NewQuota(METER, LimitPolicy.AUTO_UPGRADE, 4)
    below = await plans.create_plan(
        world.platform, CreatePlan("below", "Below", "USD", [price], [limit], successor_id=above.plan.id)
    )
    tenant = await world.provision()
    await subscriptions.subscribe_tenant(world.platform, SubscribeTenant(tenant, below.plan.id))
    place = Place(database_url, START)
    answers = await run_at_once(use_all, [(place, tenant.id, [f"{p}-{n}" for n in range(6)]) for p in range(3)])
    reasons = Counter(answer for answered in answers for answer in answered)
    assert reasons == {"OVERAGE": 17, "UPGRADED": 1}
    phases = await Phase.filter(tenant_id=tenant.id).order_by("id")
    assert [phase.reason for phase in phases] == ["START", "AUTO_UPGRADE"]
