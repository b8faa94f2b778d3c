"""Charges: what was bought besides usage, to be billed on the next invoice."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.database import lock, rows
from storage.fields import InstantField, to_micros
from storage.ids import new_id


class ChargeKind(StrEnum):
    """TOP_UP was bought by somebody, AUTO_TOP_UP by the plan's own rule; a REFUND gives money back; a CORRECTION is
    what an earlier invoice had here and lacked at Stripe.
    """

    TOP_UP = "TOP_UP"
    AUTO_TOP_UP = "AUTO_TOP_UP"
    REFUND = "REFUND"
    CORRECTION = "CORRECTION"


class Charge(Model):
    """Bought in the period that starts at `period_starts_at`; on an invoice once `invoice_id` is set."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    idempotency_key = TextField()
    kind = CharEnumField(ChargeKind)
    meter = TextField()
    period_starts_at = InstantField()
    label = TextField()
    amount_minor = BigIntField()
    currency = TextField()
    invoice_id = UUIDField(null=True)
    created_at = InstantField()

    class Meta:
        table = "charge"


async def sum_bought(tenant_id: int, period_starts_at: datetime) -> dict[str, int]:
    """What the plan's own rule has spent on top-ups in a period, in minor units, by meter."""
    found = await rows(
        "SELECT meter, SUM(amount_minor) AS amount FROM charge "
        "WHERE tenant_id = ? AND period_starts_at = ? AND kind = 'AUTO_TOP_UP' GROUP BY meter",
        tenant_id,
        to_micros(period_starts_at),
    )
    return {entry["meter"]: int(entry["amount"]) for entry in found}


async def lock_open_charges(tenant_id: int, before: datetime | None) -> list[Charge]:
    """What was bought before a moment (at any time if None) and is on no invoice, kept for this transaction alone."""
    found = await rows(
        "SELECT id FROM charge WHERE tenant_id = ? AND invoice_id IS NULL AND created_at < ?" + lock(),
        tenant_id,
        to_micros(before) if before is not None else 2**63 - 1,
    )
    ids = [UUID(str(entry["id"])) for entry in found]
    return await Charge.filter(tenant_id=tenant_id, id__in=ids).order_by("created_at", "id") if ids else []
