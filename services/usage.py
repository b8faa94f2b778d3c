"""Recording usage: counted facts, each once."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from inkmeter.errors import Conflict, InvalidInput, Refused
from inkmeter.events import UsageRecorded
from services import meters, operations, periods
from services.commands import Fact, Record
from services.intake import NewEvent as NewEvent
from services.intake import read_fact
from services.measures import quantity_of
from services.periods import Covered
from services.platform import Platform
from services.problems import Problems
from storage.tenants import Tenant

MAX_EVENTS: Final = 1_000
MAX_BULK_EVENTS: Final = 10_000


class RecordStatus(StrEnum):
    """DUPLICATE: the same fact was recorded before, and is not counted again."""

    RECORDED = "RECORDED"
    DUPLICATE = "DUPLICATE"
    REFUSED = "REFUSED"


class RecordResult(NamedTuple):
    """What became of one event."""

    idempotency_key: str
    status: RecordStatus
    refusal: Refused | None = None


async def record_usage(
    platform: Platform, tenant: Tenant, events: Sequence[NewEvent], *, most: int = MAX_EVENTS
) -> list[RecordResult]:
    """Count facts that happened elsewhere, and answer for each: one bad event never rejects the others.

    Durable when it returns. Raises InvalidInput for a batch of none or of more than `most`, and SubscriptionInactive.
    """
    problems = Problems()
    problems.check(1 <= len(events) <= most, f"needs 1 to {most} events", "events")
    problems.refuse()
    spans = await periods.running_spans(tenant.id)
    book = await meters.find_meters(platform, *{event.meter for event in events})
    now = platform.clock.now()
    facts: list[Fact] = []
    refused: dict[int, Refused] = {}
    for index, event in enumerate(events):
        try:
            facts.append(read_fact(book, event, now, index))
        except InvalidInput as refusal:
            refused[index] = refusal
    answers = await _record(platform, tenant, spans, facts, now)
    units: defaultdict[str, list[int]] = defaultdict(list)
    for fact, answer in zip(facts, answers, strict=True):
        if answer is True:
            units[fact.meter].append(fact.quantity)
    for meter in sorted(units):
        total = quantity_of(book[meter], sum(units[meter])) if book[meter].decimals else sum(units[meter])
        await platform.plugins.publish(UsageRecorded(str(tenant.public_id), now, meter, total, len(units[meter])))
    for index in refused:  # in order: each finds its place
        answers.insert(index, refused[index])
    recorded = RecordStatus.RECORDED
    return [
        RecordResult(event.idempotency_key, recorded)
        if answer is True
        else _not_recorded(event.idempotency_key, index, answer)
        for index, (event, answer) in enumerate(zip(events, answers, strict=True))
    ]


async def _record(
    platform: Platform, tenant: Tenant, spans: list[Covered], facts: Sequence[Fact], now: datetime
) -> list[bool | Refused]:
    """Count facts; those at moments that no subscription covers are refused, each by itself."""
    if not facts:
        return []
    moments = [fact.occurred_at for fact in facts]
    first, last = min(moments), max(moments)
    if any(first in span and last in span for span in spans):  # nearly always: nothing need be looked at one by one
        answers: list[bool | Refused] = await operations.submit(platform, Record(tenant.id, facts, now))
        return answers
    is_covered = [any(fact.occurred_at in span for span in spans) for fact in facts]
    covered = [fact for fact, is_so in zip(facts, is_covered, strict=True) if is_so]
    counted = iter(await operations.submit(platform, Record(tenant.id, covered, now)) if covered else [])
    return [
        next(counted) if is_so else periods.uncovered(spans, fact.occurred_at)
        for fact, is_so in zip(facts, is_covered, strict=True)
    ]


def _not_recorded(key: str, index: int, answer: bool | Refused) -> RecordResult:
    if isinstance(answer, Conflict):
        answer = Conflict(answer.message, path=("events", str(index), *answer.path))
    if isinstance(answer, Refused):
        return RecordResult(key, RecordStatus.REFUSED, answer)
    return RecordResult(key, RecordStatus.DUPLICATE)
