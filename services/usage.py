"""Usage: counted facts, each once, and their sums."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from inkmeter.errors import Conflict, Refused
from inkmeter.events import UsageRecorded
from inkmeter.periods import BillingPeriod
from inkmeter.usage import METERS
from services import plans, subscriptions
from services.platform import Platform
from services.problems import Problems
from storage.database import insert_new, transaction
from storage.subscriptions import PeriodState
from storage.tenants import Tenant
from storage.usage import Counter, UsageEvent, add_to_counter, read_counters

MAX_EVENTS: Final = 1_000
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


async def record_usage(platform: Platform, tenant: Tenant, events: Sequence[NewEvent]) -> list[RecordResult]:
    """Count facts that happened elsewhere, and answer for each: one bad event never rejects the others.

    Durable when it returns. Raises InvalidInput for the batch as a whole, and SubscriptionInactive.
    """
    problems = Problems()
    problems.check(1 <= len(events) <= MAX_EVENTS, f"needs 1 to {MAX_EVENTS} events", "events")
    problems.refuse()
    now = platform.clock.now()
    subscription = await subscriptions.require_subscription(tenant.id)
    plan = (await plans.load_terms(platform, subscription.plan_id)).plan
    results: list[RecordResult] = []
    async with transaction():
        for index, event in enumerate(events):
            try:
                _check(event, now, index)
                occurred_at = event.occurred_at or now
                period = await subscriptions.enter_period(platform, subscription, plan, occurred_at)
                stored = UsageEvent(
                    tenant_id=tenant.id,
                    idempotency_key=event.idempotency_key,
                    meter=event.meter,
                    quantity=event.quantity,
                    occurred_at=occurred_at,
                    recorded_at=now,
                    is_late=period.state is PeriodState.CLOSED,
                    source="api",
                    document_id=None,
                    upstream_units=0,
                )
                is_new = await count_event(stored, period.starts_at)
                if not is_new:
                    await _require_same(stored, event, index)
                status = RecordStatus.RECORDED if is_new else RecordStatus.DUPLICATE
                results.append(RecordResult(event.idempotency_key, status))
            except Refused as refusal:
                results.append(RecordResult(event.idempotency_key, RecordStatus.REFUSED, refusal))
    for event, result in zip(events, results, strict=True):
        if result.status is RecordStatus.RECORDED:
            await platform.plugins.publish(
                UsageRecorded(str(tenant.public_id), now, event.meter, event.quantity, event.idempotency_key)
            )
    return results


async def count_event(event: UsageEvent, period_starts_at: datetime) -> bool:
    """Insert an event and add it to its counter, in the caller's transaction; False if its key is taken."""
    if not await insert_new(event, ["tenant_id", "idempotency_key"]):
        return False
    await add_to_counter(event.tenant_id, period_starts_at, event.meter, used=event.quantity)
    return True


def _check(event: NewEvent, now: datetime, index: int) -> None:
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


async def _require_same(event: UsageEvent, given: NewEvent, index: int) -> None:
    first = await UsageEvent.get(tenant_id=event.tenant_id, idempotency_key=event.idempotency_key)
    same_time = given.occurred_at is None or given.occurred_at == first.occurred_at
    if (first.meter, first.quantity) != (event.meter, event.quantity) or not same_time:
        raise Conflict("this idempotency key was used for another event", path=("events", str(index), "idempotencyKey"))


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
