"""The command line."""

import asyncio
import contextlib
import json
import logging
import socket
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from strawberry.printer import print_schema

from inkmeter.clock import Clock, SystemClock, TravelClock
from integrations.signnow.sandbox.app import create_app as create_signnow
from integrations.stripe.sandbox.app import create_app as create_stripe
from server import serving
from server.asgi import create_app, graphql_schema
from server.demo.play import play
from server.metering_commands import metering_app
from server.query_command import query_app
from server.reconcile_command import reconcile_app
from server.sandboxes import OPERATOR_KEY, open_sandboxes
from server.serving import address, listen, stopping
from server.settings import Settings
from server.stripe_commands import stripe_app
from server.tenant_commands import tenants_app
from server.terminal import clear_errors, fail, out, tenant_uuid, with_platform
from server.upstream_commands import upstream_app
from server.wiring import open_platform, plugins_of
from server.work_commands import work_app
from services import closing, keys, rating, tenants, timetable
from services.keys import Role
from services.platform import Platform
from storage.database import open_database

app = typer.Typer(
    name="inkmeter",
    help="Meter, price and collect for companies that embed SignNow's e-signatures.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
keys_app = typer.Typer(help="API keys.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(metering_app)
app.add_typer(query_app)
app.add_typer(stripe_app)
app.add_typer(upstream_app)
app.add_typer(work_app)
app.add_typer(reconcile_app, name="reconcile")
app.add_typer(tenants_app, name="tenants")


class Sandbox(StrEnum):
    """Which of the two."""

    SIGNNOW = "signnow"
    STRIPE = "stripe"


class RoleName(StrEnum):
    """Whom a key speaks for."""

    OPERATOR = "operator"
    TENANT = "tenant"


Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes any free one.")]


@app.command()
def serve(
    port: Port = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="With sandboxes of SignNow and Stripe, no account.")
    ] = False,
) -> None:
    """Serve the API, the webhooks and, unless INKMETER_IS_WORKER is false, the background work."""
    given = {name: value for name, value in (("port", port), ("host", host)) if value is not None}
    with clear_errors():
        settings = Settings.load(**given)
        asyncio.run(_serve_sandbox(settings) if sandbox else _serve(settings))


async def _serve(settings: Settings) -> None:
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        await _run_checked(settings, listener)


async def _serve_sandbox(settings: Settings) -> None:
    clock = TravelClock()  # one for all three, so that Stripe's control plane can let a month pass
    async with open_sandboxes(settings, clock) as boxes:
        out.print(f"SignNow sandbox  {boxes.signnow_url}\nStripe sandbox   {boxes.stripe_url}", soft_wrap=True)
        out.print(f"Database         {boxes.settings.database_url}", soft_wrap=True, highlight=False)
        out.print(f"Operator's key   {OPERATOR_KEY}", soft_wrap=True)
        await _run_checked(boxes.settings, boxes.listener, clock, operator_key=OPERATOR_KEY)


async def _run_checked(
    settings: Settings, listener: socket.socket, clock: Clock | None = None, operator_key: str | None = None
) -> None:
    """Open everything once before serving, so that what is wrong is one line and not a log."""
    async with open_platform(settings, clock=clock) as platform:
        if operator_key is not None:
            await keys.ensure_key(platform, operator_key)
        application = create_app(settings, platform=lambda: contextlib.nullcontext(platform))
        out.print(f"Serving {address(listener)}/graphql, Ctrl-C to stop", soft_wrap=True)
        await serving.serve(application, listener)


@app.command()
def demo(
    exit_after: Annotated[bool, typer.Option("--exit", help="Stop after the report.")] = False,
    port: Port = None,
) -> None:
    """Play a month of five tenants against local sandboxes, report it, then serve until Ctrl-C."""
    with clear_errors():
        held = asyncio.run(play(port=port, stay=not exit_after, console=out))
    if not held:
        raise typer.Exit(1)


@app.command()
def worker() -> None:
    """Do the background work: webhooks, closes, pushes, settling. Any number may run beside each other."""

    async def work(platform: Platform) -> None:
        working = asyncio.ensure_future(timetable.work(platform))
        out.print("working; Ctrl-C to stop")
        with stopping(working.cancel), contextlib.suppress(asyncio.CancelledError):
            await working

    logging.basicConfig(level=logging.INFO)
    with_platform(work)


