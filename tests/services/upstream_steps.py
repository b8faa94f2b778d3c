"""Steps about what SignNow charges and what is left."""

from typing import Any

from tests.services.steps import Json, do
from tests.world import World

MONEY = "amount currency"
COST = f"cost {{ {MONEY} }} margin {{ {MONEY} }} percent"
ROW = f"""tenantId name currency alsoIn unitsSold unitsBought declared {{ {COST} }} actual {{ {COST} }}
    revenue {{ rated {{ {MONEY} }} billed {{ {MONEY} }} collected {{ {MONEY} }} }}"""
POOL = f"""units from to used remaining exhaustsAt fixedCost {{ {MONEY} }}
    tenants {{ name used percent fixedCost {{ amount }} }}
    drivers {{ name recent growth percentOfUse percentOfGrowth }}"""
RECONCILED = f"""name ours theirs basis unexplained causes {{ reason units explanation }}
    declared {{ {MONEY} }} billed {{ {MONEY} }}"""


async def set_cost(world: World, unit_cost: str, start: str, kind: str | None = None) -> Json:
    """A row of the cost table."""
    selection = f"costs {{ kind from unitCost {{ {MONEY} }} }}"
    return await do(
        world.operator, "setUpstreamCost", selection, **{"unitCost": unit_cost, "from": start, "kind": kind}
    )


async def record(world: World, **input: Any) -> Json:
    """What SignNow says."""
    return await do(world.operator, "recordUpstreamUsage", "recorded { new corrected unchanged }", **input)


async def margin(world: World, group: str = "TENANT", **when: Any) -> Json:
    """The margin's table; of March 2026 unless `month` or `period` say otherwise."""
    query = f"""query ($month: String, $period: MonthsInput, $group: MarginGroup!, $currency: CurrencyCode) {{
        margin(month: $month, period: $period, groupBy: $group, currency: $currency) {{
            rows {{ {ROW} }} totals {{ {ROW} }} }} }}"""
    given = when if "month" in when or "period" in when else {"month": "2026-03", **when}
    answer: Json = (await world.operator.ask(query, group=group, **given))["margin"]
    return answer


def brief(row: Json) -> tuple[Any, ...]:
    """(name, rated, billed, collected, declared cost, margin) of a row."""
    revenue = row["revenue"]
    amounts = [revenue[of]["amount"] for of in ("rated", "billed", "collected")]
    return (row["name"], *amounts, row["declared"]["cost"]["amount"], row["declared"]["margin"]["amount"])


async def reconcile(world: World, month: str = "2026-03", **more: Any) -> list[Json]:
    answer = await do(world.operator, "reconcileSignNow", f"rows {{ {RECONCILED} }}", month=month, **more)
    assert answer["userErrors"] == [], answer
    return list(answer["rows"])


async def pool(world: World, on: str | None = None) -> Json | None:
    answer: Json | None = (
        await world.operator.ask(f"query ($on: Date) {{ invitePool(on: $on) {{ {POOL} }} }}", on=on)
    )["invitePool"]
    return answer
