"""Usage that was recorded for a period after it was closed."""

from dataclasses import dataclass

from inkmeter.periods import BillingPeriod
from storage.database import rows
from storage.fields import to_micros


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
