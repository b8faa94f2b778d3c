"""Usage events, which never change, and usage counters, which change in the transaction of their events."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tortoise.fields import BigIntField, BooleanField, JSONField, TextField, UUIDField
from tortoise.models import Model

from inkmeter.periods import BillingPeriod
from storage.database import rows
from storage.fields import InstantField, to_micros
from storage.ids import new_id


class UsageEvent(Model):
    """One counted fact, never changed. `is_late`: its period was closed already when it was recorded. A negative
    quantity takes back the event that it `reverses`, all of it.
    """

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    idempotency_key = TextField()
    meter = TextField()
    quantity = BigIntField()
    occurred_at = InstantField()
    recorded_at = InstantField()
    is_late = BooleanField()
    source = TextField()
    document_id = UUIDField(null=True)
    upstream_units = BigIntField()
    properties: JSONField[dict[str, str] | None] = JSONField(null=True)
    reverses = UUIDField(null=True)
    note = TextField(null=True)

    class Meta:
        table = "usage_event"


@dataclass(frozen=True, slots=True)
class Counter:
    """The sums of a meter in a period, in units: `credited` of those used were paid for with credits, and `pledged`
    credits are kept for those reserved.
    """

    used: int = 0
    reserved: int = 0
    credited: int = 0
    pledged: int = 0


async def read_counters(tenant_id: int, period_starts_at: datetime) -> dict[str, Counter]:
    """The counters of a period by meter; a meter without a row is zero."""
    found = await rows(
        "SELECT meter, used, reserved, credited, pledged FROM usage_counter "
        "WHERE tenant_id = ? AND period_starts_at = ?",
        tenant_id,
        to_micros(period_starts_at),
    )
    return {e["meter"]: Counter(e["used"], e["reserved"], e["credited"], e["pledged"]) for e in found}


async def sum_events(tenant_id: int, period: BillingPeriod) -> dict[str, int]:
    """The sums of the raw events in the period, by meter: what the counters must equal."""
    return {entry["meter"]: int(entry["total"]) for entry in await _sums(tenant_id, period)}


async def sum_upstream_units(tenant_id: int, period: BillingPeriod) -> int:
    """What SignNow charges the operator for the period, in invites."""
    return sum(int(entry["upstream"]) for entry in await _sums(tenant_id, period))


async def _sums(tenant_id: int, period: BillingPeriod) -> list[Mapping[str, Any]]:
    found = await rows(
        "SELECT meter, SUM(quantity) AS total, SUM(upstream_units) AS upstream FROM usage_event "
        "WHERE tenant_id = ? AND occurred_at >= ? AND occurred_at < ? GROUP BY meter",
        tenant_id,
        to_micros(period.start),
        to_micros(period.end),
    )
    return list(found)


@dataclass(frozen=True, slots=True)
class Late:
    """What was recorded for a period after it was closed: events that came late, and events that were corrected."""

    events: int = 0
    corrections: int = 0


async def count_late(tenant_id: int, period: BillingPeriod) -> dict[str, Late]:
    """How much was recorded late for a period, by the meter of the events. A correction's replacement is no event."""
    found = await rows(
        "SELECT meter, SUM(CASE WHEN reverses IS NULL AND idempotency_key NOT LIKE 'replacement:%' THEN 1 ELSE 0 END) "
        "AS events, SUM(CASE WHEN reverses IS NOT NULL THEN 1 ELSE 0 END) AS corrections FROM usage_event "
        "WHERE tenant_id = ? AND is_late AND occurred_at >= ? AND occurred_at < ? GROUP BY meter",
        tenant_id,
        to_micros(period.start),
        to_micros(period.end),
    )
    return {entry["meter"]: Late(int(entry["events"]), int(entry["corrections"])) for entry in found}
