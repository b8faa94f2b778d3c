"""`inkmeter tenants`: whether Stripe and SignNow still have what provisioning has made."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from server.terminal import fail, out, with_platform
from services import drift, tenants
from services.drift import Drift
from services.platform import Platform

tenants_app = typer.Typer(help="Tenants at Stripe and SignNow.", no_args_is_help=True)


@tenants_app.callback()
def tenants_group() -> None:
    """A group of its own, also with one command."""


@tenants_app.command("check")
def check(
    tenant: Annotated[str | None, typer.Option(help="One alone, by your own name for it.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what can be put right.")] = False,
) -> None:
    """Look whether Stripe's customers, SignNow's folders, users and callbacks are all there."""

    async def run(platform: Platform) -> list[Drift]:
        if tenant is None:
            return list(await drift.check_tenants(platform, is_repairing=repair))
        found = await tenants.find_by_reference(tenant)
        if found is None:
            fail(f"no tenant is called {tenant!r}")
        return list(await (drift.repair_tenant if repair else drift.check_tenant)(platform, found))

    drifts = with_platform(run)
    table = Table("Tenant", "What", "Why", "Repaired", box=None)
    for entry in drifts:
        is_repaired = "yes" if entry.is_repaired else "no"
        table.add_row(escape(entry.tenant.external_reference), entry.kind.value, escape(entry.message), is_repaired)
    out.print(table if drifts else "everything is there")
    if any(not entry.is_repaired for entry in drifts):
        raise typer.Exit(1)
