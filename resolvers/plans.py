"""Plans, billing models, and explaining a price."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from strawberry import argument

from inkmeter.errors import NotFound
from inkmeter.money import Money as ExactMoney
from inkmeter.periods import Interval
from resolvers.context import Info
from resolvers.dunning import new_policy, policy_type
from resolvers.fields import mutation, query
from resolvers.permissions import require_operator, require_viewer
from schema import plans as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size, uuid_of
from schema.money import Money
from schema.nodes import Id, global_id
from schema.refusals import TopUpPack, next_plan_type
from schema.scalars import BigInt, CurrencyCode, Json
from services import phases, plans, rating
from services.measures import quantity_of
from services.plans import (
    CreatePlan,
    FeesDue,
    LimitPolicy,
    NewAutoTopUp,
    NewPack,
    NewPrice,
    NewQuota,
    Plan,
    Quota,
    StripeMode,
    TopUpPayment,
)
from services.terms import PlanTerms


def plan_type(terms: PlanTerms) -> types.Plan:
    """A plan version as the API shows it."""
    plan = terms.plan
    return types.Plan(
        id=global_id("Plan", plan.id),
        code=plan.code,
        version=plan.version,
        name=plan.name,
        currency=CurrencyCode(plan.currency),
        interval=types.Interval[plan.interval.name],
        prices=[
            types.Price(meter=entry.meter, model=entry.model, config=Json(dict(entry.config)))
            for entry, _ in terms.prices
        ],
        quotas=[_quota_type(terms, quota) for quota in terms.quotas.values()],
        fees=types.FeesDue[plan.fees.name],
        minimum_commitment=_money(plan.minimum_minor, plan.currency),
        dunning=policy_type(terms),
        successor=next_plan_type(terms.successor) if terms.successor else None,
        stripe_mode=types.StripeMode[plan.stripe_mode.name],
        created_at=plan.created_at,
    )


def _quota_type(terms: PlanTerms, quota: Quota) -> types.Quota:
    currency, rule = terms.plan.currency, quota.auto_top_up
    packs = [
        TopUpPack(units=BigInt(pack["units"]), price=Money.of(ExactMoney(pack["price_minor"], currency)))
        for pack in quota.packs
    ]
    return types.Quota(
        meter=quota.meter,
        units=BigInt(int(quantity_of(terms.meters[quota.meter], quota.units))),
        policy=types.LimitPolicy[quota.policy.name],
        spend_cap=_money(quota.spend_cap_minor, currency),
        top_up_packs=packs,
        auto_top_up=types.AutoTopUp(
            below=BigInt(rule["below"]),
            pack_units=packs[rule["pack"]].units,
            monthly_cap=Money.of(ExactMoney(rule["monthly_cap_minor"], currency)),
            payment=types.TopUpPayment[rule.get("payment", TopUpPayment.NEXT_INVOICE)],
        )
        if rule
        else None,
        alerts_at=list(quota.alerts_at),
    )


def _money(minor: int | None, currency: str) -> Money | None:
    return None if minor is None else Money.of(ExactMoney(minor, currency))


@mutation("Create a plan, or the next version of one. Operator only.")
async def create_plan(info: Info, input: types.CreatePlanInput) -> types.CreatePlanPayload:
    require_operator(info)
    successor = input.successor_id
    command = CreatePlan(
        code=input.code,
        name=input.name,
        currency=input.currency,
        prices=[NewPrice(p.meter, p.model, p.config) for p in input.prices],
        quotas=[_new_quota(quota) for quota in input.quotas],
        interval=Interval[input.interval.name],
        fees=FeesDue[input.fees.name],
        minimum_commitment=input.minimum_commitment,
        successor_id=None if successor is None else uuid_of(successor, "Plan", path=("successorId",)),
        stripe_mode=StripeMode[input.stripe_mode.name],
        dunning=new_policy(input.dunning, "dunning"),
    )
    return types.CreatePlanPayload(plan=plan_type(await plans.create_plan(info.context.platform, command)))


def _new_quota(quota: types.QuotaInput) -> NewQuota:
    return NewQuota(
        meter=quota.meter,
        policy=LimitPolicy[quota.policy.name],
        units=quota.units,
        spend_cap=quota.spend_cap,
        packs=[NewPack(pack.units, pack.price) for pack in quota.top_up_packs],
        auto_top_up=_new_rule(quota.auto_top_up),
        alerts_at=quota.alerts_at,
    )


def _new_rule(rule: types.AutoTopUpInput | None) -> NewAutoTopUp | None:
    if rule is None:
        return None
    return NewAutoTopUp(rule.below, rule.pack_units, rule.monthly_cap, TopUpPayment[rule.payment.name])


@query("One version of a plan.")
async def plan(info: Info, id: Id) -> types.Plan | None:
    require_viewer(info)
    try:
        return plan_type(await phases.load_terms(info.context.platform, uuid_of(id, "Plan")))
    except NotFound:
        return None


@query("All versions of all plans, oldest first. Operator only.", name="plans")
async def plans_list(info: Info, first: First = DEFAULT_PAGE, after: After = None) -> Connection[types.Plan]:
    require_operator(info)
    size = page_size(first)
    rows = await plans.list_plans(decode_cursor(after, UUID), size + 1)
    loaded = {row.id: await phases.load_terms(info.context.platform, row.id) for row in rows}
    return page_of(rows, size, key=_key, node=lambda row: plan_type(loaded[row.id]), after=after)


@query("Every billing model, built in or of a plugin.")
def billing_models(info: Info) -> list[types.BillingModel]:
    require_viewer(info)
    return [
        types.BillingModel(
            code=model.code,
            description=(model.__doc__ or "").strip(),
            config_schema=Json(model.model_json_schema()),
        )
        for model in info.context.platform.plugins.billing_models
    ]


@query("What usage would cost under a price, line by line, rated by the code that makes the bill.")
def explain_price(
    info: Info,
    model: Annotated[str, argument(description="Code of a billing model; `billingModels` lists them.")],
    config: Annotated[Json, argument(description="The billing model's configuration; amounts as strings.")],
    quantity: Annotated[Decimal, argument(description="Units used in a billing period.")],
    currency: Annotated[CurrencyCode, argument(description="The currency of the amounts.")],
    seats: Annotated[int, argument(description="Seats of the subscription.")] = 1,
) -> types.RatedPrice:
    require_viewer(info)
    platform = info.context.platform
    explained = rating.explain_price(
        platform.plugins.billing_models, platform.clock.now(), model, config, quantity, currency, seats
    )
    return types.RatedPrice(
        lines=[
            types.RatedLine(
                label=line.label, quantity=line.quantity, unit_price=line.unit_price, amount=Money.of(line.total)
            )
            for line in explained.rated.lines
        ],
        total=Money.of(explained.rated.total),
        allowance=explained.allowance,
    )


def _key(row: Plan) -> str:
    return str(row.id)
