"""Credits: units that were bought or given, and every movement of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.database import row, rows
from storage.fields import InstantField, from_micros
from storage.ids import new_id

# As its index says: a parameter would not do.
_ENDED: Final = "kind IN ('EXPIRED', 'REVOKED', 'REFUNDED')"


class CreditSource(StrEnum):
    """Where a grant comes from."""

    TOP_UP = "TOP_UP"
    PROMOTION = "PROMOTION"
    COMPENSATION = "COMPENSATION"
    OTHER = "OTHER"


class CreditEntryKind(StrEnum):
    """What moved credits. GRANTED and RETURNED (of usage that was corrected) add, the others take."""

    GRANTED = "GRANTED"
    CONSUMED = "CONSUMED"
    RETURNED = "RETURNED"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    REFUNDED = "REFUNDED"


class CreditGrant(Model):
    """Units of a meter; `remaining` is the sum of the grant's entries. A lower `priority` is consumed first, then the
    one that expires first.
    """

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    idempotency_key = TextField()
    meter = TextField()
    source = CharEnumField(CreditSource)
    units = BigIntField()
    remaining = BigIntField()
    priority = BigIntField()
    expires_at = InstantField(null=True)
    note = TextField(null=True)
    created_at = InstantField()
    balance = BigIntField()
    """Credits of the meter right after this grant."""

    class Meta:
        table = "credit_grant"


class CreditEntry(Model):
    """One movement of a grant's units, never changed; those that take are negative.

    `event_id` is the usage event that consumed or returned them.
    """

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    grant_id = UUIDField()
    meter = TextField()
    kind = CharEnumField(CreditEntryKind)
    units = BigIntField()
    period_starts_at = InstantField(null=True)
    event_id = UUIDField(null=True)
    note = TextField(null=True)
    created_at = InstantField()

    class Meta:
        table = "credit_entry"


async def open_grants(tenant_id: int) -> list[CreditGrant]:
    """The tenant's grants with units left, expired ones too, in the order in which they are consumed."""
    found = await CreditGrant.filter(tenant_id=tenant_id, remaining__gt=0)
    return sorted(found, key=_in_order)


def _in_order(grant: CreditGrant) -> tuple[int, bool, datetime, datetime, UUID]:
    never = grant.expires_at is None
    return grant.priority, never, grant.expires_at or grant.created_at, grant.created_at, grant.id


@dataclass(slots=True)
class CreditSums:
    """What became of a meter's credits: how many were ever granted, what usage has consumed and not given back and
    what it may yet (pledged), and what ended otherwise, by the kind of entry.
    """

    granted: int = 0
    consumed: int = 0
    pledged: int = 0
    ended: dict[CreditEntryKind, int] = field(default_factory=dict)


async def sum_credits(tenant_id: int) -> dict[str, CreditSums]:
    """The sums of each meter that ever had credits, without a look at the many entries of usage."""
    granted = await rows(
        "SELECT meter, SUM(units) AS units FROM credit_grant WHERE tenant_id = ? GROUP BY meter", tenant_id
    )
    sums = {entry["meter"]: CreditSums(int(entry["units"])) for entry in granted}
    for entry in await rows(
        "SELECT meter, SUM(credited) AS credited, SUM(pledged) AS pledged FROM usage_counter "
        "WHERE tenant_id = ? GROUP BY meter",
        tenant_id,
    ):
        if found := sums.get(entry["meter"]):
            found.consumed, found.pledged = int(entry["credited"]), int(entry["pledged"])
    for entry in await rows(
        "SELECT meter, kind, SUM(units) AS units FROM credit_entry "
        f"WHERE tenant_id = ? AND {_ENDED} GROUP BY meter, kind",
        tenant_id,
    ):
        sums[entry["meter"]].ended[CreditEntryKind(entry["kind"])] = -int(entry["units"])
    return sums


async def taken_by(tenant_id: int, note: str) -> tuple[UUID, int] | None:
    """The grant and the units that were revoked or refunded under a note; it is unique."""
    found = await row(
        "SELECT grant_id, units FROM credit_entry WHERE tenant_id = ? AND note = ? AND kind IN ('REVOKED', 'REFUNDED')",
        tenant_id,
        note,
    )
    return None if found is None else (UUID(str(found["grant_id"])), -int(found["units"]))


async def refunds_of(tenant_id: int, grant_id: UUID) -> list[tuple[UUID, str, int]]:
    """Id, note and units of each refund of a grant, in order; some may have come to nothing since."""
    found = await rows(
        f"SELECT id, note, units FROM credit_entry WHERE tenant_id = ? AND grant_id = ? AND {_ENDED} "
        "AND kind = 'REFUNDED' AND units < 0 ORDER BY id",
        tenant_id,
        str(grant_id),
    )
    return [(UUID(str(entry["id"])), entry["note"], -entry["units"]) for entry in found]


async def sum_pledged(tenant_id: int) -> Mapping[str, int]:
    """Credits that are kept for reserved units, by meter, in all periods."""
    found = await rows(
        "SELECT meter, SUM(pledged) AS pledged FROM usage_counter WHERE tenant_id = ? AND pledged > 0 GROUP BY meter",
        tenant_id,
    )
    return {entry["meter"]: int(entry["pledged"]) for entry in found}


@dataclass(frozen=True, slots=True)
class TracedEntry:
    """An entry with the key of the usage event that it belongs to, if it belongs to one."""

    id: UUID
    grant_id: UUID
    meter: str
    kind: CreditEntryKind
    units: int
    period_starts_at: datetime | None
    event_key: str | None
    note: str | None
    created_at: datetime


async def traced_entries(
    tenant_id: int, *, meter: str | None, grant_id: UUID | None, after: UUID | None, limit: int
) -> list[TracedEntry]:
    """A tenant's entries in the order in which they were made, of one meter or one grant if one is given."""
    conditions = ["e.tenant_id = ?"]
    values: list[int | str] = [tenant_id]
    for column, value in (("e.meter =", meter), ("e.grant_id =", grant_id), ("e.id >", after)):
        if value is not None:
            conditions.append(f"{column} ?")
            values.append(str(value))
    found = await rows(
        "SELECT e.id, e.grant_id, e.meter, e.kind, e.units, e.period_starts_at, u.idempotency_key AS event_key, "
        "e.note, e.created_at FROM credit_entry e "
        "LEFT JOIN usage_event u ON u.tenant_id = e.tenant_id AND u.id = e.event_id "
        f"WHERE {' AND '.join(conditions)} ORDER BY e.id LIMIT ?",
        *values,
        limit,
    )
    return [
        TracedEntry(
            id=UUID(str(entry["id"])),
            grant_id=UUID(str(entry["grant_id"])),
            meter=entry["meter"],
            kind=CreditEntryKind(entry["kind"]),
            units=entry["units"],
            period_starts_at=None if entry["period_starts_at"] is None else from_micros(entry["period_starts_at"]),
            event_key=entry["event_key"],
            note=entry["note"],
            created_at=from_micros(entry["created_at"]),
        )
        for entry in found
    ]
