"""Reading what was bought from SignNow, and what was sold, over all tenants."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Final, NamedTuple
from uuid import UUID

from storage.database import rows, with_moments
from storage.fields import from_micros, to_micros
from storage.subscriptions import Period
from storage.upstream import UnitKind

_CHUNK: Final = 5_000


class UpstreamEvent(NamedTuple):
    """A usage event for which SignNow charges `units`; of DEVELOPMENT none, and `quantity` were sent."""

    tenant_id: int
    occurred_at: datetime
    recorded_at: datetime
    kind: UnitKind
    units: int
    quantity: int
    document_id: UUID | None


async def upstream_events(
    start: datetime, end: datetime, *, tenant_id: int | None = None
) -> AsyncIterator[UpstreamEvent]:
    """What all tenants, or one, used of SignNow in [start, end), read in chunks, in order of time.

    Taking an event back takes back what was sold, not what SignNow charged: no reversal is among them.
    """
    whose, values = ("", ()) if tenant_id is None else ("tenant_id = ? AND ", (tenant_id,))
    last: tuple[int, int, str] = (to_micros(start), 0, str(UUID(int=0)))
    while True:
        found = await rows(
            "SELECT tenant_id, id, occurred_at, recorded_at, upstream_kind, upstream_units, quantity, document_id "
            f"FROM usage_event WHERE {whose}upstream_kind IS NOT NULL AND occurred_at >= ? AND occurred_at < ? "
            "AND (occurred_at, tenant_id, id) > (?, ?, ?) ORDER BY occurred_at, tenant_id, id LIMIT ?",
            *values,
            last[0],
            to_micros(end),
            *last,
            _CHUNK,
        )
        for entry in found:
            yield UpstreamEvent(
                entry["tenant_id"],
                from_micros(entry["occurred_at"]),
                from_micros(entry["recorded_at"]),
                UnitKind(entry["upstream_kind"]),
                entry["upstream_units"],
                entry["quantity"],
                UUID(str(entry["document_id"])) if entry["document_id"] is not None else None,
            )
        if len(found) < _CHUNK:
            return
        last = (found[-1]["occurred_at"], found[-1]["tenant_id"], str(found[-1]["id"]))


async def sum_sold(meter: str, periods: Sequence[Period]) -> dict[UUID, int]:
    """The units of a meter that were used in each period; of a few hundred periods at a time."""
    found = await rows(
        f"{with_moments(periods)} SELECT p.id, SUM(e.quantity) AS total FROM asked a "
        "JOIN billing_period p ON p.tenant_id = a.tenant_id AND p.starts_at = a.moment "
        "JOIN usage_event e ON e.tenant_id = p.tenant_id AND e.meter = ? AND e.occurred_at >= p.starts_at "
        "AND e.occurred_at < p.ends_at GROUP BY p.id",
        *_starts(periods),
        meter,
    )
    return {UUID(str(entry["id"])): int(entry["total"]) for entry in found}


def _starts(periods: Sequence[Period]) -> Iterator[int]:
    """What tells periods apart, as parameters."""
    return chain.from_iterable((period.tenant_id, to_micros(period.starts_at)) for period in periods)


@dataclass(frozen=True, slots=True)
class BilledSum:
    """What the lines of one kind come to, over all invoices, by the period and the price that they are for."""

    period_id: UUID
    price_id: UUID | None
    model: str
    amount_minor: int
    currency: str
    is_collected: bool
    is_rerated: bool


async def sum_billed(periods: Sequence[Period], rerated: tuple[str, ...]) -> list[BilledSum]:
    """The lines for each period, added up; of a few hundred periods at a time. `rerated` are the kinds that follow from
    a period's facts, as they are or as what an adjustment corrects.
    """
    found = await rows(
        f"{with_moments(periods)} SELECT l.service_period_id, l.kind, l.adjusts, l.price_id, l.model, i.currency, "
        "i.state, SUM(l.amount_minor) AS total FROM asked a "
        "JOIN billing_period p ON p.tenant_id = a.tenant_id AND p.starts_at = a.moment "
        "JOIN line_item l ON l.tenant_id = p.tenant_id AND l.service_period_id = p.id "
        "JOIN invoice i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id "
        # A charge without a meter collects what a line of an earlier invoice has billed.
        "WHERE NOT (l.kind = 'CHARGE' AND l.meter = '') "
        "GROUP BY l.service_period_id, l.kind, l.adjusts, l.price_id, l.model, i.currency, i.state",
        *_starts(periods),
    )
    return [
        BilledSum(
            period_id=UUID(str(entry["service_period_id"])),
            price_id=UUID(str(entry["price_id"])) if entry["price_id"] is not None else None,
            model=entry["model"],
            amount_minor=int(entry["total"]),
            currency=entry["currency"],
            is_collected=entry["state"] == "PAID",
            is_rerated=(entry["adjusts"] or entry["kind"]) in rerated,
        )
        for entry in found
    ]


async def count_operations(tenant_id: int, start: datetime, end: datetime) -> dict[tuple[str, str], int]:
    """A tenant's operations that began in [start, end), by kind and state."""
    found = await rows(
        "SELECT kind, state, COUNT(*) AS count FROM operation WHERE tenant_id = ? AND created_at >= ? "
        "AND created_at < ? GROUP BY kind, state",
        tenant_id,
        to_micros(start),
        to_micros(end),
    )
    return {(entry["kind"], entry["state"]): int(entry["count"]) for entry in found}
