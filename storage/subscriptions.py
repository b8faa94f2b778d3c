"""Subscriptions, and the billing periods that are their gates: usage shares a period's row, a close takes it."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from tortoise.fields import BigIntField, BooleanField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from inkmeter.periods import Anchor, BillingPeriod, Interval
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
    """A tenant that is billed, from an anchor day in a time zone; its plan and seats stand in its phases."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    interval = CharEnumField(Interval)
    anchor_on = TextField()
    zone = TextField()
    state = CharEnumField(SubscriptionState)
    started_at = InstantField()
    trial_ends_at = InstantField(null=True)
    ended_at = InstantField(null=True)
    end_proration = TextField(default="NONE")
    budget_minor = BigIntField(null=True)
    budget_alerts_at: JSONField[list[int]] = JSONField(default=list)
    stripe_subscription_id = TextField(null=True)

    class Meta:
        table = "subscription"

    @property
    def anchor_day(self) -> date:
        return date.fromisoformat(self.anchor_on)

    @property
    def anchor(self) -> Anchor:
        """The day and zone from which the billing periods are counted."""
        return Anchor(self.anchor_day, self.zone, self.interval)


class PhaseReason(StrEnum):
    """Why the terms of a subscription changed."""

    START = "START"
    SEATS = "SEATS"
    PLAN = "PLAN"
    AUTO_UPGRADE = "AUTO_UPGRADE"


class Phase(Model):
    """The terms of a subscription from `starts_at` on, until the next phase begins; one in the future is scheduled.

    `proration` says how its fees are charged in the period in which it begins; null leaves that to each billing model.
    """

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    subscription_id = UUIDField()
    starts_at = InstantField()
    plan_id = UUIDField()
    seats = BigIntField()
    reason = CharEnumField(PhaseReason)
    proration = TextField(null=True)
    idempotency_key = TextField(null=True)
    created_at = InstantField()

    class Meta:
        table = "phase"


class Period(Model):
    """A billing period of a subscription, half-open."""

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    subscription_id = UUIDField()
    starts_at = InstantField()
    ends_at = InstantField()
    is_trial = BooleanField(default=False)
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


async def phases_of(tenant_id: int, subscription_id: UUID) -> list[Phase]:
    """All phases of a subscription, in order; of two that begin at once the later one holds."""
    return await Phase.filter(tenant_id=tenant_id, subscription_id=subscription_id).order_by("starts_at", "id")
