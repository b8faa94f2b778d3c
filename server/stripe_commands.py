"""The commands about Stripe's side of the plans."""

from typing import Annotated

import typer

from server.terminal import out, tenant_uuid, with_platform
from services import stripe_drift, tenants, usage_reports
from services.platform import Platform
from services.report_sending import COUNTED, OPEN, UsageReport
from services.stripe_drift import Drift

stripe_app = typer.Typer()


@stripe_app.command("mirror")
def mirror(
    repair: Annotated[bool, typer.Option("--repair", help="Put right what can be.")] = False,
) -> None:
    """Show what at Stripe is not as Inkmeter made it: names, archived prices, moved lookup keys, meters."""

    async def run(platform: Platform) -> tuple[list[Drift], list[Drift]]:
        if repair:
            return await stripe_drift.repair_mirror(platform)
        return [], await stripe_drift.find_drift(platform)

    repaired, left = with_platform(run)
    for word, drifts in (("repaired", repaired), ("differs", left)):
        for drift in drifts:
            what = f"{drift.kind} of {drift.subject} ({drift.stripe_id}): {drift.found}, must be {drift.expected}"
            out.print(f"{word}: {what}", markup=False, soft_wrap=True)
    out.print(f"{len(repaired)} repaired, {len(left)} differences")
    if left:
        raise typer.Exit(1)


@stripe_app.command("report-usage")
def report_usage(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's usage.")] = None,
) -> None:
    """Report the usage of METERED plans that is due to Stripe, as the worker does every quarter of an hour."""
    public_id = tenant_uuid(tenant) if tenant is not None else None

    async def run(platform: Platform) -> list[UsageReport]:
        only = await tenants.find_tenant(public_id) if public_id is not None else None
        return await usage_reports.report_due(platform, only)

    reports = with_platform(run)
    unsure = [report for report in reports if report.state in OPEN]
    for report in unsure:
        out.print(f"{report.meter}: {report.units} {report.state} ({report.id})", markup=False, soft_wrap=True)
    taken = sum(report.state in COUNTED for report in reports)
    out.print(f"{taken} reports of open periods are with Stripe, {len(unsure)} have no answer")
    if unsure:
        raise typer.Exit(1)
