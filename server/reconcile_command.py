"""The command `reconcile stripe`: our books held against Stripe's, as a table."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from server.terminal import complain, out, tenant_uuid, with_platform
from services import reconciling, tenants
from services.platform import Platform
from services.reconciling import Found, Mode, Report

reconcile_app = typer.Typer(help="Our books held against others.", no_args_is_help=True)


@reconcile_app.command("stripe")
def reconcile_stripe(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's books.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Invoices closed since this day (UTC); 40 days back if missing."),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put right what can be put right without doing harm.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Store and change nothing; only look.")] = False,
) -> None:
    """Compare every closed invoice with Stripe's, line by line, and tell what differs."""
    public_id = tenant_uuid(tenant) if tenant is not None else None

    async def run(platform: Platform) -> Report:
        start = since.replace(tzinfo=UTC) if since else platform.clock.now() - reconciling.LOOK_BACK
        mode = Mode(repair, dry_run)
        if public_id is not None:
            only = await tenants.find_tenant(public_id)
            return await reconciling.reconcile_tenants(platform, [only], start, mode)
        return await reconciling.reconcile_all(platform, start, mode)

    report = with_platform(run)
    if report.found:
        out.print(_table(report.found))
    for tenant_id, reason in report.failed.items():
        complain(f"tenant {tenant_id} could not be compared: {reason}")
    count = sum(found.is_open for found in report.found)
    out.print(f"{report.tenants} tenants, {report.checks} comparisons, {count} differences open")
    if not report.is_clean:
        raise typer.Exit(1)


def _table(entries: list[Found]) -> Table:
    table = Table("Tenant", "What", "How", "Ours", "Stripe's", "Repair", box=None)
    for found in entries:
        table.add_row(
            escape(found.tenant.name),
            found.difference.kind.value,
            escape(found.difference.explanation),
            str(found.difference.ours),
            str(found.difference.theirs),
            escape(_outcome(found)),
            style="" if found.is_open else "dim",
        )
    return table


def _outcome(found: Found) -> str:
    """What became of a difference, or could."""
    if found.problem is not None:
        return f"{found.repair}: {found.problem}"
    if found.is_repaired:
        return f"{found.repair}: done"
    if not found.is_open:
        return "explained"
    return f"{found.repair}: possible" if found.repair is not None else "by hand"
