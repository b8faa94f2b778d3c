"""Subscriptions, and the billing periods that are their gates: usage shares a period's row, a close takes it."""

from datetime import date, datetime
from enum import StrEnum

from tortoise.fields import BigIntField, CharEnumField, TextField, UUIDField
from tortoise.models import Model

from inkmeter.periods import BillingPeriod
from storage.database import lock, row
from storage.fields import InstantField, to_micros
from storage.ids import new_id


class SubscriptionState(StrEnum):
    """A tenant has at most one ACTIVE subscription."""

    ACTIVE = "ACTIVE"
    ENDED = "ENDED"


class PeriodState(StrEnum):
    """A CLOSED period is invoiced; usage that comes later is late and billed as an adjustment."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class Subscription(Model):
    """A tenant on a plan version, from an anchor day in a time zone."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    plan_id = UUIDField()
    seats = BigIntField()
    anchor_on = TextField()
    zone = TextField()
    state = CharEnumField(SubscriptionState)
    started_at = InstantField()
    ended_at = InstantField(null=True)
    stripe_subscription_id = TextField(null=True)

    class Meta:
        table = "subscription"

    @property
    def anchor_day(self) -> date:
        return date.fromisoformat(self.anchor_on)


class Period(Model):
    """A billing period of a subscription, half-open."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    subscription_id = UUIDField()
    starts_at = InstantField()
    ends_at = InstantField()
    state = CharEnumField(PeriodState)
    closed_at = InstantField(null=True)
    stripe_invoice_id = TextField(null=True)

    class Meta:
        table = "billing_period"

    @property
    def span(self) -> BillingPeriod:
        return BillingPeriod(self.starts_at, self.ends_at)


async def enter_period(tenant_id: int, moment: datetime, *, strength: str = "SHARE") -> Period | None:
    """The tenant's period at that moment, kept from being closed until the transaction ends (SHARE).

    With UPDATE nobody else enters it until then: that is how a close takes it.
    """
    at = to_micros(moment)
    sql = "SELECT id FROM billing_period WHERE tenant_id = ? AND starts_at <= ? AND ends_at > ?"
    found = await row(
        sql + lock(strength),
        tenant_id,
        at,
        at,
    )
    if found is None:
        return None
    return await Period.get(tenant_id=tenant_id, id=found["id"])
