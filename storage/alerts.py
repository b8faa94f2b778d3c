"""Alerts: thresholds that were crossed, each once."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField
from storage.ids import new_id


class AlertKind(StrEnum):
    """What a threshold is a part of: a QUOTA, the CREDITS that were granted, or the budget for the SPEND; of MARGIN,
    which is the operator's alone, the revenue of a month.
    """

    QUOTA = "QUOTA"
    CREDITS = "CREDITS"
    SPEND = "SPEND"
    MARGIN = "MARGIN"


class Alert(Model):
    """A threshold was crossed: `value` reached `percent` of `bound`; both are units, or minor units of `currency`.

    It is crossed once since an instant: the start of the period, for credits the last grant, for margin the month.
    """

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    kind = CharEnumField(AlertKind)
    meter = TextField()
    since = InstantField()
    percent = BigIntField()
    value = BigIntField()
    bound = BigIntField()
    currency = TextField(null=True)
    created_at = InstantField()

    class Meta:
        table = "alert"
