"""Usage events, which never change, and usage counters, which change in the transaction of their events."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from tortoise.connection import get_connection
from tortoise.fields import BigIntField, BooleanField, JSONField, TextField, UUIDField
from tortoise.models import Model

from inkmeter.periods import BillingPeriod
from storage.database import rows, with_moments
from storage.fields import InstantField, from_micros, to_micros
from storage.ids import new_id
from storage.subscriptions import Period


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
    upstream_kind = TextField(null=True)
    """What SignNow charged for: a storage.upstream.UnitKind; null where it charges nothing."""
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


async def counters_of(periods: Collection[Period]) -> dict[UUID, dict[str, Counter]]:
    """The counters of each period by meter, in one query; of a few hundred periods at a time."""
    starts = {(period.tenant_id, to_micros(period.starts_at)): period.id for period in periods}
    found: dict[UUID, dict[str, Counter]] = {period_id: {} for period_id in starts.values()}
    if not starts:
        return found
    for e in await rows(
        f"{with_moments(starts)} SELECT c.tenant_id, c.period_starts_at, c.meter, c.used, c.reserved, c.credited, "
        "c.pledged FROM asked a JOIN usage_counter c ON c.tenant_id = a.tenant_id AND c.period_starts_at = a.moment",
        *chain.from_iterable(starts),
    ):
        counter = Counter(e["used"], e["reserved"], e["credited"], e["pledged"])
        found[starts[e["tenant_id"], e["period_starts_at"]]][e["meter"]] = counter
    return found


async def sum_events(tenant_id: int, period: BillingPeriod) -> dict[str, int]:
    """The sums of the raw events in the period, by meter: what the counters must equal."""
    found = await rows(
        "SELECT meter, SUM(quantity) AS total FROM usage_event "
        "WHERE tenant_id = ? AND occurred_at >= ? AND occurred_at < ? GROUP BY meter",
        tenant_id,
        to_micros(period.start),
        to_micros(period.end),
    )
    return {entry["meter"]: int(entry["total"]) for entry in found}


ALWAYS: Final = 2**62
"""A moment after all others, in µs: whatever is known."""
BUCKET: Final = 900_000_000
"""Fifteen minutes in µs: every time zone's hours and days begin at a multiple of it."""
_CHUNK: Final = 5_000
STANDING: Final = (
    "e.recorded_at <= ? AND e.reverses IS NULL AND NOT EXISTS (SELECT 1 FROM usage_event r "
    "WHERE r.tenant_id = e.tenant_id AND r.reverses = e.id AND r.recorded_at <= ?) "
)
"""An event `e` that was recorded by a moment, and not taken back by then; it is given twice."""
_STANDS: Final = f"e.tenant_id = ? AND e.meter = ? AND e.occurred_at >= ? AND e.occurred_at < ? AND {STANDING}"


class Standing(NamedTuple):
    """An event that was not taken back. Instants in µs."""

    quantity: int
    occurred_at: int
    properties: Mapping[str, str]


async def standing_events(
    tenant_id: int, meter: str, start: int, end: int, *, known_at: int = ALWAYS, newest_first: bool = False
) -> AsyncIterator[Standing]:
    """The events of a code in [start, end) that stand, as known at a moment (all in µs), read in chunks.

    In order of time; of two at one moment the one that was recorded later comes later.
    """
    order, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    keys = ("e.occurred_at", "e.recorded_at", "e.id")
    last: tuple[int, int, str] | None = None
    size = 50 if newest_first else _CHUNK
    while True:
        more, values = "", list[Any]()
        if last is not None:
            more, values = f"AND ({', '.join(keys)}) {beyond} (?, ?, ?) ", list(last)
            start, end = (start, last[0] + 1) if newest_first else (last[0], end)
        found = await rows(
            "SELECT e.id, e.quantity, e.occurred_at, e.recorded_at, e.properties FROM usage_event e WHERE "
            f"{_STANDS}{more}ORDER BY {', '.join(f'{key} {order}' for key in keys)} LIMIT ?",
            tenant_id,
            meter,
            start,
            end,
            known_at,
            known_at,
            *values,
            size,
        )
        for entry in found:
            yield Standing(entry["quantity"], entry["occurred_at"], read_properties(entry["properties"]))
        if len(found) < size:
            return
        last, size = (found[-1]["occurred_at"], found[-1]["recorded_at"], str(found[-1]["id"])), _CHUNK


def read_properties(text: str | None) -> dict[str, str]:
    """Properties as they are stored."""
    return orjson.loads(text) if text else {}


async def sum_and_count(tenant_id: int, period: BillingPeriod, *, known_at: int = ALWAYS) -> dict[str, tuple[int, int]]:
    """The quantities of a period's events and how many stand, by their code, as known at a moment."""
    found = await rows(
        "SELECT meter, SUM(quantity) AS total, SUM(CASE WHEN reverses IS NULL THEN 1 ELSE -1 END) AS events "
        "FROM usage_event WHERE tenant_id = ? AND occurred_at >= ? AND occurred_at < ? AND recorded_at <= ? "
        "GROUP BY meter",
        tenant_id,
        to_micros(period.start),
        to_micros(period.end),
        known_at,
    )
    return {entry["meter"]: (int(entry["total"]), int(entry["events"])) for entry in found}


