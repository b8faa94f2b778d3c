"""Recording usage: counted facts, each once."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

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
    await subscriptions.require_subscription(tenant.id)
    book = await meters.find_meters(platform, *{event.meter for event in events})
    now = platform.clock.now()
    results: dict[int, RecordResult] = {}
    facts: list[Fact] = []
    places: list[int] = []
    for index, event in enumerate(events):
        try:
            facts.append(read_fact(book, event, now, index))
            places.append(index)
        except InvalidInput as refusal:
            results[index] = RecordResult(event.idempotency_key, RecordStatus.REFUSED, refusal)
    units: dict[str, list[int]] = {}
    for index, fact, answer in zip(places, facts, await _record(platform, tenant, facts, now), strict=True):
        if answer is True:
            results[index] = RecordResult(fact.idempotency_key, RecordStatus.RECORDED)
            units.setdefault(fact.meter, []).append(fact.quantity)
        else:
            results[index] = _not_recorded(fact, index, answer)
    for meter in sorted(units):
        total = quantity_of(book[meter], sum(units[meter])) if book[meter].decimals else sum(units[meter])
        await platform.plugins.publish(UsageRecorded(str(tenant.public_id), now, meter, total, len(units[meter])))
    return [results[index] for index in range(len(events))]


async def _record(platform: Platform, tenant: Tenant, facts: Sequence[Fact], now: datetime) -> list[bool | Refused]:
    """Count facts; those at moments that no subscription covers are refused, each by itself."""
    if not facts:
        return []
    spans = await periods.require_spans(tenant.id)
    first, last = min(fact.occurred_at for fact in facts), max(fact.occurred_at for fact in facts)
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


def _not_recorded(fact: Fact, index: int, answer: bool | Refused) -> RecordResult:
    if isinstance(answer, Conflict):
        answer = Conflict(answer.message, path=("events", str(index), *answer.path))
    if isinstance(answer, Refused):
        return RecordResult(fact.idempotency_key, RecordStatus.REFUSED, answer)
    return RecordResult(fact.idempotency_key, RecordStatus.DUPLICATE)
