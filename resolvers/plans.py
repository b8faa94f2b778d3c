"""Plans, billing models, and explaining a price."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from strawberry import argument

from inkmeter.errors import NotFound
from inkmeter.periods import Interval
from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import require_operator, require_viewer
from schema import plans as types
from schema.connections import DEFAULT_PAGE, After, Connection, First, decode_cursor, page_of, page_size, uuid_of
from schema.money import Money
from schema.nodes import Id, global_id
from schema.scalars import BigInt, CurrencyCode, Json
from services import plans, rating
from services.plans import CreatePlan, LimitPolicy, NewPrice, NewQuota, Plan
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
        quotas=[
            types.Quota(meter=q.meter, units=BigInt(q.units), policy=types.LimitPolicy[q.policy.name])
            for q in terms.quotas.values()
        ],
        created_at=plan.created_at,
    )


@mutation("Create a plan, or the next version of one. Operator only.")
async def create_plan(info: Info, input: types.CreatePlanInput) -> types.CreatePlanPayload:
    require_operator(info)
    command = CreatePlan(
        code=input.code,
        name=input.name,
        currency=input.currency,
        prices=[NewPrice(p.meter, p.model, p.config) for p in input.prices],
        quotas=[NewQuota(q.meter, LimitPolicy[q.policy.name], q.units) for q in input.quotas],
        interval=Interval[input.interval.name],
    )
    return types.CreatePlanPayload(plan=plan_type(await plans.create_plan(info.context.platform, command)))


@query("One version of a plan.")
async def plan(info: Info, id: Id) -> types.Plan | None:
    require_viewer(info)
    try:
        return plan_type(await plans.load_terms(info.context.platform, uuid_of(id, "Plan")))
    except NotFound:
        return None


@query("All versions of all plans, oldest first. Operator only.", name="plans")
async def plans_list(info: Info, first: First = DEFAULT_PAGE, after: After = None) -> Connection[types.Plan]:
    require_operator(info)
    size = page_size(first)
    rows = await plans.list_plans(decode_cursor(after, UUID), size + 1)
    loaded = {row.id: await plans.load_terms(info.context.platform, row.id) for row in rows}
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
