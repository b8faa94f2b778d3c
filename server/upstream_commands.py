"""The commands about SignNow's books and the margin."""

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from inkmeter.money import CURRENCY_DIGITS
from server.reconcile_command import reconcile_app
from server.terminal import fail, out, tenant_uuid, with_platform
from server.upstream_importing import read_records
from services import margins, tenants, upstream_books, upstream_reconciling
from services.margin import MarginGroup, MarginRow, Measure
from services.margins import MarginReport
from services.platform import Platform
from services.upstream_books import Recorded
from services.upstream_reconciling import TOLD, ReconciledRow

upstream_app = typer.Typer()
upstream_group = typer.Typer(help="SignNow's own books.", no_args_is_help=True)
upstream_app.add_typer(upstream_group, name="upstream")

MAX_FILE: Final = 16 * 1024 * 1024


class Group(StrEnum):
    """What the rows of the table are."""

    TENANT = "tenant"
    PLAN = "plan"
    BILLING_MODEL = "billing-model"
    MONTH = "month"


@upstream_app.command("margin")
def margin(
    month: Annotated[str | None, typer.Option(help="One month, such as 2026-03; or --from and --to.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="The first day of the first month.")] = None,
    to: Annotated[str | None, typer.Option(help="The first day of the month after the last one.")] = None,
    by: Annotated[Group, typer.Option(help="What the rows are.")] = Group.TENANT,
    currency: Annotated[str | None, typer.Option(help="Only rows of this currency.")] = None,
) -> None:
    """Show revenue, upstream cost and margin of one or more months."""
    if (month is None) == (from_ is None) or (from_ is None) != (to is None):
        fail("needs --month, or else --from and --to")
    if currency is not None and currency not in CURRENCY_DIGITS:
        fail(f"{currency!r} is not an ISO 4217 currency code such as USD")

    async def run(platform: Platform) -> MarginReport:
        if month is not None:
            first, end = (moment.date() for moment in upstream_reconciling.check_month(month))
        else:
            first, end = _day(from_), _day(to)
        return await margins.read_margin(platform, first, end, MarginGroup[by.name], currency)

    report = with_platform(run)
    names = {tenant.id: tenant.name for tenant in report.tenants}
    amounts = ("Rated", "Billed", "Collected", "Declared cost", "Actual cost", "Margin", "Percent")
    table = Table(by.value.capitalize().replace("-", " "), "Sold", "Bought", *amounts, box=None)
    for row in report.rows:
        name = names.get(row.key, str(row.key)) if row.key is not None else "(none)"
        table.add_row(escape(name), *_cells(row, has_bills=report.has_bills))
    for row in report.totals:
        table.add_row("Total", *_cells(row, has_bills=report.has_bills), style="bold")
    out.print(table)


def _cells(row: MarginRow, *, has_bills: bool) -> list[str]:
    percent = row.percent()
    return [
        str(row.units(Measure.SOLD)),
        str(row.units(Measure.BOUGHT)),
        *(str(row.money(measure)) for measure in (Measure.RATED, Measure.BILLED, Measure.COLLECTED, Measure.DECLARED)),
        str(row.money(Measure.ACTUAL)) if has_bills else "-",
        str(row.margin()),
        f"{percent} %" if percent is not None else "-",
    ]


def _day(text: str | None) -> date:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        fail(f"{text!r} is not a day such as 2026-03-01")


@upstream_group.command("import")
def import_upstream(
    file: Annotated[Path, typer.Argument(help="A CSV of SignNow's usage and invoices.")],
    source: Annotated[
        str, typer.Option(help="Where it comes from; its figures replace those of the same source.")
    ] = "csv",
) -> None:
    """Store SignNow's usage figures and invoices from a CSV: all lines or none, each once."""
    try:
        content = file.read_bytes()
    except OSError as error:
        fail(f"{file} cannot be read ({error.strerror})")
    if len(content) > MAX_FILE:
        fail(f"{file} is larger than {MAX_FILE} bytes")

    async def run(platform: Platform) -> Recorded:
        return await upstream_books.record(platform, read_records(content), source)

    recorded = with_platform(run)
    out.print(f"{recorded.new} new, {recorded.corrected} corrected, {recorded.unchanged} unchanged")


@reconcile_app.command("signnow")
def reconcile_signnow(
    month: Annotated[str, typer.Option(help="The calendar month in UTC, such as 2026-03.")],
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's month.")] = None,
) -> None:
    """Compare our upstream units of a month with what SignNow shows and bills, and explain what differs."""
    public_id = tenant_uuid(tenant) if tenant is not None else None

    async def run(platform: Platform) -> list[ReconciledRow]:
        only = await tenants.find_tenant(public_id) if public_id is not None else None
        return await upstream_reconciling.reconcile_signnow(platform, month, only)

    rows = with_platform(run)
    table = Table("Tenant", "Ours", "SignNow", "Unexplained", "Declared cost", "Billed", box=None)
    for row in rows:
        name = row.tenant.name if row.tenant is not None else "Total"
        theirs = "-" if row.theirs is None else str(row.theirs)
        money = (", ".join(map(str, amounts)) or "-" for amounts in (row.declared, row.billed))
        table.add_row(escape(name), str(row.ours), theirs, str(row.unexplained), *money)
    out.print(table)
    for row in rows:
        for cause in row.causes if row.tenant is not None else ():
            text = f"{row.tenant.name}: {cause.units:+} {TOLD[cause.reason]}" if row.tenant else ""
            out.print(text, markup=False, soft_wrap=True)
    if any(row.unexplained for row in rows):
        raise typer.Exit(1)
