"""The events of many tenants that report levels: the last one before a moment, and all of a span."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from itertools import chain
from typing import Any, Final
from uuid import UUID

from storage.database import marks, rows, with_moments
from storage.usage import STANDING, Standing, property_text, read_properties

_CHUNK: Final = 5_000

Before = tuple[int, int]
"""A tenant, and the moment in µs before which an event is looked for."""


async def last_before(
    meter: str,
    asked: Collection[Before],
    shown: Mapping[str, Collection[str]],
    *,
    besides: Collection[UUID],
    known_at: int,
) -> dict[Before, tuple[UUID, Standing]]:
    """The last event of a code before each moment, of those that stand as known at a moment (µs), with its id; none
    where there is none. Only events that have all properties in `shown` count, with one of the values where any are
    named, and none of those in `besides`.

    One query, however many are asked for; a few hundred at a time.
    """
    if not asked:
        return {}
    conditions, values = "", list[Any]()
    for name, allowed in shown.items():
        chosen = f" IN ({marks(allowed)})" if allowed else " IS NOT NULL"
        conditions += f"AND {property_text()}{chosen} "
        values += [name, *allowed]
    if besides:
        conditions += f"AND e.id NOT IN ({marks(besides)}) "
        values += map(str, besides)
    found = await rows(
        f"{with_moments(asked)}, last AS MATERIALIZED (SELECT a.tenant_id, a.moment, (SELECT e.id FROM usage_event e "
        f"WHERE e.tenant_id = a.tenant_id AND e.meter = ? AND e.occurred_at < a.moment AND {STANDING}{conditions}"
        "ORDER BY e.occurred_at DESC, e.recorded_at DESC, e.id DESC LIMIT 1) AS id FROM asked a) "
        "SELECT l.tenant_id, l.moment, l.id, e.quantity, e.occurred_at, e.properties FROM last l "
        "JOIN usage_event e ON e.tenant_id = l.tenant_id AND e.id = l.id",
        *chain.from_iterable(asked),
        meter,
        known_at,
        known_at,
        *values,
    )
    return {(e["tenant_id"], e["moment"]): (UUID(str(e["id"])), _standing(e)) for e in found}


def _standing(entry: Mapping[str, Any]) -> Standing:
    return Standing(entry["quantity"], entry["occurred_at"], read_properties(entry["properties"]))


async def standing_of_many(
    tenant_ids: Sequence[int], meter: str, start: int, end: int, *, known_at: int
) -> AsyncIterator[tuple[int, Standing]]:
    """The events of a code of these tenants in [start, end) that stand, as known at a moment (all in µs), read in
    chunks: tenant by tenant, each in order of time; of two at one moment the one that was recorded later comes later.
    """
    keys = "e.tenant_id, e.occurred_at, e.recorded_at, e.id"
    last: tuple[int, int, int, str] | None = None
    left = sorted(tenant_ids)
    while left:
        more, values = "", list[Any]()
        if last is not None:
            more, values = f"AND ({keys}) > (?, ?, ?, ?) ", list(last)
        found = await rows(
            "SELECT e.tenant_id, e.id, e.quantity, e.occurred_at, e.recorded_at, e.properties FROM usage_event e "
            f"WHERE e.tenant_id IN ({marks(left)}) AND e.meter = ? AND e.occurred_at >= ? AND e.occurred_at < ? "
            f"AND {STANDING}{more}ORDER BY {keys} LIMIT ?",
            *left,
            meter,
            start,
            end,
            known_at,
            known_at,
            *values,
            _CHUNK,
        )
        for e in found:
            yield e["tenant_id"], _standing(e)
        if len(found) < _CHUNK:
            return
        last = (found[-1]["tenant_id"], found[-1]["occurred_at"], found[-1]["recorded_at"], str(found[-1]["id"]))
        left = [tenant_id for tenant_id in left if tenant_id >= last[0]]