class Bucket(NamedTuple):
    """The sums of fifteen minutes from `at` (µs) on, of the events that have a value of a property."""

    at: int
    group: str | None
    total: int
    events: int


async def bucket_sums(
    tenant_id: int, meter: str, start: int, end: int, *, group_by: str | None, most: int
) -> list[Bucket]:
    """The sums of a code's events in [start, end), by a quarter of an hour and the value of a property; at most so
    many, in no order.
    """
    known_at: tuple[int, ...] = ()
    if group_by is None:
        group, events = "NULL", "CASE WHEN e.reverses IS NULL THEN 1 ELSE -1 END"
        which = "e.tenant_id = ? AND e.meter = ? AND e.occurred_at >= ? AND e.occurred_at < ?"
    else:
        group, events, which, known_at = property_text(), "1", _STANDS, (ALWAYS, ALWAYS)
    found = await rows(
        "SELECT slot, value, SUM(quantity) AS total, SUM(events) AS events FROM ("
        f"SELECT e.occurred_at / {BUCKET} AS slot, {group} AS value, e.quantity, {events} AS events "
        f"FROM usage_event e WHERE {which}) AS slots GROUP BY slot, value LIMIT ?",
        *([group_by] if group_by is not None else []),
        tenant_id,
        meter,
        start,
        end,
        *known_at,
        most,
    )
    return [Bucket(e["slot"] * BUCKET, e["value"], int(e["total"]), int(e["events"])) for e in found]


def property_text() -> str:
    """The value of the property whose name is the parameter: the one expression that is not the same on both."""
    if get_connection("default").capabilities.dialect == "postgres":
        return "(e.properties::json ->> ?::text)"
    return "(SELECT value FROM json_each(e.properties) WHERE key = ?)"


class FoundEvent(NamedTuple):
    """What a correction must know of the event that it corrects."""

    meter: str
    quantity: int
    occurred_at: datetime
    properties: Mapping[str, str]


async def find_events(tenant_id: int, keys: list[str]) -> dict[str, FoundEvent]:
    """The tenant's events of these idempotency keys."""
    found = await rows(
        "SELECT idempotency_key, meter, quantity, occurred_at, properties FROM usage_event WHERE tenant_id = ? "
        f"AND idempotency_key IN ({', '.join('?' * len(keys))})",
        tenant_id,
        *keys,
    )
    return {
        e["idempotency_key"]: FoundEvent(
            e["meter"], e["quantity"], from_micros(e["occurred_at"]), read_properties(e["properties"])
        )
        for e in found
    }


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event for a list: `reverses` is the key of the event that it takes back, `reversed_by` of the one that took
    it back.
    """

    id: UUID
    idempotency_key: str
    meter: str
    quantity: int
    occurred_at: datetime
    recorded_at: datetime
    is_late: bool
    source: str
    properties: Mapping[str, str]
    note: str | None
    reverses: str | None
    reversed_by: str | None

    @property
    def place(self) -> str:
        """Where it stands in a list: µs and id."""
        return f"{to_micros(self.occurred_at)} {self.id}"


async def list_events(tenant_id: int, meter: str, after: tuple[int, UUID] | None, limit: int) -> list[ListedEvent]:
    """A tenant's events of a code in order of time, after (µs, id)."""
    at, key = after or (-ALWAYS, UUID(int=0))
    found = await rows(
        "SELECT e.id, e.idempotency_key, e.meter, e.quantity, e.occurred_at, e.recorded_at, e.is_late, e.source, "
        "e.properties, e.note, o.idempotency_key AS reverses, r.idempotency_key AS reversed_by FROM usage_event e "
        "LEFT JOIN usage_event o ON o.tenant_id = e.tenant_id AND o.id = e.reverses "
        "LEFT JOIN usage_event r ON r.tenant_id = e.tenant_id AND r.reverses = e.id "
        "WHERE e.tenant_id = ? AND e.meter = ? AND e.occurred_at >= ? AND (e.occurred_at, e.id) > (?, ?) "
        "ORDER BY e.occurred_at, e.id LIMIT ?",
        tenant_id,
        meter,
        at,
        at,
        str(key),
        limit,
    )
    return [
        ListedEvent(
            id=UUID(str(e["id"])),
            idempotency_key=e["idempotency_key"],
            meter=e["meter"],
            quantity=e["quantity"],
            occurred_at=from_micros(e["occurred_at"]),
            recorded_at=from_micros(e["recorded_at"]),
            is_late=bool(e["is_late"]),
            source=e["source"],
            properties=read_properties(e["properties"]),
            note=e["note"],
            reverses=e["reverses"],
            reversed_by=e["reversed_by"],
        )
        for e in found
    ]
