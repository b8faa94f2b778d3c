"""Who would be restricted, downgraded or deprovisioned on a date if nobody pays: by the function that decides it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from inkmeter.money import Money
from services import dunning, dunning_cases, overdue, plans
from services.dunning import Policy
from services.dunning_cases import ENDED, DunningCase, DunningStep
from services.plans import NewDunning
from services.platform import Platform
from services.problems import Problems
from storage.invoices import Invoice
from storage.subscriptions import Subscription, SubscriptionState
from storage.tenants import Tenant, TenantState


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where a tenant that owes would stand; `at` is when it would come, or has come, to that step."""

    tenant: Tenant
    step: DunningStep
    at: datetime
    policy: Policy
    invoices: Sequence[Invoice]

    @property
    def total(self) -> Money:
        return Money(sum(overdue.due_of(invoice).minor for invoice in self.invoices), self.tenant.currency)


async def preview_dunning(
    platform: Platform, on: datetime, given: NewDunning | None, after: UUID | None = None
) -> list[Outlook]:
    """Every tenant that would be past its grace on that date, in the order of the tenants' ids; nothing is stored.

    With a policy that is `given`, under that instead of each tenant's own. An end that has come is told as it is.
    Raises InvalidInput, and NotFound for a plan to downgrade to.
    """
    problems = Problems()
    policy = None
    if given is not None:
        plans.check_dunning(problems, given, "policy")
        await plans.find_named(given.downgrade_plan_id, "policy", "downgradePlanId")
        policy = dunning_cases.new_policy(platform, given)
    problems.check(on >= platform.clock.now(), "is not in the past", "on")
    problems.refuse()
    cases = await DunningCase.filter(closed_at=None)
    ids = [case.tenant_id for case in cases]
    owners = {tenant.id: tenant for tenant in await Tenant.filter(id__in=ids)}
    owed = await overdue.owed_by(ids)
    given_up = await Subscription.filter(
        tenant_id__in=ids, state=SubscriptionState.ACTIVE, stripe_status__in=dunning_cases.GIVEN_UP
    ).values_list("tenant_id", flat=True)
    found = []
    for case in cases:
        tenant, decided = owners[case.tenant_id], policy or dunning_cases.policy_of(case)
        if case.step in ENDED or tenant.state is TenantState.DEPROVISIONED:
            step = case.step if case.step in ENDED else DunningStep.DEPROVISIONED
            found.append(Outlook(tenant, step, case.step_at, dunning_cases.policy_of(case), owed[tenant.id]))
            continue
        then = dunning.standing(case.since, decided, on, is_given_up=case.tenant_id in given_up)
        if then.step is not DunningStep.GRACE:
            found.append(Outlook(tenant, then.step, then.step_at, decided, owed[tenant.id]))
    found = [outlook for outlook in found if after is None or outlook.tenant.public_id > after]
    return sorted(found, key=lambda outlook: outlook.tenant.public_id)
