"""Usage: counted facts, each once, and their sums."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from inkmeter.errors import Conflict, InvalidInput, Refused
from inkmeter.events import UsageRecorded
from inkmeter.periods import BillingPeriod
from inkmeter.usage import METERS
from services import operations, periods, subscriptions
from services.commands import Fact, Record
from services.platform import Platform
from services.problems import MAX_KEY, Problems
from storage.tenants import Tenant
from storage.usage import Counter, read_counters

MAX_EVENTS: Final = 1_000
MAX_BULK_EVENTS: Final = 10_000
MAX_QUANTITY: Final = 10**12
CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far in the future an event may lie: clocks differ a little, and more is a mistake."""
OWN_KEYS: Final = ("op:", "signnow:")
"""Beginnings of the keys that Inkmeter makes itself."""
COUNTED_BY_SUBSCRIPTION: Final = "seats"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A fact to be counted; `occurred_at` decides its billing period, the present if it is missing."""

    meter: str
    quantity: int
    idempotency_key: str
    occurred_at: datetime | None = None


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
    now = platform.clock.now()
    results: dict[int, RecordResult] = {}
    facts: dict[int, Fact] = {}
    for index, event in enumerate(events):
        try:
            _check(event, now, index)
            moment = event.occurred_at or now
            facts[index] = Fact(
                event.meter, event.quantity, event.idempotency_key, moment, event.occurred_at is not None
            )
        except InvalidInput as refusal:
            results[index] = RecordResult(event.idempotency_key, RecordStatus.REFUSED, refusal)
    for index, answer in zip(facts, await _record(platform, tenant, list(facts.values()), now), strict=True):
        results[index] = _result(facts[index], index, answer)
    recorded = [fact for index, fact in facts.items() if results[index].status is RecordStatus.RECORDED]
    for meter in sorted({fact.meter for fact in recorded}):
        quantities = [fact.quantity for fact in recorded if fact.meter == meter]
        await platform.plugins.publish(
            UsageRecorded(str(tenant.public_id), now, meter, sum(quantities), len(quantities))
        )
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


def _check(event: NewEvent, now: datetime, index: int) -> None:
    if _is_good(event, now):
        return
    problems = Problems()
    path = ("events", str(index))
    if problems.check_meter(event.meter, *path, "meter"):
        problems.check(event.meter != COUNTED_BY_SUBSCRIPTION, "seats are counted by the subscription", *path, "meter")
    problems.check(
        1 <= event.quantity <= MAX_QUANTITY, f"is a whole number from 1 to {MAX_QUANTITY}", *path, "quantity"
    )
    if problems.check_key(event.idempotency_key, *path, "idempotencyKey"):
        problems.check(
            not event.idempotency_key.startswith(OWN_KEYS),
            f"must not begin with {' or '.join(OWN_KEYS)}",
            *path,
            "idempotencyKey",
        )
    if event.occurred_at is not None:
        problems.check(event.occurred_at <= now + CLOCK_SKEW, "lies in the future", *path, "occurredAt")
    problems.refuse()


def _is_good(event: NewEvent, now: datetime) -> bool:
    """The same rules without their words: nearly all events are good, and there are thousands a second."""
    key = event.idempotency_key
    return (
        event.meter in METERS
        and event.meter != COUNTED_BY_SUBSCRIPTION
        and 1 <= event.quantity <= MAX_QUANTITY
        and 1 <= len(key) <= MAX_KEY
        and key.isascii()
        and key.isprintable()
        and " " not in key
        and not key.startswith(OWN_KEYS)
        and (event.occurred_at is None or event.occurred_at <= now + CLOCK_SKEW)
    )


@dataclass(frozen=True, slots=True)
class MeterUsage:
    """A meter's sums in a period."""

    meter: str
    used: int
    reserved: int


async def aggregate_usage(tenant_id: int, period: BillingPeriod, seats: int) -> list[MeterUsage]:
    """Every meter's usage in a billing period, from the counters, which change with the events themselves."""
    counters = await read_counters(tenant_id, period.start)
    counters[COUNTED_BY_SUBSCRIPTION] = Counter(used=seats)
    return [
        MeterUsage(meter, counter.used, counter.reserved)
        for meter in METERS
        for counter in [counters.get(meter, Counter())]
    ]
