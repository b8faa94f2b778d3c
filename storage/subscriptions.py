"""Subscriptions, and the billing periods that are their gates: usage shares a period's row, a close takes it."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from tortoise.expressions import Q
from tortoise.fields import BigIntField, BooleanField, CharEnumField, JSONField, TextField, UUIDField
from tortoise.models import Model

from inkmeter.periods import Anchor, BillingPeriod, Interval
from storage.database import lock, marks, row, rows
from storage.fields import InstantField, from_micros, to_micros
from storage.ids import new_id

SLICE: Final = 500
"""So many periods are read at once."""


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
    stripe_status = TextField(null=True)
    """In Stripe's words, when it was last looked at; `stripe_pause` is why it is paused, where Stripe says so."""
    stripe_pause = TextField(null=True)

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
    PAUSE = "PAUSE"
    RESUME = "RESUME"


class Phase(Model):
    """The terms of a subscription from `starts_at` on, until the next phase begins; one in the future is scheduled.

    `proration` says how its fees are charged in the period in which it begins; null leaves that to each billing model.
    While it is paused there are no fees, and nothing new may begin.
    """

    tenant_id = BigIntField()
    id = UUIDField(primary_key=True, default=new_id)
    subscription_id = UUIDField()
    starts_at = InstantField()
    plan_id = UUIDField()
    seats = BigIntField()
    reason = CharEnumField(PhaseReason)
    is_paused = BooleanField(default=False)
    proration = TextField(null=True)
    idempotency_key = TextField(null=True)
    created_at = InstantField()

    class Meta:
        table = "phase"


class StripeUsage(StrEnum):
    """METERED: the period's usage is reported to Stripe, which bills it at the period's end. TAKEN_OVER: it was, but
    Stripe's subscription does not go on with these prices, so that we bill it.
    """

    METERED = "METERED"
    TAKEN_OVER = "TAKEN_OVER"


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
    stripe_usage = CharEnumField(StripeUsage, null=True)

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


async def period_at(tenant_id: int, moment: datetime) -> Period | None:
    """The tenant's period at that moment, if it is there; nothing is locked."""
    return await Period.get_or_none(tenant_id=tenant_id, starts_at__lte=moment, ends_at__gt=moment)


async def lock_periods_from(tenant_id: int, moment: datetime) -> list[Period]:
    """The tenant's periods that end after a moment, in order. Nobody else enters them until the transaction ends."""
    await rows(
        "SELECT id FROM billing_period WHERE tenant_id = ? AND ends_at > ? ORDER BY starts_at" + lock(),
        tenant_id,
        to_micros(moment),
    )
    return await Period.filter(tenant_id=tenant_id, ends_at__gt=moment).order_by("starts_at")


async def lock_subscription(tenant_id: int, subscription_id: UUID, *, strength: str = "NO KEY UPDATE") -> Subscription:
    """The subscription, kept from changing (SHARE), or for a change, until the transaction ends. Periods first."""
    await rows(
        "SELECT id FROM subscription WHERE tenant_id = ? AND id = ?" + lock(strength), tenant_id, str(subscription_id)
    )
    return await Subscription.get(tenant_id=tenant_id, id=subscription_id)


@dataclass(frozen=True, slots=True)
class Covered:
    """From where to where a subscription bills a tenant; without an end it goes on."""

    subscription_id: UUID
    start: datetime
    end: datetime | None
    is_running: bool

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment and (self.end is None or moment < self.end)


async def covered_spans(tenant_id: int) -> list[Covered]:
    """What the tenant's subscriptions cover, in order."""
    found = await rows(
        "SELECT s.id, s.ended_at, s.state, MIN(p.starts_at) AS starts_at FROM subscription s "
        "JOIN billing_period p ON p.tenant_id = s.tenant_id AND p.subscription_id = s.id "
        "WHERE s.tenant_id = ? GROUP BY s.id, s.ended_at, s.state ORDER BY 4",
        tenant_id,
    )
    return [
        Covered(
            UUID(str(entry["id"])),
            from_micros(entry["starts_at"]),
            from_micros(entry["ended_at"]) if entry["ended_at"] is not None else None,
            entry["state"] == SubscriptionState.ACTIVE,
        )
        for entry in found
    ]


