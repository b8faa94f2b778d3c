"""Usage from files: CSV or NDJSON, line by line, in batches that are one transaction for each tenant.

    meter,quantity,idempotencyKey,occurredAt,tenant,property.region
    api_calls,3,call-1,2026-03-10T09:00:00Z,customer-4711,eu

Nothing is half done wherever it stops, and lines that were recorded before are duplicates: it is simply run again.
"""

import asyncio
import codecs
import contextlib
import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, Any, Final
from uuid import UUID

from inkmeter.errors import InvalidInput, NotFound, Problem, Refused
from schema.connections import uuid_of
from server.usage import FIELDS, read_event, read_line
from services import tenants, usage
from services.platform import Platform
from services.tenants import Tenant
from services.usage import MAX_BULK_EVENTS, NewEvent, RecordStatus

_NEEDED: Final = ("meter", "quantity", "idempotencyKey")
_PROPERTY: Final = "property."
_COLUMNS: Final = (FIELDS - {"properties"}) | {"tenant"}

Advance = Callable[[int], None]
"""Told how many more bytes were read."""


class Format(StrEnum):
    """How the file is written."""

    CSV = "csv"
    NDJSON = "ndjson"


@dataclass(frozen=True, slots=True)
class Source:
    """Where lines come from."""

    stream: IO[bytes]
    format: Format
    advance: Advance = lambda _: None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that does not count, and why."""

    line: int
    key: str | None
    code: str
    message: str


Refuse = Callable[[Refusal], None]


@dataclass(slots=True)
class Total:
    """What became of the lines."""

    recorded: int = 0
    duplicates: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Import:
    """An import under way: the lines that wait, by their tenant."""

    platform: Platform
    refuse: Refuse
    total: Total = field(default_factory=Total)
    known: dict[str, Tenant | None] = field(default_factory=dict)
    waiting: dict[int, tuple[Tenant, list[tuple[int, NewEvent]]]] = field(default_factory=dict)
    count: int = 0

    def refused(self, refusal: Refusal) -> None:
        self.total.refused += 1
        self.refuse(refusal)

    async def tenant(self, name: object) -> Tenant:
        """The tenant of that reference or id. Raises ValueError."""
        if not isinstance(name, str) or not name:
            raise ValueError("needs tenant, as there is no --tenant")
        if name not in self.known:
            self.known[name] = await _find_tenant(name)
        found = self.known[name]
        if found is None:
            raise ValueError(f"there is no tenant {name!r}")
        return found

    async def write(self) -> None:
        """Record all that waits: of each tenant in one transaction, all at once."""
        waiting, self.waiting, self.count = list(self.waiting.values()), {}, 0
        await asyncio.gather(*(self._record(tenant, lines) for tenant, lines in waiting))

    async def _record(self, tenant: Tenant, lines: list[tuple[int, NewEvent]]) -> None:
        try:
            results = await usage.record_usage(
                self.platform, tenant, [event for _, event in lines], most=MAX_BULK_EVENTS
            )
        except Refused as refusal:
            for line, event in lines:
                self.refused(Refusal(line, event.idempotency_key, refusal.code, refusal.message))
            return
        for (line, _), result in zip(lines, results, strict=True):
            if result.refusal is not None:
                self.refused(Refusal(line, result.idempotency_key, result.refusal.code, _told(result.refusal)))
            elif result.status is RecordStatus.RECORDED:
                self.total.recorded += 1
            else:
                self.total.duplicates += 1


def _told(refusal: Refused) -> str:
    """Why, without the place in the batch, which means nothing to the reader of a file."""
    if not isinstance(refusal, InvalidInput):
        return refusal.message
    return "; ".join(f"{'.'.join(problem.path[2:])}: {problem.message}" for problem in refusal.problems)


async def import_usage(platform: Platform, source: Source, only: Tenant | None, *, batch: int, refuse: Refuse) -> Total:
    """Record every line, of the tenant that it names, or of `only`. Raises InvalidInput for a header that does not fit.

    A line that is refused is told to `refuse`, and the others count.
    """
    work = _Import(platform, refuse)
    read = _csv if source.format is Format.CSV else _ndjson
    for number, entry in read(source, needs_tenant=only is None):
        try:
            if isinstance(entry, str):
                raise ValueError(entry)
            name = entry.pop("tenant", None)
            if missing := [wanted for wanted in _NEEDED if wanted not in entry]:
                raise ValueError(f"needs {', '.join(missing)}")
            if only is not None and name is not None:
                raise ValueError("names a tenant, and so does --tenant: only one of them may")
            event = read_event(entry)
            tenant = only or await work.tenant(name)
        except ValueError as error:
            key = entry.get("idempotencyKey") if isinstance(entry, dict) else None
            work.refused(Refusal(number, key if isinstance(key, str) else None, "INVALID_INPUT", str(error)))
            continue
        work.waiting.setdefault(tenant.id, (tenant, []))[1].append((number, event))
        work.count += 1
        if work.count >= batch:
            await work.write()
    await work.write()
    return work.total


async def _find_tenant(name: str) -> Tenant | None:
    found = await tenants.find_by_reference(name)
    with contextlib.suppress(NotFound, ValueError):
        found = found or await tenants.find_tenant(UUID(name))
    with contextlib.suppress(NotFound):
        found = found or await tenants.find_tenant(uuid_of(name, "Tenant"))
    return found


def _ndjson(source: Source, *, needs_tenant: bool) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Each line's object, or what is wrong with it."""
    for number, line in enumerate(source.stream, start=1):
        source.advance(len(line))
        if not line.strip():
            continue
        try:
            yield number, read_line(line)
        except ValueError as error:
            yield number, str(error)


def _csv(source: Source, *, needs_tenant: bool) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Each row by the names of the header; what is empty is left out."""

    def lines() -> Iterator[str]:
        for number, line in enumerate(source.stream):
            source.advance(len(line))
            if number == 0:
                line = line.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901
            # What is no UTF-8 becomes characters that are not printable: the line is refused where it matters.
            yield line.decode("utf-8", "surrogateescape")

    reader = csv.reader(lines(), strict=True)
    header = _header(reader, needs_tenant=needs_tenant)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, f"is not CSV: {error}"
            continue
        if not any(row):
            continue
        if len(row) != len(header):
            yield reader.line_num, f"has {len(row)} columns, the header {len(header)}"
            continue
        cells = {name: cell for name, cell in zip(header, row, strict=True) if cell}
        properties = {name.removeprefix(_PROPERTY): cell for name, cell in cells.items() if name.startswith(_PROPERTY)}
        entry: dict[str, Any] = {name: cell for name, cell in cells.items() if not name.startswith(_PROPERTY)}
        yield reader.line_num, {**entry, "properties": properties} if properties else entry


def _header(reader: Any, *, needs_tenant: bool) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise InvalidInput([Problem(("header",), f"is not CSV: {error}")]) from None
    problems = [
        Problem((name or "header",), "there is no such column")
        for name in header
        if name not in _COLUMNS and not (name.startswith(_PROPERTY) and name != _PROPERTY)
    ]
    needed = (*_NEEDED, "tenant") if needs_tenant else _NEEDED
    problems += [Problem((name,), "this column is needed") for name in needed if name not in header]
    problems += [Problem((name,), "stands there twice") for name in {n for n in header if header.count(n) > 1}]
    if problems:
        raise InvalidInput(problems)
    return header
