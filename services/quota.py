"""Quota, asked without reserving anything. Decided by what decides a reservation (services/decisions.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from inkmeter.errors import (
    NextPlan,
    QuotaExceeded,
    Refused,
    SpendCapReached,
    SubscriptionInactive,
    TenantRestricted,
    TopUpPack,
    TopUpRequired,
)
from services import meters, overdue, phases, subscriptions
from services.decisions import Decision, Standing, check_not_paused, decide, packs_of
from services.measures import ADDED_UP, LEVELS, MeterBook, added
from services.platform import Platform
from services.problems import Problems
from services.rating import SEATS
from services.terms import PlanTerms
from storage.charges import sum_bought
from storage.credits import open_grants, sum_pledged
from storage.plans import Quota
from storage.subscriptions import Period, Subscription, phases_of
from storage.tenants import Tenant
from storage.usage import Counter, read_counters


@dataclass(frozen=True, slots=True)
class QuotaStatus:
    """How a meter stands in the current period, and what `requested` more units would meet.

    Units are 10^-decimals of the meter's, but for `requested` and the packs.
    """

    meter: str
    requested: int
    standing: Standing
    quota: Quota | None
    terms: PlanTerms
    period: Period
    decision: Decision | None
    refusal: Refused | None

    @property
    def remaining(self) -> int | None:
        """Units left under the limit; None without one."""
        return max(self.quota.units - self.standing.taken, 0) if self.quota else None

    @property
    def packs(self) -> Sequence[TopUpPack]:
        """The top-ups on offer."""
        return packs_of(self.terms, self.quota) if self.quota else ()

    @property
    def next_plan(self) -> NextPlan | None:
        """The plan's successor."""
        return self.terms.successor


async def check_quota(platform: Platform, tenant: Tenant, meter: str, requested: int = 1) -> QuotaStatus:
    """Ask without reserving. Raises InvalidInput and SubscriptionInactive."""
    book = await meters.find_meters(platform, meter)
    problems = Problems()
    if problems.check_meter(book, meter, "meter"):
        problems.check(book[meter].aggregation not in LEVELS, "is a level, and takes no quota", "meter")
    problems.check(1 <= requested < 2**31, "is a number of units, one or more", "quantity")
    problems.refuse()
    subscription = await subscriptions.require_subscription(tenant.id)
    now = platform.clock.now()
    stored = await phases_of(tenant.id, subscription.id)
    running = phases.phase_at(stored, now)
    terms = await phases.load_terms(platform, running.plan_id)
    period = await subscriptions.current_period(platform, subscription)
    seats = running.seats if meter == SEATS else phases.peak_seats(stored, period.span, now)
    standings = await _standings(platform, subscription, period, seats)
    ways = await _successors(platform, terms)
    decision, refusal = None, None
    try:
        await overdue.require_may_sign(tenant, now)
        check_not_paused(running.is_paused)
        decision = decide(terms, seats, period.span, standings, _fed(book, meter, requested), ways.__getitem__)
    except (QuotaExceeded, TopUpRequired, SpendCapReached, TenantRestricted, SubscriptionInactive) as error:
        refusal = error
    standing = standings.get(meter, Standing())
    return QuotaStatus(meter, requested, standing, terms.quotas.get(meter), terms, period, decision, refusal)


async def _standings(
    platform: Platform, subscription: Subscription, period: Period, seats: int
) -> Mapping[str, Standing]:
    tenant_id, now = subscription.tenant_id, platform.clock.now()
    counters = {**await read_counters(tenant_id, period.starts_at), SEATS: Counter(used=seats)}
    bought, pledged = await sum_bought(tenant_id, period.starts_at), await sum_pledged(tenant_id)
    usable: dict[str, int] = {}
    for grant in await open_grants(tenant_id):
        if grant.expires_at is None or grant.expires_at > now:
            usable[grant.meter] = usable.get(grant.meter, 0) + grant.remaining
    return {
        code: Standing(
            counter.used,
            counter.reserved,
            counter.credited,
            counter.pledged,
            max(usable.get(code, 0) - pledged.get(code, 0), 0),
            bought.get(code, 0),
        )
        for code, counter in ((code, counters.get(code, Counter())) for code in {*counters, *usable})
    }


async def _successors(platform: Platform, terms: PlanTerms) -> dict[UUID, PlanTerms]:
    found: dict[UUID, PlanTerms] = {}
    while (plan_id := terms.plan.successor_id) is not None:
        found[plan_id] = terms = await phases.load_terms(platform, plan_id)
    return found


def _fed(book: MeterBook, meter: str, requested: int) -> Mapping[str, int]:
    """What an operation of so many units would come to in all meters that it feeds; seats feed nothing."""
    quantity = requested * 10 ** book[meter].decimals
    fed = {
        found.code: amount
        for found in book.fed_by(meter)
        if found.aggregation in ADDED_UP and (amount := added(found, quantity, {}))
    }
    return {**fed, meter: quantity}
