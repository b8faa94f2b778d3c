"""Counters held against what they stand for."""

from decimal import Decimal

from resolvers.context import Info
from resolvers.fields import mutation
from resolvers.permissions import acting_tenant, require_operator
from resolvers.usage import shown
from schema import counters as types
from schema.scalars import Quantity
from services import counters
from services.counters import Difference, Sum
from services.measures import MeterBook


@mutation("Compare a tenant's counters with its events, operations and credits, and put them right. Operator only.")
async def rebuild_counters(info: Info, input: types.RebuildCountersInput) -> types.RebuildCountersPayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id)
    platform = info.context.platform
    report = await counters.rebuild_counters(platform, tenant, check=input.check)
    differences = [_difference_type(platform.metering.meters, found) for found in report.differences]
    return types.RebuildCountersPayload(report=types.CounterReport(periods=report.periods, differences=differences))


def _difference_type(book: MeterBook, found: Difference) -> types.CounterDifference:
    stored, expected = (
        # How many events show a value is a plain number.
        Quantity(Decimal(units)) if found.what is Sum.VALUE else shown(book[found.meter], units)
        for units in (found.stored, found.expected)
    )
    return types.CounterDifference(
        period_start=found.period_starts_at,
        meter=found.meter,
        sum=types.CounterSum[found.what.name],
        of=found.of,
        stored=stored,
        expected=expected,
    )
