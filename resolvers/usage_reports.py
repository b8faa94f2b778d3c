"""What is reported to Stripe's meters, and what Stripe's side of the plans looks like."""

from typing import Annotated

from strawberry import argument

from resolvers.context import Info
from resolvers.fields import mutation, query
from resolvers.permissions import acting_tenant, require_operator
from schema import usage_reports as types
from schema.scalars import BigInt
from services import stripe_drift, usage_reports
from services.stripe_drift import Drift
from services.usage_reports import UsageReport


@mutation("Report the usage of METERED plans that is due to Stripe now. Safe to repeat. Operator only.")
async def report_usage_to_stripe(info: Info, input: types.ReportUsageToStripeInput) -> types.ReportUsageToStripePayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id)
    reports = await usage_reports.report_due(info.context.platform, tenant)
    reporting = types.UsageReporting(reports=[_report_type(report) for report in reports])
    return types.ReportUsageToStripePayload(reporting=reporting)


@query("What at Stripe is not as Inkmeter made it. Asks Stripe. Operator only.", name="stripeDrift")
async def drift_list(
    info: Info,
    plan_code: Annotated[str | None, argument(description="Only this plan's product and prices.")] = None,
) -> list[types.StripeDrift]:
    require_operator(info)
    return [_drift_type(drift) for drift in await stripe_drift.find_drift(info.context.platform, plan_code)]


@mutation("Put right what at Stripe is not as Inkmeter made it, where that is safe. Operator only.")
async def repair_stripe_mirror(info: Info, input: types.RepairStripeMirrorInput) -> types.RepairStripeMirrorPayload:
    require_operator(info)
    repaired, left = await stripe_drift.repair_mirror(info.context.platform, input.plan_code)
    repair = types.MirrorRepair(repaired=[_drift_type(d) for d in repaired], left=[_drift_type(d) for d in left])
    return types.RepairStripeMirrorPayload(repair=repair)


def _report_type(report: UsageReport) -> types.UsageReport:
    return types.UsageReport(
        identifier=str(report.id),
        meter=report.meter,
        units=BigInt(report.units),
        at=report.at,
        state=types.ReportState[report.state.name],
        reason=report.reason,
    )


def _drift_type(drift: Drift) -> types.StripeDrift:
    return types.StripeDrift(
        kind=types.DriftKind[drift.kind.name],
        subject=drift.subject,
        stripe_id=drift.stripe_id,
        expected=drift.expected,
        found=drift.found,
        is_repairable=drift.is_repairable,
    )
