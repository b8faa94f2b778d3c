"""Quota, asked without reserving anything."""

from dataclasses import dataclass

from inkmeter.errors import QuotaExceeded, Refused, TenantRestricted
from services import phases, subscriptions
from services.decisions import Decision, Standing, check_may_sign, decide
from services.platform import Platform
from services.problems import Problems
from services.rating import SEATS
from storage.plans import Quota
from storage.subscriptions import Period
from storage.tenants import Tenant
from storage.usage import Counter, read_counters


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
    terms, seats = await phases.in_force(platform, subscription, platform.clock.now())
    period = await subscriptions.current_period(platform, subscription)
    counters = {**await read_counters(tenant.id, period.starts_at), SEATS: Counter(used=seats)}
    standings = {code: Standing(c.used, c.reserved, c.credited, c.pledged) for code, c in counters.items()}
    decision, refusal = None, None
    try:
        check_may_sign(tenant.state, tenant.grace_until, platform.clock.now())
        decision = decide(terms, seats, period.span, standings, {meter: requested}, platform.metering.terms.__getitem__)
    except (QuotaExceeded, TenantRestricted) as error:
        refusal = error
    counter = counters.get(meter, Counter())
    return QuotaStatus(
        meter, requested, counter.used, counter.reserved, terms.quotas.get(meter), period, decision, refusal
    )