@app.command()
def migrate() -> None:
    """Bring the database's tables up to date."""

    async def run() -> str:
        async with open_database(Settings.load().database_url) as database:
            return database.dialect

    with clear_errors():
        out.print(f"the {asyncio.run(run())} database is up to date")


@app.command()
def plugins() -> None:
    """List the plugins and the billing models."""
    with clear_errors():
        loaded = plugins_of(Settings.load())
    out.print(f"Plugins: {', '.join(loaded.names)}")
    table = Table("Billing model", "What it does", box=None)
    for model in loaded.billing_models:
        table.add_row(model.code, escape((model.__doc__ or "").strip().partition("\n")[0]))
    out.print(table)


@keys_app.command("create")
def keys_create(
    role: Annotated[RoleName, typer.Option(help="Whom the key speaks for.")],
    tenant: Annotated[str | None, typer.Option(help="The tenant's id, for its own key.")] = None,
) -> None:
    """Make an API key and print it, and nothing else: it cannot be read again."""
    if (role is RoleName.TENANT) != (tenant is not None):
        fail("--tenant is needed for a tenant's key, and only for one")
    public_id = tenant_uuid(tenant) if tenant is not None else None
    key = with_platform(lambda platform: keys.create_key(platform, Role[role.name], public_id))
    print(key)  # noqa: T201 - scripts read it


@app.command()
def sandbox(
    which: Annotated[Sandbox, typer.Argument(help="Whose sandbox.")],
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 0,
    webhook_url: Annotated[str | None, typer.Option(help="Where the Stripe sandbox sends its events.")] = None,
) -> None:
    """Run the sandbox of SignNow or Stripe alone."""
    clock = TravelClock()
    with clear_errors(), contextlib.closing(listen("127.0.0.1", port)) as listener:
        out.print(f"{which} sandbox on {address(listener)}", soft_wrap=True)
        made = (
            create_signnow(clock=clock)
            if which is Sandbox.SIGNNOW
            else create_stripe(clock=clock, webhook_url=webhook_url)
        )
        asyncio.run(serving.serve(made, listener))


@app.command("export-schema")
def export_schema() -> None:
    """Print the GraphQL schema."""
    print(print_schema(graphql_schema()))  # noqa: T201 - no colours, no wrapping


@app.command()
def explain(
    model: Annotated[str, typer.Argument(help="Code of a billing model, e.g. tiered.")],
    config: Annotated[str, typer.Argument(help="Its configuration as JSON; amounts as strings.")],
    quantity: Annotated[str, typer.Argument(help="Units used in a period.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")] = "USD",
    seats: Annotated[int, typer.Option(help="Seats of the subscription.")] = 1,
) -> None:
    """Show what usage would cost, line by line: rated by the code that makes the bill."""
    with clear_errors():
        explained = rating.explain_price(
            plugins_of(Settings.load()).billing_models,
            SystemClock().now(),
            model,
            _json_object(config),
            _decimal(quantity),
            currency,
            seats,
        )
    table = Table("Line", "Quantity", "Unit price", "Amount", box=None)
    for line in explained.rated.lines:
        table.add_row(escape(line.label), f"{line.quantity:f}", f"{line.unit_price:f}", str(line.total))
    table.add_row("Total", "", "", str(explained.rated.total), style="bold")
    out.print(table)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        fail(f"the configuration is not JSON: {error}")
    return value if isinstance(value, dict) else fail("the configuration is a JSON object")


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        fail(f"{text!r} is not a number")


@app.command()
def close(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's period.")] = None,
) -> None:
    """Close every billing period that is over, as the worker would some time after its end."""
    public_id = tenant_uuid(tenant) if tenant is not None else None

    async def run(platform: Platform) -> list[closing.CloseResult]:
        only = (await tenants.find_tenant(public_id)).id if public_id is not None else None
        return await closing.close_all(platform, only)

    results = with_platform(run)
    for result in results:
        out.print(f"{result.tenant_name}: {result.outcome}", markup=False, soft_wrap=True)
    out.print(f"{sum(result.is_closed for result in results)} periods closed")
    if not all(result.is_closed for result in results):
        raise typer.Exit(1)
