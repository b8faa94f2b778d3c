"""What was reported to Stripe's meters, and the meters that we have there."""

from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from storage.fields import InstantField
from storage.ids import new_id


class ReportState(StrEnum):
    """PENDING: not sent. SENDING: sent, but nobody knows with what outcome. SENT: Stripe has taken it. CONFIRMED: it is
    in Stripe's sums. CANCELLING: to be taken back, and nobody knows whether it was. CANCELLED and FAILED do not count.
    """

    PENDING = "PENDING"
    SENDING = "SENDING"
    SENT = "SENT"
    CONFIRMED = "CONFIRMED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class UsageReport(Model):
    """Units of a meter in a period, sent as one meter event of the time `at`; its id is Stripe's identifier."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    period_id = UUIDField()
    meter = TextField()
    number = BigIntField()
    """Counted from 1 in the period and meter: of two who find the same units missing, one makes the report."""
    units = BigIntField()
    at = InstantField()
    state = CharEnumField(ReportState)
    first_tried_at = InstantField(null=True)
    last_tried_at = InstantField(null=True)
    reason = TextField(null=True)
    """Why it failed, or cannot be taken back."""
    created_at = InstantField()

    class Meta:
        table = "usage_report"


class StripeMeter(Model):
    """One of our meters at Stripe."""

    id = UUIDField(primary_key=True, default=new_id)
    code = TextField()
    event_name = TextField()
    stripe_meter_id = TextField()

    class Meta:
        table = "stripe_meter"
