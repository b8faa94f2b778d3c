"""The commands about meters, events and counters."""

import contextlib
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import orjson
import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from server import importing
from server.importing import Format, Refusal, Source
from server.terminal import complain, fail, out, tenant_uuid, with_platform
from services import counters, meters, tenants
from services.platform import Platform
from services.tenants import Tenant
from services.usage import MAX_BULK_EVENTS

metering_app = typer.Typer()


class FormatName(StrEnum):
    """How a file is written."""

    CSV = "csv"
    NDJSON = "ndjson"


@metering_app.command("meters")
def list_meters() -> None:
    """List the meters, built in and your own."""
    book = with_platform(meters.refresh)
    table = Table("Meter", "Unit", "How", "What it counts", box=None)
    for meter in book.meters.values():
        how = [meter.aggregation.value]
        how += [f"of {meter.source}"] if meter.source else []
        how += [f"by {meter.property}"] if meter.property else []
        how += [f"where {name}={'|'.join(sorted(values))}" for name, values in meter.filters.items()]
        table.add_row(meter.code, escape(meter.unit), escape(" ".join(how)), escape(meter.description))
    out.print(table)


@metering_app.command("rebuild-counters")
def rebuild_counters(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's counters.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only look; change nothing.")] = False,
) -> None:
    """Compare all counters with the events, operations and credits that they stand for, and put them right."""
    public_id = tenant_uuid(tenant) if tenant is not None else None

    async def run(platform: Platform) -> list[str]:
        only = await tenants.find_tenant(public_id) if public_id is not None else None
        report = await counters.rebuild_counters(platform, only, check=check)
        lines = [f"tenant {(await tenants.get_tenant(d.tenant_id)).public_id}: {d}" for d in report.differences]
        return [*lines, f"{report.periods} periods looked at, {len(lines)} differences"]

    *differences, total = with_platform(run)
    for line in differences:
        out.print(line, markup=False, soft_wrap=True)
    out.print(total if check or not differences else f"{total}, put right")
    if check and differences:
        raise typer.Exit(1)


@metering_app.command("import")
def import_usage(
    file: Annotated[str, typer.Argument(help="The file; - reads stdin.")],
    tenant: Annotated[str | None, typer.Option(help="The tenant's id, if no line names its own.")] = None,
    format_: Annotated[
        FormatName | None, typer.Option("--format", help="csv or ndjson; by the file's name if missing.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Lines that are recorded together.", min=1, max=MAX_BULK_EVENTS)] = 1000,
    refused: Annotated[Path | None, typer.Option(help="File for the lines that were refused, as NDJSON.")] = None,
) -> None:
    """Record usage from a file, each line once: run it again after whatever happened."""
    public_id = tenant_uuid(tenant) if tenant is not None else None
    kind = format_ or _format_of(file)
    with _opened(file) as (stream, size), _refusals(refused) as tell, _progress(size) as advance:

        async def run(platform: Platform) -> importing.Total:
            only: Tenant | None = await tenants.find_tenant(public_id) if public_id is not None else None
            source = Source(stream, Format[kind.name], advance)
            return await importing.import_usage(platform, source, only, batch=batch, refuse=tell)

        total = with_platform(run)
    out.print(f"{total.recorded} recorded, {total.duplicates} duplicates, {total.refused} refused")
    if total.refused:
        raise typer.Exit(1)


def _format_of(file: str) -> FormatName:
    ending = Path(file).suffix.lower()
    if ending == ".csv":
        return FormatName.CSV
    if ending in (".ndjson", ".jsonl"):
        return FormatName.NDJSON
    return fail(f"{file}: is it csv or ndjson? Say so with --format")


@contextlib.contextmanager
def _opened(file: str) -> Iterator[tuple[IO[bytes], int | None]]:
    if file == "-":
        yield sys.stdin.buffer, None
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 - closed below; only opening may fail here
    except OSError as error:
        fail(f"{file} cannot be read ({error.strerror})")
    with stream:
        yield stream, Path(file).stat().st_size


@contextlib.contextmanager
def _refusals(file: Path | None) -> Iterator[importing.Refuse]:
    if file is None:
        yield lambda refusal: complain(f"line {refusal.line}: {refusal.message}")
        return
    try:
        stream = file.open("wb")
    except OSError as error:
        fail(f"{file} cannot be written ({error.strerror})")

    def write(refusal: Refusal) -> None:
        entry = {"line": refusal.line, "idempotencyKey": refusal.key, "code": refusal.code, "message": refusal.message}
        stream.write(orjson.dumps(entry) + b"\n")

    with stream:
        yield write


@contextlib.contextmanager
def _progress(size: int | None) -> Iterator[importing.Advance]:
    """A bar on a terminal; nothing anywhere else."""
    columns = (TextColumn("importing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, disable=not out.is_terminal, transient=True) as progress:
        task = progress.add_task("importing", total=size)
        yield lambda count: progress.advance(task, count)
