"""Whether units may be used, and at what price: pure, so that it can be decided inside any transaction."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NoReturn
from uuid import UUID

from inkmeter.errors import (
    QuotaExceeded,
    SpendCapReached,
    SubscriptionInactive,
    TenantRestricted,
    TopUpPack,
    TopUpRequired,
)
from inkmeter.money import Money
from inkmeter.periods import BillingPeriod
from services import rating
from services.included import included_units, needed_credits
from services.measures import quantity_of
from services.terms import PlanTerms
from storage.plans import LimitPolicy, Quota
from storage.tenants import TenantState


class Reason(StrEnum):
    """INCLUDED costs nothing more in this period, CREDIT was paid before, OVERAGE is billed at the marginal price that
    goes with it, and UPGRADED goes on under the plan's successor.
    """

    INCLUDED = "INCLUDED"
    CREDIT = "CREDIT"
    OVERAGE = "OVERAGE"
    UPGRADED = "UPGRADED"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a meter stands in a period, in 10^-decimals units.

    `credited` of those used were paid with credits, `pledged` credits are kept for those reserved, `credits` are free;
    `spent_minor` was spent by the plan's rule that buys more of them.
    """

    used: int = 0
    reserved: int = 0
    credited: int = 0
    pledged: int = 0
    credits: int = 0
    spent_minor: int = 0

    @property
    def taken(self) -> int:
        """What is reserved counts as used: it may yet be."""
        return self.used + self.reserved

    @property
    def billed(self) -> int:
        """What no credits pay for."""
        return self.taken - self.credited - self.pledged


@dataclass(frozen=True, slots=True)
class Purchase:
    """Packs that the plan's rule buys."""

    times: int
    pack: TopUpPack


@dataclass(frozen=True, slots=True)
class Decision:
    """Why units may be used, and what they cost on top of those used and reserved before, credits taken off.

    `credits` pay for so many units of each meter; `purchases` are made for them first, and `terms` is the plan they
    are decided under, another one if the reason is UPGRADED.
    """

    reason: Reason
    price: Money
    terms: PlanTerms
    credits: Mapping[str, int] = field(default_factory=dict)
    purchases: Mapping[str, Purchase] = field(default_factory=dict)
    upgraded_for: str | None = None
    """The meter whose quota was passed."""

    def stored(self) -> dict[str, Any]:
        """As it stands with its operation."""
        told = {
            "reason": self.reason,
            "price_minor": self.price.minor,
            "currency": self.price.currency,
            "credits": dict(self.credits),
        }
        if self.upgraded_for is None:
            return told
        plan = self.terms.plan
        return {**told, "plan": {"id": str(plan.id), "code": plan.code, "name": plan.name}}


def check_may_sign(state: str, grace_until: datetime | None, now: datetime) -> None:
    """Raise TenantRestricted once the grace after a failed payment is over, whether a job has noted that or not."""
    is_over = state == TenantState.GRACE and grace_until is not None and now >= grace_until
    if is_over or state in (TenantState.RESTRICTED, TenantState.DEPROVISIONED):
        raise TenantRestricted("a payment is overdue; pay the open invoice to go on")


def check_not_paused(is_paused: bool) -> None:
    """Raise SubscriptionInactive while a subscription is paused."""
    if is_paused:
        raise SubscriptionInactive("the subscription is paused; resumeSubscription ends the pause")


def decide(
    terms: PlanTerms,
    seats: int,
    period: BillingPeriod,
    standings: Mapping[str, Standing],
    units: Mapping[str, int],
    load: Callable[[UUID], PlanTerms],
) -> Decision:
    """Allow the units, or raise QuotaExceeded, TopUpRequired or SpendCapReached.

    `load` answers the terms of a plan's successor, where AUTO_UPGRADE asks for them. The first successor on the way
    that allows the units is taken; a plan's successor exists before it, so that the way has an end. If none allows
    them nothing is upgraded.
    """
    try:
        return _decide(terms, seats, period, standings, units)
    except _MustUpgrade as needed:
        for successor in _successors(terms, load):
            try:
                under = _decide(successor, seats, period, standings, units)
            except (_MustUpgrade, QuotaExceeded, TopUpRequired, SpendCapReached):
                continue
            return Decision(
                Reason.UPGRADED, under.price, successor, under.credits, under.purchases, upgraded_for=needed.quota.meter
            )
        raise _exceeded(terms, needed.quota, standings, units, period) from None


class _MustUpgrade(Exception):
    def __init__(self, quota: Quota) -> None:
        self.quota = quota


def _successors(terms: PlanTerms, load: Callable[[UUID], PlanTerms]) -> Iterator[PlanTerms]:
    while terms.plan.successor_id is not None:
        terms = load(terms.plan.successor_id)
        yield terms


