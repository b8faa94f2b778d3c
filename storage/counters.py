"""Counters, put right: what they say, what they should say, and setting them, all under the lock of their period."""

from collections import Counter as Tally
from dataclasses import dataclass
from uuid import UUID

import orjson

from storage.database import lock, rows

Key = tuple[str, str]
"""A meter, and a value that it was shown."""


async def read_values(tenant_id: int, period_starts_at: int) -> dict[Key, int]:
    """How many events of a period (µs) show each value; zeros are left out."""
    found = await rows(
        "SELECT meter, value, events FROM usage_value WHERE tenant_id = ? AND period_starts_at = ? AND events > 0",
        tenant_id,
        period_starts_at,
    )
    return {(entry["meter"], entry["value"]): entry["events"] for entry in found}


async def held_units(tenant_id: int, period_starts_at: int) -> dict[str, int]:
    """What the open operations of a period hold, by meter."""
    found = await rows(
        "SELECT reserved FROM operation WHERE tenant_id = ? AND period_starts_at = ? "
        "AND state IN ('RESERVED', 'UNKNOWN')",
        tenant_id,
        period_starts_at,
    )
    return _added_up([entry["reserved"] for entry in found])


async def held_units_at(tenant_id: int, period_starts_at: int, moment: int) -> dict[str, int]:
    """What the operations held that were open at a moment (µs). Those that were undone are forgotten."""
    found = await rows(
        "SELECT reserved FROM operation WHERE tenant_id = ? AND period_starts_at = ? AND created_at <= ? "
        "AND (ended_at IS NULL OR ended_at > ?)",
        tenant_id,
        period_starts_at,
        moment,
        moment,
    )
    return _added_up([entry["reserved"] for entry in found])


def _added_up(entries: list[str]) -> dict[str, int]:
    held: Tally[str] = Tally()
    for entry in entries:
        held.update(orjson.loads(entry))
    return {meter: units for meter, units in held.items() if units}


async def credited_units(tenant_id: int, period_starts_at: int, moment: int) -> dict[str, int]:
    """The units of a period's usage that credits have paid for by a moment, by meter, from the credits' entries."""
    found = await rows(
        "SELECT meter, -SUM(units) AS units FROM credit_entry WHERE tenant_id = ? AND period_starts_at = ? "
        "AND kind IN ('CONSUMED', 'RETURNED') AND created_at <= ? GROUP BY meter",
        tenant_id,
        period_starts_at,
        moment,
    )
    return {entry["meter"]: int(entry["units"]) for entry in found if entry["units"]}


@dataclass(frozen=True, slots=True)
class WrongGrant:
    """A grant whose remaining units are not the sum of its entries."""

    id: UUID
    meter: str
    remaining: int
    entries: int


async def wrong_grants(tenant_id: int) -> list[WrongGrant]:
    """The tenant's grants that do not agree with their entries."""
    found = await rows(
        "SELECT g.id, g.meter, g.remaining, COALESCE(s.units, 0) AS units FROM credit_grant g LEFT JOIN "
        "(SELECT grant_id, SUM(units) AS units FROM credit_entry WHERE tenant_id = ? GROUP BY grant_id) AS s "
        "ON s.grant_id = g.id WHERE g.tenant_id = ? AND g.remaining <> COALESCE(s.units, 0) ORDER BY g.id",
        tenant_id,
        tenant_id,
    )
    return [WrongGrant(UUID(str(e["id"])), e["meter"], e["remaining"], int(e["units"])) for e in found]


async def set_counter(
    tenant_id: int, period_starts_at: int, meter: str, used: int, reserved: int, credited: int
) -> None:
    """Write what a counter must say."""
    await rows(
        "INSERT INTO usage_counter (tenant_id, period_starts_at, meter, used, reserved, credited) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, period_starts_at, meter) DO UPDATE "
        "SET used = excluded.used, reserved = excluded.reserved, credited = excluded.credited",
        tenant_id,
        period_starts_at,
        meter,
        used,
        reserved,
        credited,
    )


async def set_value(tenant_id: int, period_starts_at: int, meter: str, value: str, events: int) -> None:
    """Write how many events show a value."""
    await rows(
        "INSERT INTO usage_value (tenant_id, period_starts_at, meter, value, events) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (tenant_id, period_starts_at, meter, value) DO UPDATE SET events = excluded.events",
        tenant_id,
        period_starts_at,
        meter,
        value,
        events,
    )


async def set_remaining(tenant_id: int, grant_id: UUID, remaining: int) -> None:
    """Write what is left of a grant."""
    await rows(
        "UPDATE credit_grant SET remaining = ? WHERE tenant_id = ? AND id = ?", remaining, tenant_id, str(grant_id)
    )


@dataclass(frozen=True, slots=True)
class PeriodKey:
    """A billing period, in the order in which all are gone through. Instants in µs."""

    tenant_id: int
    starts_at: int
    ends_at: int
    closed_at: int | None


async def periods_after(
    tenant_id: int, starts_at: int, limit: int, *, only_open: bool, only_tenant: bool = False
) -> list[PeriodKey]:
    """The periods that follow (tenant, start), of all tenants or of this one."""
    conditions = "(tenant_id, starts_at) > (?, ?)"
    conditions += " AND state = 'OPEN'" if only_open else ""
    conditions += " AND tenant_id = ?" if only_tenant else ""
    found = await rows(
        f"SELECT tenant_id, starts_at, ends_at, closed_at FROM billing_period WHERE {conditions} "
        "ORDER BY tenant_id, starts_at LIMIT ?",
        tenant_id,
        starts_at,
        *([tenant_id] if only_tenant else []),
        limit,
    )
    return [PeriodKey(e["tenant_id"], e["starts_at"], e["ends_at"], e["closed_at"]) for e in found]


async def lock_periods(tenant_id: int) -> None:
    """Keep every period of a tenant from all others until the transaction ends."""
    await rows(f"SELECT id FROM billing_period WHERE tenant_id = ? ORDER BY starts_at{lock()}", tenant_id)
