"""The operator's margin."""

from datetime import date
from typing import Annotated

from strawberry import argument

from inkmeter.errors import InvalidInput, Problem
from resolvers.context import Info
from resolvers.fields import query
from resolvers.permissions import require_operator
from schema import margin as types
from schema.money import Money
from schema.nodes import global_id
from schema.scalars import BigInt, CurrencyCode
from services import margins, upstream_reconciling
from services.margin import MarginGroup, MarginRow, Measure
from services.tenants import Tenant


@query("Revenue, upstream cost and margin of a span of months. Operator only.", name="margin")
async def margin_report(
    info: Info,
    group_by: Annotated[types.MarginGroup, argument(description="What the rows are.")],
    month: Annotated[str | None, argument(description="One month, such as `2026-03`; or `period`.")] = None,
    period: Annotated[types.MonthsInput | None, argument(description="Several months; or `month`.")] = None,
    currency: Annotated[CurrencyCode | None, argument(description="Rows of one currency; of all if missing.")] = None,
) -> types.Margin:
    require_operator(info)
    first, end = _months(month, period)
    report = await margins.read_margin(info.context.platform, first, end, MarginGroup[group_by.name], currency)
    tenants = {tenant.id: tenant for tenant in report.tenants}
    return types.Margin(
        rows=[_row_type(row, tenants, has_bills=report.has_bills) for row in report.rows],
        totals=[_row_type(row, {}, has_bills=report.has_bills) for row in report.totals],
    )


def _months(month: str | None, period: types.MonthsInput | None) -> tuple[date, date]:
    if (month is None) == (period is None):
        raise InvalidInput([Problem(("month",), "is needed, or else period, and not both")])
    if month is not None:
        first, end = upstream_reconciling.check_month(month)
        return first.date(), end.date()
    assert period is not None  # noqa: S101 - one of the two is there
    return period.from_, period.to


def _row_type(row: MarginRow, tenants: dict[int, Tenant], *, has_bills: bool) -> types.MarginRow:
    tenant = tenants.get(row.key)
    return types.MarginRow(
        tenant_id=global_id("Tenant", tenant.public_id) if tenant is not None else None,
        name=tenant.name if tenant is not None else row.key,
        currency=CurrencyCode(row.currency),
        also_in=[CurrencyCode(other) for other in row.also_in],
        revenue=types.Revenue(
            rated=Money.of(row.money(Measure.RATED)),
            billed=Money.of(row.money(Measure.BILLED)),
            collected=Money.of(row.money(Measure.COLLECTED)),
        ),
        declared=_cost_type(row, Measure.DECLARED),
        actual=_cost_type(row, Measure.ACTUAL) if has_bills else None,
        units_sold=BigInt(row.units(Measure.SOLD)),
        units_bought=BigInt(row.units(Measure.BOUGHT)),
    )


def _cost_type(row: MarginRow, cost: Measure) -> types.CostMargin:
    return types.CostMargin(
        cost=Money.of(row.money(cost)), margin=Money.of(row.margin(cost)), percent=row.percent(cost)
    )