def _decide(
    terms: PlanTerms,
    seats: int,
    period: BillingPeriod,
    standings: Mapping[str, Standing],
    units: Mapping[str, int],
) -> Decision:
    covering: dict[str, int] = {}
    purchases: dict[str, Purchase] = {}
    for meter, wanted in units.items():
        standing = standings.get(meter, Standing())
        included = included_units(terms, meter, seats)
        needed = needed_credits(included, standing.taken, standing.taken + wanted)
        quota = terms.quotas.get(meter)
        purchase = None
        if quota is not None and quota.auto_top_up is not None and not quota.is_paid_first:
            purchase = top_up(terms, quota, standing, needed, included, standing.taken + wanted)
        bought = purchase.times * purchase.pack.units if purchase is not None else 0
        covered = min(needed, standing.credits + bought)
        beyond = needed - covered
        if beyond and quota is not None and quota.policy is not LimitPolicy.SOFT:
            _refuse(terms, quota, standings, units, period)
        if covered:
            covering[meter] = covered
        if purchase is not None:
            purchases[meter] = purchase
    before = {meter: standing.billed for meter, standing in standings.items()}
    billed = {meter: wanted - covering.get(meter, 0) for meter, wanted in units.items()}
    cost = rating.marginal_price(terms, before, billed, seats, period)
    for meter in units:
        _check_spend(terms, meter, before, billed, seats, period)
    reason = Reason.OVERAGE if cost.minor else Reason.CREDIT if covering else Reason.INCLUDED
    return Decision(reason, cost, terms, covering, purchases)


def _refuse(
    terms: PlanTerms,
    quota: Quota,
    standings: Mapping[str, Standing],
    units: Mapping[str, int],
    period: BillingPeriod,
) -> NoReturn:
    if quota.policy is LimitPolicy.AUTO_UPGRADE and terms.plan.successor_id is not None:
        raise _MustUpgrade(quota)
    if quota.policy is LimitPolicy.TOP_UP:
        standing = standings.get(quota.meter, Standing())
        raise TopUpRequired(
            meter=quota.meter,
            balance=_shown(terms, quota.meter, max(quota.units - standing.taken, 0) + max(standing.credits, 0)),
            requested=_shown(terms, quota.meter, units[quota.meter]),
            resets_at=period.end,
            **_ways_on(terms, quota),
        )
    raise _exceeded(terms, quota, standings, units, period)


def _exceeded(
    terms: PlanTerms,
    quota: Quota,
    standings: Mapping[str, Standing],
    units: Mapping[str, int],
    period: BillingPeriod,
) -> QuotaExceeded:
    return QuotaExceeded(
        meter=quota.meter,
        limit=_shown(terms, quota.meter, quota.units),
        used=_shown(terms, quota.meter, standings.get(quota.meter, Standing()).taken),
        requested=_shown(terms, quota.meter, units[quota.meter]),
        resets_at=period.end,
        **_ways_on(terms, quota),
    )


def _shown(terms: PlanTerms, meter: str, units: int) -> int | Decimal:
    """The stored units as people read them, exact: an int for a meter without decimals."""
    return quantity_of(terms.meters[meter], units) if terms.meters[meter].decimals else units


def _ways_on(terms: PlanTerms, quota: Quota) -> dict[str, Any]:
    return {"packs": packs_of(terms, quota), "next_plan": terms.successor}


def packs_of(terms: PlanTerms, quota: Quota) -> tuple[TopUpPack, ...]:
    """The top-ups on offer, in whole units."""
    return tuple(TopUpPack(pack["units"], Money(pack["price_minor"], terms.plan.currency)) for pack in quota.packs)


def top_up(
    terms: PlanTerms, quota: Quota, standing: Standing, needed: int, included: int | None, taken: int
) -> Purchase | None:
    """What the plan's rule buys so that `needed` units are covered and no fewer than its threshold are left; None if
    nothing, or if the cap of the month does not allow what is needed.
    """
    rule = quota.auto_top_up
    if rule is None or included is None:
        return None
    pack = packs_of(terms, quota)[rule["pack"]]
    decimals = terms.meters[quota.meter].decimals
    size = pack.units * 10**decimals
    left = max(included - taken, 0) + standing.credits - needed
    missing = max(needed - max(standing.credits, 0), rule["below"] * 10**decimals - left, 0)
    affordable = (rule["monthly_cap_minor"] - standing.spent_minor) // pack.price.minor if pack.price.minor else missing
    times = min(-(-missing // size), max(affordable, 0))
    if not times or needed > standing.credits + times * size:
        return None
    return Purchase(times, TopUpPack(size, pack.price))


def _check_spend(
    terms: PlanTerms,
    meter: str,
    before: Mapping[str, int],
    billed: Mapping[str, int],
    seats: int,
    period: BillingPeriod,
) -> None:
    quota = terms.quotas.get(meter)
    if quota is None or quota.spend_cap_minor is None:
        return
    taken = before.get(meter, 0)
    base = min(taken, quota.units)
    spent = rating.marginal_price(terms, {**before, meter: base}, {meter: taken - base}, seats, period)
    price = rating.marginal_price(terms, before, {meter: billed[meter]}, seats, period)
    if price.minor > 0 and spent.minor + price.minor > quota.spend_cap_minor:
        raise SpendCapReached(
            meter=meter,
            cap=Money(quota.spend_cap_minor, terms.plan.currency),
            spent=spent,
            price=price,
            resets_at=period.end,
        )
