"""Whatever is changed, cancelled, discounted and counted late: what was billed for a period in the end, on however many
invoices, is what one rating of it says, and closing again bills nothing more.
"""

import contextlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inkmeter.errors import Refused
from inkmeter.periods import Interval, Proration, load_zone
from services import changes, closing, discounts, dues, endings, period_facts, plans, subscriptions, usage
from services.billing import bill_period
from services.changes import ChangeAt, ChangePlan, ChangeSeats
from services.discounts import ApplyDiscount
from services.plans import CreatePlan, NewPrice
from services.platform import Platform
from services.subscriptions import SubscribeTenant
from services.tenants import ProvisionTenant, Tenant, provision_tenant
from services.usage import NewEvent
from storage.invoices import Invoice, LineItem, LineKind
from storage.plans import Plan
from storage.subscriptions import Period, PeriodState, Subscription, SubscriptionState, covered_spans
from tests.bookkeeping import used_units
from tests.world import START, World

pytestmark = pytest.mark.anyio

ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia", "Australia/Lord_Howe")
PLANS = (
    ("small", "ARREARS", None, [("seats", "per-seat", {"seatPrice": "7.31"})]),
    (
        "fees-first",
        "ADVANCE",
        None,
        [("invites_sent", "tiered", {"fee": "49.00", "included": 3, "overage": {"unitPrice": "4.25"}})],
    ),
    (
        "team",
        "ADVANCE",
        9_900,
        [
            ("seats", "per-seat", {"seatPrice": "10.00", "seatProration": "DAY"}),
            ("invites_sent", "metered", {"unitPrice": "0.333", "minimumSpend": "3.00"}),
        ],
    ),
    ("committed", "ARREARS", 20_000, [("invites_sent", "metered", {"pack": {"size": 5, "price": "9.99"}})]),
)

Step = tuple[str, Any]
AT = st.sampled_from(list(ChangeAt))
PRORATION = st.sampled_from(list(Proration))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0.01, 40).map(lambda days: timedelta(days=days))),
        st.tuples(st.just("wait"), st.sampled_from([timedelta(hours=1), timedelta(days=1), timedelta(days=31)])),
        st.tuples(st.just("seats"), st.tuples(st.integers(0, 9), AT)),
        st.tuples(st.just("plan"), st.tuples(st.integers(0, 3), AT, PRORATION)),
        st.tuples(st.just("use"), st.integers(1, 12)),
        st.tuples(st.just("late"), st.tuples(st.integers(1, 9), st.integers(0, 90))),
        st.tuples(st.just("discount"), st.tuples(st.sampled_from(["10", "33.3333", None]), st.integers(1, 3))),
        st.tuples(st.just("discount"), st.just((None, None))),
        st.tuples(st.just("cancel"), st.tuples(AT, PRORATION)),
        st.tuples(st.just("resume"), st.none()),
        st.tuples(st.just("subscribe"), st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 5, 40]), PRORATION)),
        st.tuples(st.just("close"), st.none()),
    ),
    max_size=25,
)


class Story:
    """One tenant to whom all of this happens."""

    def __init__(self, world: World, tenant: Tenant, made: list[Plan], zone: str, anchor: int) -> None:
        self.world, self.platform, self.tenant = world, world.platform, tenant
        self.made, self.zone, self.anchor = made, zone, anchor
        self.steps = 0

    @property
    def key(self) -> str:
        self.steps += 1
        return f"step-{self.steps}"

    async def take(self, step: Step) -> None:
        """What is refused changes nothing."""
        with contextlib.suppress(Refused):
            await self._take(*step)

    async def _take(self, name: str, what: Any) -> None:
        platform, tenant, now = self.platform, self.tenant, self.platform.clock.now()
        match name:
            case "wait":
                self.world.clock.travel_to(now + what)
            case "seats":
                await changes.change_seats(platform, ChangeSeats(tenant, what[0], what[1], self.key))
            case "plan":
                plan = self.made[what[0]]
                await changes.change_plan(platform, ChangePlan(tenant, plan.id, what[1], self.key, what[2]))
            case "use":
                await usage.record_usage(platform, tenant, [NewEvent("invites_sent", what, self.key)])
            case "late":
                at = now - timedelta(days=what[1])
                await usage.record_usage(platform, tenant, [NewEvent("invites_sent", what[0], self.key, at)])
            case "discount":
                await self.discount(*what)
            case "cancel":
                await endings.cancel_subscription(platform, tenant, what[0], what[1])
            case "resume":
                await endings.resume_subscription(platform, tenant)
            case "subscribe":
                await self.subscribe(*what)
            case "close":
                await closing.close_all(platform, tenant.id)

    async def discount(self, percent: str | None, periods: int | None) -> None:
        """A percentage or, without one, an amount; without periods all of them end."""
        if periods is None:
            for found in await discounts.Discount.filter(tenant_id=self.tenant.id):
                await discounts.end_discount(self.platform, self.tenant, found.id)
            return
        command = ApplyDiscount(
            self.tenant,
            self.key,
            "Off",
            percent=Decimal(percent) if percent else None,
            amount=None if percent else Decimal("12.50"),
            periods=periods,
        )
        await discounts.apply_discount(self.platform, command)

    async def subscribe(self, plan: int, trial_days: int, proration: Proration) -> None:
        today = self.platform.clock.now().astimezone(load_zone(self.zone)).date()
        anchor_on = None if trial_days or not self.anchor else today - timedelta(days=self.anchor)
        await subscriptions.subscribe_tenant(
            self.platform,
            SubscribeTenant(self.tenant, self.made[plan].id, 2, self.zone, anchor_on, trial_days, proration),
        )

    async def finish(self) -> None:
        """Everything ends and is closed, and once more after a last late event for each period."""
        await endings.cancel_subscription(self.platform, self.tenant, ChangeAt.NOW)
        self.world.clock.travel_to(self.platform.clock.now() + timedelta(days=1))
        await self.close_all()
        await self.subscribe(0, 0, Proration.SECOND)
        for period in await Period.filter(tenant_id=self.tenant.id, state=PeriodState.CLOSED):
            at = period.starts_at + timedelta(microseconds=1)
            if at < period.ends_at:
                await usage.record_usage(self.platform, self.tenant, [NewEvent("invites_sent", 2, self.key, at)])
        for _ in range(3):
            self.world.clock.travel_to(self.platform.clock.now() + timedelta(days=400))
            await self.close_all()

    async def close_all(self) -> None:
        while results := await closing.close_all(self.platform, self.tenant.id):
            assert all(result.is_closed for result in results), results


