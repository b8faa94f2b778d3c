"""Dunning of a tenant, and the policy of a plan."""

from schema import dunning as types
from schema.connections import uuid_of
from schema.refusals import next_plan_type, unpaid_invoice_type
from services import dunning_cases, overdue
from services.plans import DunningEnd, NewDunning
from services.platform import Platform
from services.tenants import Tenant
from services.terms import PlanTerms


async def dunning_type(platform: Platform, tenant: Tenant) -> types.Dunning | None:
    """How far a tenant's case has come; None if nothing is owed."""
    case = await dunning_cases.open_case(tenant.id)
    if case is None:
        return None
    following = dunning_cases.next_step(tenant, case)
    return types.Dunning(
        step=types.DunningStep[case.step.name],
        since=case.since,
        next_step=types.DunningStep[following[0].name] if following else None,
        next_at=following[1] if following else None,
        invoices=[unpaid_invoice_type(overdue.shown(one)) for one in await overdue.owed_invoices(tenant.id)],
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
