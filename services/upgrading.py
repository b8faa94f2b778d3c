"""Upgrades inside a batch: a quota with AUTO_UPGRADE was passed, and the tenant goes on under the plan's successor."""

from uuid import UUID

from inkmeter.events import PlanUpgraded
from inkmeter.periods import Proration
from services.batch import Batch
from services.decisions import Decision
from services.terms import PlanTerms
from storage.fields import from_micros
from storage.ids import new_id
from storage.ledger import Account, StoredPhase
from storage.subscriptions import PhaseReason


def upgrade(
    batch: Batch, account: Account, phase: StoredPhase, terms: PlanTerms, decision: Decision, moment: int
) -> None:
    """Change the plan from a moment (µs) on, also where the seats are planned to change."""
    plan = decision.terms.plan
    _begin(batch, account, moment, plan.id, phase.seats, PhaseReason.AUTO_UPGRADE, Proration.SECOND)
    for planned in [*batch.known.phases[account.tenant_id]]:
        if planned.starts_at > moment and planned.reason == PhaseReason.SEATS and planned.plan_id == phase.plan_id:
            _begin(batch, account, planned.starts_at, plan.id, planned.seats, PhaseReason.SEATS, None)
    codes = (terms.plan.code, plan.code)
    batch.news.append(PlanUpgraded(account.public_id, from_micros(batch.now), decision.upgraded_for or "", *codes))


def _begin(
    batch: Batch,
    account: Account,
    starts_at: int,
    plan_id: UUID,
    seats: int,
    reason: PhaseReason,
    proration: Proration | None,
) -> None:
    phase = StoredPhase(new_id(), starts_at, plan_id, seats, reason)
    batch.begin_phase(account.tenant_id, phase)
    batch.writes.phases.append(
        (
            account.tenant_id,
            str(phase.id),
            str(account.subscription_id),
            starts_at,
            str(plan_id),
            seats,
            reason,
            proration,
            batch.now,
        )
    )