async def make_plans(platform: Platform, reference: str, interval: Interval) -> list[Plan]:
    made = []
    for code, fees, minimum, prices in PLANS:
        terms = await plans.create_plan(
            platform,
            CreatePlan(f"{code}-{reference}", code, "USD", [NewPrice(*entry) for entry in prices], interval=interval),
        )
        await Plan.filter(id=terms.plan.id).update(fees=fees, minimum_minor=minimum)
        made.append(terms.plan)
    return made


async def check_spans(tenant: Tenant) -> None:
    """Periods follow each other without overlap, and without a gap within a subscription."""
    periods = await Period.filter(tenant_id=tenant.id).order_by("starts_at")
    for one, other in pairwise(periods):
        assert one.ends_at <= other.starts_at
        assert one.ends_at == other.starts_at or one.subscription_id != other.subscription_id
    for span in await covered_spans(tenant.id):
        mine = [period for period in periods if period.subscription_id == span.subscription_id]
        assert span.end is None or mine[-1].ends_at == span.end


async def check_books(platform: Platform, tenant: Tenant) -> None:
    """By period, kind and price: the lines of all invoices add up to what one rating says now."""
    for period in await Period.filter(tenant_id=tenant.id, state=PeriodState.CLOSED):
        subscription = await Subscription.get(tenant_id=tenant.id, id=period.subscription_id)
        facts = await period_facts.facts_of(platform, subscription, period)
        due: Counter[Any] = Counter()
        for entry in bill_period(facts):
            due[entry.kind, entry.price_id] += entry.line.total.minor
        billed: Counter[Any] = Counter()
        for item in await LineItem.filter(tenant_id=tenant.id, service_period_id=period.id):
            kind = LineKind(item.adjusts) if item.adjusts else item.kind
            billed[kind, item.price_id] += item.amount_minor
        assert {k: v for k, v in billed.items() if v} == {k: v for k, v in due.items() if v}, period.span
        assert sum(due.values()) >= 0
        assert await dues.outstanding(platform, subscription, period, is_first=False) == []


numbers = count()


@given(
    steps=STEPS,
    start=st.sampled_from([START, datetime(2026, 1, 31, 3, tzinfo=UTC), datetime(2024, 2, 29, 23, 30, tzinfo=UTC)]),
    zone=st.sampled_from(ZONES),
    anchor=st.sampled_from([0, 0, 11, 40]),
    interval=st.sampled_from([Interval.MONTH, Interval.MONTH, Interval.YEAR]),
    first=st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 14]), PRORATION),
)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_was_billed_is_what_one_rating_says(
    world: World,
    steps: list[Step],
    start: datetime,
    zone: str,
    anchor: int,
    interval: Interval,
    first: tuple[int, int, Proration],
) -> None:
    world.clock.travel_to(start)
    reference = f"tenant-{next(numbers)}"
    tenant = await provision_tenant(
        world.platform, ProvisionTenant(reference, reference, f"billing@{reference}.test", "USD")
    )
    story = Story(world, tenant, await make_plans(world.platform, reference, interval), zone, anchor)
    await story.subscribe(*first)
    for step in steps:
        await story.take(step)
    await story.finish()
    await check_spans(tenant)
    await check_books(world.platform, tenant)
    await used_units(tenant)
    assert await Subscription.filter(tenant_id=tenant.id, state=SubscriptionState.ACTIVE).count() == 1
    kinds = [(invoice.period_id, invoice.kind) for invoice in await Invoice.filter(tenant_id=tenant.id)]
    assert len(kinds) == len(set(kinds))
