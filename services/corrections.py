"""Corrections: an event that should not have been counted is taken back, whole, and another put in its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from inkmeter.errors import Conflict, NotFound, Refused
from services import meters, operations
from services.commands import Correct, Correction, Fact
from services.intake import check_new_key, read_properties, read_units
from services.measures import MeterBook
from services.platform import Platform
from services.problems import Problems
from storage.tenants import Tenant
from storage.usage import FoundEvent, find_events

MAX_CORRECTIONS: Final = 1_000
MAX_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class NewCorrection:
    """The event of `event_key` shall have had this quantity; none or zero: it never happened.

    `properties` None leaves them as they were.
    """

    event_key: str
    idempotency_key: str
    quantity: int | Decimal | None = None
    properties: Mapping[str, object] | None = None
    reason: str | None = None


class CorrectStatus(StrEnum):
    """DUPLICATE: the same correction was made before."""

    CORRECTED = "CORRECTED"
    DUPLICATE = "DUPLICATE"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class CorrectResult:
    """What became of one correction."""

    idempotency_key: str
    status: CorrectStatus
    refusal: Refused | None = None


async def correct_usage(
    platform: Platform, tenant: Tenant, corrections: Sequence[NewCorrection]
) -> list[CorrectResult]:
    """Take events back, each once, and answer for each: one that is refused never stops the others.

    In a period that is closed the difference is billed with the next invoice. Raises InvalidInput for none or more
    than MAX_CORRECTIONS.
    """
    problems = Problems()
    problems.check(1 <= len(corrections) <= MAX_CORRECTIONS, f"needs 1 to {MAX_CORRECTIONS}", "corrections")
    problems.refuse()
    found = await find_events(tenant.id, sorted({entry.event_key for entry in corrections}))
    book = await meters.find_meters(platform, *{event.meter for event in found.values()})
    results: dict[int, CorrectResult] = {}
    wanted: dict[int, Correction] = {}
    for index, entry in enumerate(corrections):
        try:
            wanted[index] = _read(book, entry, found.get(entry.event_key), index)
        except Refused as refusal:
            results[index] = CorrectResult(entry.idempotency_key, CorrectStatus.REFUSED, refusal)
    if wanted:
        command = Correct(tenant.id, list(wanted.values()), platform.clock.now())
        for index, answer in zip(wanted, await operations.submit(platform, command), strict=True):
            results[index] = _result(corrections[index], index, answer)
    return [results[index] for index in range(len(corrections))]


def _read(book: MeterBook, entry: NewCorrection, original: FoundEvent | None, index: int) -> Correction:
    problems, path = Problems(), ("corrections", str(index))
    if original is None:
        raise NotFound("the tenant has no such event", path=(*path, "eventKey"))
    check_new_key(problems, entry.idempotency_key, *path, "idempotencyKey")
    if entry.reason is not None:
        problems.check_text(entry.reason, *path, "reason", longest=MAX_REASON)
    properties = None
    if entry.properties is not None:
        properties = read_properties(problems, entry.properties, *path, "properties")
    units = None
    if entry.quantity:
        known = original.properties if properties is None else properties
        units = read_units(problems, book[original.meter], entry.quantity, known, *path)
    else:
        problems.check(properties is None, "need a quantity: without one it never happened", *path, "properties")
    problems.refuse()
    was = Fact(
        original.meter,
        original.quantity,
        entry.event_key,
        original.occurred_at,
        properties=original.properties,
    )
    return Correction(was, entry.idempotency_key, units, properties, entry.reason)


def _result(entry: NewCorrection, index: int, answer: bool | Refused) -> CorrectResult:
    if isinstance(answer, Refused):
        kind = type(answer)
        if kind in (Conflict, NotFound):
            answer = kind(answer.message, path=("corrections", str(index), *answer.path))
        return CorrectResult(entry.idempotency_key, CorrectStatus.REFUSED, answer)
    return CorrectResult(entry.idempotency_key, CorrectStatus.CORRECTED if answer else CorrectStatus.DUPLICATE)