async def last_moment(tenant_id: int, since: datetime, meters: Sequence[str]) -> datetime | None:
    """The last moment from `since` on at which something was counted, or reserved and has no answer yet."""
    marks = ", ".join("?" * len(meters))
    found = await rows(
        f"SELECT MAX(occurred_at) AS at FROM usage_event WHERE tenant_id = ? AND meter IN ({marks}) "
        "AND occurred_at >= ? UNION ALL SELECT MAX(created_at) FROM operation "
        "WHERE tenant_id = ? AND state IN ('RESERVED', 'UNKNOWN') AND created_at >= ?",
        tenant_id,
        *meters,
        to_micros(since),
        tenant_id,
        to_micros(since),
    )
    moments = [entry["at"] for entry in found if entry["at"] is not None]
    return from_micros(max(moments)) if moments else None


async def periods_with_late_events(tenant_id: int, before: datetime, carried: Sequence[str] = ()) -> list[Period]:
    """The closed periods before a moment for which something was recorded after they were closed, in order.

    Events of the codes in `carried` report levels, which later periods start with: they count for those, too.
    """
    later = f"OR (e.meter IN ({', '.join('?' * len(carried))}) AND e.occurred_at < p.starts_at)" if carried else ""
    found = await rows(
        "SELECT p.id FROM billing_period p WHERE p.tenant_id = ? AND p.state = 'CLOSED' AND p.starts_at < ? "
        "AND EXISTS (SELECT 1 FROM usage_event e WHERE e.tenant_id = p.tenant_id AND e.is_late "
        f"AND ((e.occurred_at >= p.starts_at AND e.occurred_at < p.ends_at) {later}))",
        tenant_id,
        to_micros(before),
        *carried,
    )
    ids = [UUID(str(entry["id"])) for entry in found]
    return await Period.filter(tenant_id=tenant_id, id__in=ids).order_by("starts_at") if ids else []


async def phases_of(tenant_id: int, subscription_id: UUID) -> list[Phase]:
    """All phases of a subscription, in order; of two that begin at once the later one holds."""
    return await Phase.filter(tenant_id=tenant_id, subscription_id=subscription_id).order_by("starts_at", "id")


async def phases_of_many(subscriptions: Collection[Subscription]) -> dict[UUID, list[Phase]]:
    """The same of many subscriptions, by subscription, in one query; of a few hundred at a time."""
    found: dict[UUID, list[Phase]] = {subscription.id: [] for subscription in subscriptions}
    owners = {subscription.tenant_id for subscription in subscriptions}
    for phase in await Phase.filter(tenant_id__in=owners).order_by("starts_at", "id") if owners else []:
        if phase.subscription_id in found:
            found[phase.subscription_id].append(phase)
    return found


async def slice_periods(**which: Any) -> AsyncIterator[tuple[list[Period], dict[UUID, Subscription]]]:
    """The periods of all tenants that a filter lets through, with their subscriptions by id: a slice at a time, in two
    queries. Tenant by tenant, each in order of time.
    """
    where = Q(**which)
    while True:
        found = await Period.filter(where).order_by("tenant_id", "starts_at").limit(SLICE)
        if found:
            subscriptions = await Subscription.filter(tenant_id__in={period.tenant_id for period in found})
            yield found, {subscription.id: subscription for subscription in subscriptions}
        if len(found) < SLICE:
            return
        last = found[-1]
        after = Q(tenant_id__gt=last.tenant_id) | Q(tenant_id=last.tenant_id, starts_at__gt=last.starts_at)
        where = Q(**which) & Q(tenant_id__gte=last.tenant_id) & after


async def starts_before(subscriptions: Collection[Subscription], moment: datetime) -> dict[UUID, list[datetime]]:
    """When the periods of many subscriptions began that are no trial and began before a moment, in order."""
    found: dict[UUID, list[datetime]] = {subscription.id: [] for subscription in subscriptions}
    if not found:
        return found
    owners = {subscription.tenant_id for subscription in subscriptions}
    for entry in await rows(
        f"SELECT subscription_id, starts_at FROM billing_period WHERE tenant_id IN ({marks(owners)}) "
        "AND starts_at < ? AND NOT is_trial ORDER BY starts_at",
        *owners,
        to_micros(moment),
    ):
        if (starts := found.get(UUID(str(entry["subscription_id"])))) is not None:
            starts.append(from_micros(entry["starts_at"]))
    return found
