"""A tenant that may sign, and whether its usage events, its counters and its operations tell the same story."""

from collections import Counter
from collections.abc import Sequence

from services import plans, subscriptions
from services.plans import CreatePlan, LimitPolicy, NewPrice, NewQuota
from services.platform import Platform
from services.subscriptions import SubscribeTenant
from services.tenants import ProvisionTenant, Tenant, provision_tenant
from storage.operations import Operation
from storage.subscriptions import Period
from storage.usage import read_counters, sum_events

PRICE = NewPrice("invites_sent", "tiered", {"fee": "49.00", "included": 1, "overage": {"unitPrice": "4.25"}})


def hard(meter: str, units: int) -> NewQuota:
    """A quota that is never passed."""
    return NewQuota(meter, LimitPolicy.HARD, units)


async def subscribe(platform: Platform, tenant: Tenant, *quotas: NewQuota) -> None:
    """Put a tenant on a plan of its own with one price and these quotas."""
    terms = await plans.create_plan(
        platform, CreatePlan(f"plan-{tenant.external_reference}", "Growth", "USD", [PRICE], quotas)
    )
    await subscriptions.subscribe_tenant(platform, SubscribeTenant(tenant, terms.plan.id))


async def sign_up(platform: Platform, reference: str, *quotas: NewQuota) -> Tenant:
    """A tenant with a subscription that starts now."""
    tenant = await provision_tenant(
        platform, ProvisionTenant(reference, f"{reference} Inc", f"billing@{reference}.test", "USD")
    )
    await subscribe(platform, tenant, *quotas)
    return tenant


async def used_units(tenant: Tenant) -> dict[str, int]:
    """The units of each meter that was used, over all periods; fails unless all our own books agree.

    In each period the counters are the sums of the events, and what is reserved is what open operations hold.
    """
    total: Counter[str] = Counter()
    for period in await Period.filter(tenant_id=tenant.id):
        counters = await read_counters(tenant.id, period.starts_at)
        sums = await sum_events(tenant.id, period.span)
        assert {meter: c.used for meter, c in counters.items() if c.used} == sums, "counters and events differ"
        open_operations = await Operation.filter(
            tenant_id=tenant.id, period_starts_at=period.starts_at, state__in=["RESERVED", "UNKNOWN"]
        )
        held = sum_units([operation.reserved for operation in open_operations])
        assert {m: c.reserved for m, c in counters.items() if c.reserved} == held, "reservations and operations differ"
        total.update(sums)
    return dict(total)


def sum_units(entries: Sequence[dict[str, int]]) -> dict[str, int]:
    """Units by meter, added up."""
    total: Counter[str] = Counter()
    for entry in entries:
        total.update(entry)
    return dict(total)
