"""kill -9 between the steps of dunning: each is taken once, and what was decided is carried out."""

from datetime import timedelta

import pytest

from inkmeter.clock import FrozenClock
from services import plans, subscriptions, timetable
from services.plans import CreatePlan, DunningEnd, NewDunning, NewPrice
from services.subscriptions import SubscribeTenant
from services.tenants import ProvisionTenant, Tenant, TenantState, provision_tenant
from storage.dunning import DunningCase, DunningStep
from storage.jobs import LEASE
from storage.notices import Notice
from storage.plans import FeesDue
from storage.subscriptions import Subscription, SubscriptionState
from tests.bookkeeping import PRICE
from tests.crash import stories
from tests.crash.conftest import City
from tests.world import START

pytestmark = pytest.mark.anyio
SMALL = NewPrice("invites_sent", "per-document", {"unitPrice": "1.00"})


async def prepare(city: City, most: int, end: DunningEnd) -> None:
    """Tenants whose first fee, due in advance, could not be charged; their grace and restriction are over."""
    free = await plans.create_plan(city.platform, CreatePlan("free", "Free", "USD", [SMALL]))
    policy = NewDunning(1, 1, end, free.plan.id if end is DunningEnd.DOWNGRADE else None)
    ahead = CreatePlan("ahead", "Ahead", "USD", [PRICE], fees=FeesDue.ADVANCE, dunning=policy)
    terms = await plans.create_plan(city.platform, ahead)
    for number in range(1, most + 1):
        who = ProvisionTenant(f"dun-{number}", "Inc", f"billing@dun-{number}.test", "USD")
        tenant = await provision_tenant(city.platform, who)
        url = f"/_sandbox/customers/{tenant.stripe_customer_id}/card"
        (await city.stripe.post(url, json={"card": "decline"})).raise_for_status()
        await subscriptions.subscribe_tenant(city.platform, SubscribeTenant(tenant, terms.plan.id))
    await timetable.run_due_work(city.platform)
    await city.travel_to(START + timedelta(days=1, minutes=1))
    assert isinstance(city.platform.clock, FrozenClock)
    city.platform.clock.travel_to(city.clock.now())
    await timetable.run_due_work(city.platform)  # no webhook came: the daily look finds the failure
    await city.travel_to(START + timedelta(days=5))


@pytest.mark.parametrize("end", [DunningEnd.DOWNGRADE, DunningEnd.DEPROVISION])
async def test_dunning(city: City, end: DunningEnd) -> None:
    most = 28
    await prepare(city, most, end)
    fates = await city.kill_everywhere(stories.dun, prepared=True)
    assert len(fates) <= most
    assert "COMMIT" in fates.values()

    await city.go_on(stories.dun, list(fates), LEASE * 3)
    is_downgrade = end is DunningEnd.DOWNGRADE
    for reference, fate in fates.items():
        tenant = await Tenant.get(external_reference=reference)
        case = await DunningCase.get(tenant_id=tenant.id)
        kinds = [notice.kind for notice in await Notice.filter(tenant_id=tenant.id).order_by("id")]
        last = DunningStep.DOWNGRADED if is_downgrade else DunningStep.DEPROVISIONED
        assert kinds == ["PAYMENT_FAILED", "RESTRICTED", last.value], fate
        assert (case.step, case.closed_at) == (last, None), fate
        assert tenant.state is (TenantState.ACTIVE if is_downgrade else TenantState.DEPROVISIONED), fate
        first, *others = await Subscription.filter(tenant_id=tenant.id).order_by("started_at", "id")
        assert first.ended_at is not None, fate
        assert [s.state for s in others] == ([SubscriptionState.ACTIVE] if is_downgrade else []), fate
        theirs = [s["status"] for s in (await city.stripe_books(tenant))["subscription"]]
        assert sorted(theirs) == (["active", "canceled"] if is_downgrade else ["canceled"]), fate
