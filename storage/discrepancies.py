"""Where two books differ: found, then explained by a person or resolved by a later comparison."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from tortoise.fields import BigIntField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from storage.database import rows
from storage.fields import InstantField, to_micros
from storage.ids import new_id


class DiscrepancyState(StrEnum):
    """OPEN until a person explains it, or a later comparison finds the books equal."""

    OPEN = "OPEN"
    EXPLAINED = "EXPLAINED"
    RESOLVED = "RESOLVED"


class Discrepancy(Model):
    """What differs (`kind`, `subject`), both amounts in minor units, and the evidence.

    One row for each (tenant, kind, subject): what comes back is opened again, and `times` counts. `repair` names the
    repair that was begun and `repaired_at` when it was done, for this time alone; a repair's keys name both.
    """

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    kind = TextField()
    subject = TextField()
    ours_minor = BigIntField()
    theirs_minor = BigIntField()
    currency = TextField()
    evidence: JSONField[dict[str, object]] = JSONField()
    explanation = TextField(null=True)
    state = CharEnumField(DiscrepancyState)
    times = BigIntField(default=1)
    note = TextField(null=True)
    repair = TextField(null=True)
    repaired_at = InstantField(null=True)
    created_at = InstantField()
    settled_at = InstantField(null=True)

    class Meta:
        table = "discrepancy"

    @property
    def key(self) -> str:
        """Names this time that it is open: what a repair makes anywhere is found by it."""
        return f"discrepancy:{self.id}:{self.times}"


async def open_again(known: Discrepancy, found: Discrepancy) -> bool:
    """Open what was settled with what was found now, unless it is not any more as it was `known`."""
    reopened = await rows(
        "UPDATE discrepancy SET state = 'OPEN', times = times + 1, ours_minor = ?, theirs_minor = ?, currency = ?, "
        "explanation = ?, note = NULL, repair = NULL, repaired_at = NULL, settled_at = NULL, created_at = ? "
        "WHERE tenant_id = ? AND id = ? AND times = ? AND state = ? RETURNING 1 AS ok",
        found.ours_minor,
        found.theirs_minor,
        found.currency,
        found.explanation,
        to_micros(found.created_at),
        known.tenant_id,
        str(known.id),
        known.times,
        known.state.value,
    )
    if not reopened:
        return False
    await Discrepancy.filter(tenant_id=known.tenant_id, id=known.id).update(evidence=found.evidence)
    return True


async def settle(known: Discrepancy, state: DiscrepancyState, now: datetime, note: str | None = None) -> bool:
    """Settle it, unless it is not any more as it was `known`. Answers whether this call did."""
    settled = await rows(
        "UPDATE discrepancy SET state = ?, note = COALESCE(?, note), settled_at = ? "
        "WHERE tenant_id = ? AND id = ? AND times = ? AND state = ? RETURNING 1 AS ok",
        state.value,
        note,
        to_micros(now),
        known.tenant_id,
        str(known.id),
        known.times,
        known.state.value,
    )
    return bool(settled)


async def list_discrepancies(
    *, tenant_id: int | None, kind: str | None, state: DiscrepancyState | None, after: UUID | None, limit: int
) -> Sequence[Discrepancy]:
    """Discrepancies in the order in which they were first found, after the given one."""
    query = Discrepancy.all()
    for name, value in {"tenant_id": tenant_id, "kind": kind, "state": state, "id__gt": after}.items():
        if value is not None:
            query = query.filter(**{name: value})
    return await query.order_by("id").limit(limit)


async def begin_repair(row: Discrepancy, repair: str) -> bool:
    """Note the repair that is about to be tried, unless it is settled, or was repaired, meanwhile."""
    begun = await rows(
        "UPDATE discrepancy SET repair = ? "
        "WHERE tenant_id = ? AND id = ? AND times = ? AND state = 'OPEN' AND repaired_at IS NULL RETURNING 1 AS ok",
        repair,
        row.tenant_id,
        str(row.id),
        row.times,
    )
    return bool(begun)


async def finish_repair(row: Discrepancy, now: datetime) -> None:
    """Note that it was done."""
    await Discrepancy.filter(tenant_id=row.tenant_id, id=row.id, times=row.times).update(repaired_at=now)
