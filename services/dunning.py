"""Dunning, decided: how far a tenant that owes has come, and what comes next. Pure; the clock is an argument.

    first failure --- grace ---> RESTRICTED --- days under restriction ---> DOWNGRADED or DEPROVISIONED

A tenant that owes two invoices has one case, from the first failure on until nothing is owed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from storage.dunning import DunningStep
from storage.plans import DunningEnd

ORDER: Final = (DunningStep.GRACE, DunningStep.RESTRICTED, DunningStep.DOWNGRADED, DunningStep.DEPROVISIONED)
_LAST: Final = {
    DunningEnd.DOWNGRADE: DunningStep.DOWNGRADED,
    DunningEnd.DEPROVISION: DunningStep.DEPROVISIONED,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """How long each step lasts, in days, and what comes at the end."""

    grace_days: int
    restricted_days: int
    end: DunningEnd = DunningEnd.RESTRICT
    downgrade_plan_id: UUID | None = None

    @property
    def last_step(self) -> DunningStep:
        """The step at which a case stays until it is paid."""
        return _LAST.get(self.end, DunningStep.RESTRICTED)

    def grace_ends(self, since: datetime) -> datetime:
        """When the grace of a case is over that began then."""
        return since + timedelta(days=self.grace_days)

    def ends(self, since: datetime) -> datetime:
        """When the days under restriction are over, too."""
        return self.grace_ends(since) + timedelta(days=self.restricted_days)


@dataclass(frozen=True, slots=True)
class Debt:
    """An invoice whose payment failed; `settled_at` is None while it is owed."""

    failed_at: datetime
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a case has come, and the next step if nobody pays; None at its last one."""

    since: datetime
    step: DunningStep
    step_at: datetime
    next_step: DunningStep | None
    next_at: datetime | None


def owed_since(debts: Sequence[Debt]) -> datetime | None:
    """Since when something has been owed without a break; None if nothing is.

    It does not matter in which order payments and failures are heard of: what was settled before the next payment
    failed is no part of the case.
    """
    still = [debt.failed_at for debt in debts if debt.settled_at is None]
    if not still:
        return None
    since = min(still)
    while earlier := [
        debt.failed_at for debt in debts if debt.settled_at is not None and debt.failed_at < since < debt.settled_at
    ]:
        since = min(earlier)
    return since


def standing(since: datetime, policy: Policy, now: datetime, *, is_given_up: bool = False) -> Standing:
    """How far a case that began at `since` has come by `now`, if nothing is paid.

    `is_given_up`: Stripe tries no more, so that there is nothing to wait for; the tenant is restricted at once, and
    the end comes when it would have come anyway.
    """
    restricted_at = policy.grace_ends(since)
    ends_at = policy.ends(since)
    has_end = policy.last_step is not DunningStep.RESTRICTED
    if has_end and now >= ends_at:
        return Standing(since, policy.last_step, ends_at, None, None)
    if now >= restricted_at or is_given_up:
        following = (policy.last_step, ends_at) if has_end else (None, None)
        return Standing(since, DunningStep.RESTRICTED, min(restricted_at, now), *following)
    return Standing(since, DunningStep.GRACE, since, DunningStep.RESTRICTED, restricted_at)


def steps_to_take(done: DunningStep, reached: DunningStep, policy: Policy) -> list[DunningStep]:
    """The steps between the last that was taken and the one that is reached, in order."""
    way = [DunningStep.GRACE, DunningStep.RESTRICTED, policy.last_step]
    return [step for step in dict.fromkeys(way) if ORDER.index(done) < ORDER.index(step) <= ORDER.index(reached)]
