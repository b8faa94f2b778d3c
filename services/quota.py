"""Quota: whether units may be used, and at what price. Decided inside the transaction that reserves them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inkmeter.errors import QuotaExceeded, Refused, TenantRestricted
from inkmeter.money import Money
from services import plans, rating, subscriptions
from services.plans import PlanTerms
from services.platform import Platform
from services.problems import Problems
from storage.plans import LimitPolicy, Quota
from storage.subscriptions import Period, Subscription
from storage.tenants import Tenant, TenantState
from storage.usage import Counter, read_counters


class Reason(StrEnum):
    """INCLUDED costs nothing more in this period; OVERAGE is billed at the marginal price that goes with it."""

    INCLUDED = "INCLUDED"
    OVERAGE = "OVERAGE"


@dataclass(frozen=True, slots=True)
class Decision:
    """Why units may be used, and what they cost on top of those used and reserved before."""

    reason: Reason
    price: Money


def check_tenant_may_sign(tenant: Tenant, now: datetime) -> None:
    """Raise TenantRestricted once the grace after a failed payment is over."""
    if tenant.state is TenantState.GRACE and tenant.grace_until is not None and now >= tenant.grace_until:
        raise TenantRestricted(
            f"a payment has been overdue since before {tenant.grace_until.isoformat()}; pay the open invoice to go on"
        )


def decide(
    terms: PlanTerms,
    subscription: Subscription,
    period: Period,
    counters: Mapping[str, Counter],
    units: Mapping[str, int],
) -> Decision:
    """Allow the units or raise QuotaExceeded. Counts what is reserved as used: it may yet be."""
    before = {meter: counter.used + counter.reserved for meter, counter in counters.items()}
    for meter, wanted in units.items():
        quota = terms.quotas.get(meter)
        taken = before.get(meter, 0)
        if quota is not None and quota.policy is LimitPolicy.HARD and taken + wanted > quota.units:
            raise QuotaExceeded(meter=meter, limit=quota.units, used=taken, requested=wanted, resets_at=period.ends_at)
    cost = rating.marginal_price(terms, before, units, subscription.seats, period.span)
    return Decision(Reason.OVERAGE if cost.minor else Reason.INCLUDED, cost)


@dataclass(frozen=True, slots=True)
class QuotaStatus:
    """How a meter stands in the current period, and what `requested` more units would meet."""

    meter: str
    requested: int
    used: int
    reserved: int
    quota: Quota | None
    period: Period
    decision: Decision | None
    refusal: Refused | None

    @property
    def remaining(self) -> int | None:
        """Units left under the limit; None without one."""
        return max(self.quota.units - self.used - self.reserved, 0) if self.quota else None


async def check_quota(platform: Platform, tenant: Tenant, meter: str, requested: int = 1) -> QuotaStatus:
    """Ask without reserving. Raises InvalidInput and SubscriptionInactive."""
    problems = Problems()
    problems.check_meter(meter, "meter")
    problems.check(1 <= requested < 2**31, "is a number of units, one or more", "quantity")
    problems.refuse()
    subscription = await subscriptions.require_subscription(tenant.id)
    terms = await plans.load_terms(platform, subscription.plan_id)
    period = await subscriptions.current_period(platform, subscription, terms.plan)
    counters = await read_counters(tenant.id, period.starts_at)
    decision, refusal = None, None
    try:
        check_tenant_may_sign(tenant, platform.clock.now())
        decision = decide(terms, subscription, period, counters, {meter: requested})
    except (QuotaExceeded, TenantRestricted) as error:
        refusal = error
    counter = counters.get(meter, Counter())
    return QuotaStatus(
        meter, requested, counter.used, counter.reserved, terms.quotas.get(meter), period, decision, refusal
    )
