"""Notices: what operator and tenant should know about payments, each told once."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField
from storage.ids import new_id


class NoticeKind(StrEnum):
    """What has happened. Those of a case of dunning are its transitions: each is stored once."""

    PAYMENT_FAILED = "PAYMENT_FAILED"
    PAYMENT_ACTION_REQUIRED = "PAYMENT_ACTION_REQUIRED"
    RESTRICTED = "RESTRICTED"
    DOWNGRADED = "DOWNGRADED"
    DEPROVISIONED = "DEPROVISIONED"
    RESTORED = "RESTORED"
    SUBSCRIPTION_PAUSED = "SUBSCRIPTION_PAUSED"
    SUBSCRIPTION_ENDED = "SUBSCRIPTION_ENDED"
    TRIAL_ENDING = "TRIAL_ENDING"


class Notice(Model):
    """One notice. `subject` is what it is about: with its kind, it is told once."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    kind = CharEnumField(NoticeKind)
    subject = TextField()
    invoice_id = UUIDField(null=True)
    plan_id = UUIDField(null=True)
    left_plan_id = UUIDField(null=True)
    until = InstantField(null=True)
    url = TextField(null=True)
    created_at = InstantField()

    class Meta:
        table = "notice"
