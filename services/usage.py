"""Recording usage: counted facts, each once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from inkmeter.errors import Conflict, InvalidInput, Refused
from inkmeter.events import UsageRecorded
from services import meters, operations, periods, subscriptions
from services.commands import Fact, Record
from services.intake import NewEvent as NewEvent
from services.intake import read_fact
from services.measures import quantity_of
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


@dataclass(frozen=True, slots=True)
class RecordResult:
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
    await subscriptions.require_subscription(tenant.id)
    book = await meters.find_meters(platform, *{event.meter for event in events})
    now = platform.clock.now()
    results: dict[int, RecordResult] = {}
    facts: dict[int, Fact] = {}
    for index, event in enumerate(events):
        try:
            facts[index] = read_fact(book, event, now, index)
        except InvalidInput as refusal:
            results[index] = RecordResult(event.idempotency_key, RecordStatus.REFUSED, refusal)
    for index, answer in zip(facts, await _record(platform, tenant, list(facts.values()), now), strict=True):
        results[index] = _result(facts[index], index, answer)
    recorded = [fact for index, fact in facts.items() if results[index].status is RecordStatus.RECORDED]
    for meter in sorted({fact.meter for fact in recorded}):
        units = [fact.quantity for fact in recorded if fact.meter == meter]
        total = quantity_of(book[meter], sum(units)) if book[meter].decimals else sum(units)
        await platform.plugins.publish(UsageRecorded(str(tenant.public_id), now, meter, total, len(units)))
    return [results[index] for index in range(len(events))]


async def _record(platform: Platform, tenant: Tenant, facts: Sequence[Fact], now: datetime) -> list[bool | Refused]:
    """Count facts; those at moments that no subscription covers are refused, each by itself."""
    spans = await periods.require_spans(tenant.id)
    is_covered = [any(fact.occurred_at in span for span in spans) for fact in facts]
    covered = [fact for fact, is_so in zip(facts, is_covered, strict=True) if is_so]
    answers = iter(await operations.submit(platform, Record(tenant.id, covered, now)) if covered else [])
    return [
        next(answers) if is_so else periods.uncovered(spans, fact.occurred_at)
        for fact, is_so in zip(facts, is_covered, strict=True)
    ]


def _result(fact: Fact, index: int, answer: bool | Refused) -> RecordResult:
    if isinstance(answer, Conflict):
        answer = Conflict(answer.message, path=("events", str(index), *answer.path))
    if isinstance(answer, Refused):
        return RecordResult(fact.idempotency_key, RecordStatus.REFUSED, answer)
    return RecordResult(fact.idempotency_key, RecordStatus.RECORDED if answer else RecordStatus.DUPLICATE)
