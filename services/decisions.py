"""Whether units may be used, and at what price: pure, so that it can be decided inside any transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inkmeter.errors import QuotaExceeded, TenantRestricted
from inkmeter.money import Money
from inkmeter.periods import BillingPeriod
from services import rating
from services.terms import PlanTerms
from storage.plans import LimitPolicy
from storage.tenants import TenantState
from storage.usage import Counter


class Reason(StrEnum):
    """INCLUDED costs nothing more in this period; OVERAGE is billed at the marginal price that goes with it."""

    INCLUDED = "INCLUDED"
    OVERAGE = "OVERAGE"


@dataclass(frozen=True, slots=True)
class Decision:
    """Why units may be used, and what they cost on top of those used and reserved before."""

    reason: Reason
    price: Money


def check_may_sign(state: str, grace_until: datetime | None, now: datetime) -> None:
    """Raise TenantRestricted once the grace after a failed payment is over."""
    if state == TenantState.GRACE and grace_until is not None and now >= grace_until:
        raise TenantRestricted(
            f"a payment has been overdue since before {grace_until.isoformat()}; pay the open invoice to go on"
        )


def decide(
    terms: PlanTerms,
    seats: int,
    period: BillingPeriod,
    counters: Mapping[str, Counter],
    units: Mapping[str, int],
) -> Decision:
    """Allow the units or raise QuotaExceeded. Counts what is reserved as used: it may yet be."""
    before = {meter: counter.used + counter.reserved for meter, counter in counters.items()}
    for meter, wanted in units.items():
        quota = terms.quotas.get(meter)
        taken = before.get(meter, 0)
        if quota is not None and quota.policy is LimitPolicy.HARD and taken + wanted > quota.units:
            raise QuotaExceeded(meter=meter, limit=quota.units, used=taken, requested=wanted, resets_at=period.end)
    cost = rating.marginal_price(terms, before, units, seats, period)
    return Decision(Reason.OVERAGE if cost.minor else Reason.INCLUDED, cost)
