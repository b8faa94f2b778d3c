"""Dunning of a tenant, and the policy of a plan."""

from collections.abc import Mapping, Sequence

from schema import dunning as types
from schema.connections import uuid_of
from schema.refusals import next_plan_type, unpaid_invoice_type
from services import dunning_cases, overdue
from services.dunning_cases import DunningCase
from services.overdue import Invoice
from services.plans import DunningEnd, NewDunning
from services.tenants import Tenant
from services.terms import PlanTerms


async def dunning_types(tenants: Sequence[Tenant]) -> Mapping[int, types.Dunning]:
    """How far the cases of a page of tenants have come, by tenant; without those that owe nothing."""
    cases = await dunning_cases.open_cases([tenant.id for tenant in tenants])
    owed = await overdue.owed_by([*cases])
    return {
        tenant.id: _dunning_type(tenant, cases[tenant.id], owed[tenant.id]) for tenant in tenants if tenant.id in cases
    }


def _dunning_type(tenant: Tenant, case: DunningCase, owed: Sequence[Invoice]) -> types.Dunning:
    following = dunning_cases.next_step(tenant, case)
    return types.Dunning(
        step=types.DunningStep[case.step.name],
        since=case.since,
        next_step=types.DunningStep[following[0].name] if following else None,
        next_at=following[1] if following else None,
        invoices=[unpaid_invoice_type(overdue.shown(one)) for one in owed],
    )


def policy_type(terms: PlanTerms) -> types.DunningPolicy:
    """A plan's policy as the API shows it."""
    plan = terms.plan
    return types.DunningPolicy(
        grace_days=plan.grace_days,
        restricted_days=dunning_cases.RESTRICTED_DAYS if plan.restricted_days is None else plan.restricted_days,
        then=types.DunningEnd[plan.dunning_end.name],
        downgrade_plan=next_plan_type(terms.downgrade) if terms.downgrade else None,
    )


def new_policy(given: types.DunningPolicyInput | None, *path: str) -> NewDunning | None:
    """A policy to be."""
    if given is None:
        return None
    target = given.downgrade_plan_id
    return NewDunning(
        given.grace_days,
        given.restricted_days,
        DunningEnd[given.then.name],
        None if target is None else uuid_of(target, "Plan", path=(*path, "downgradePlanId")),
    )
