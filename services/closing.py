"""Closing a billing period: one invoice, made once, from what is known at that moment.

    T   take the gates of the period and of earlier ones that got late events -> the next period is opened
        -> compare counters with events -> what is due, less what was billed: of this period, of the earlier ones,
        and the next one's fees if they are due in advance -> charges -> the plugins' extra lines
        -> invoice and lines -> the period is CLOSED -> the push is queued
    --  the invoice is pushed to Stripe by a job

Killed anywhere, it starts again and finds the period either open or closed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from inkmeter.errors import Conflict, InkmeterError, SubscriptionInactive
from inkmeter.events import InvoiceFinalized
from inkmeter.money import Money
from inkmeter.usage import Aggregation, Meter
from services import counters, drafting, dues, jobs, meters, periods, phases, stripe_items, subscriptions, usage_reports
from services.drafting import NewLine, single
from services.platform import Platform
from storage import operations as stored_operations
from storage.charges import Charge, lock_open_charges
from storage.database import transaction
from storage.invoices import Invoice, InvoiceKind, LineKind
from storage.jobs import Job
from storage.plans import FeesDue, Plan
from storage.subscriptions import (
    Period,
    PeriodState,
    StripeUsage,
    Subscription,
    SubscriptionState,
    enter_period,
    period_at,
    periods_with_late_events,
)
from storage.tenants import Tenant
from storage.usage import read_counters, sum_events


class LedgerBroken(InkmeterError):
    """Counters and events differ. Nothing was billed; this must be looked into before the period can close."""

    code = "LEDGER_BROKEN"


async def close_period(platform: Platform, tenant: Tenant) -> Invoice:
    """Close the tenant's earliest open period that is over, and answer its invoice.

    If none is open the last invoice is answered: closing twice bills once. Raises SubscriptionInactive without any
    subscription, and Conflict while the period runs or has unsettled operations.
    """
    now = platform.clock.now()
    subscription = await subscriptions.latest_subscription(tenant.id)
    if periods.goes_on(subscription, now):
        await periods.current_period(platform, subscription)
    period = await Period.filter(tenant_id=tenant.id, state=PeriodState.OPEN).order_by("starts_at").first()
    if period is not None and period.ends_at <= now:
        return await _close(platform, tenant, period)
    closed = await Period.filter(tenant_id=tenant.id, state=PeriodState.CLOSED).order_by("-starts_at").first()
    if closed is not None and (period is None or closed.ends_at == period.starts_at):
        return await _invoice_of(closed)
    if period is None:
        raise SubscriptionInactive("the tenant has no billing period; call subscribeTenant first")
    raise Conflict(f"the period {period.span} is not over", path=("tenantId",))


@dataclass(frozen=True, slots=True)
class CloseResult:
    """What became of one period that was over."""

    tenant_name: str
    outcome: str
    is_closed: bool


async def close_all(platform: Platform, tenant_id: int | None = None) -> list[CloseResult]:
    """Close every period that is over, of one tenant or of all; one tenant's trouble does not stop the others.

    A tenant's periods are closed in order: behind one that stays open nothing is tried.
    """
    now = platform.clock.now()
    query = Period.filter(state=PeriodState.OPEN, ends_at__lte=now)
    if tenant_id is not None:
        query = query.filter(tenant_id=tenant_id)
    results = []
    stuck: set[int] = set()
    for period in await query.order_by("tenant_id", "starts_at"):
        if period.tenant_id in stuck:
            continue
        tenant = await Tenant.get(id=period.tenant_id)
        try:
            invoice = await _close(platform, tenant, period)
            total = drafting.total_of(invoice)
            results.append(CloseResult(tenant.name, f"{period.span} closed, {total}", is_closed=True))
        except InkmeterError as error:
            stuck.add(tenant.id)
            results.append(CloseResult(tenant.name, f"{period.span} stays open: {error.message}", is_closed=False))
    return results


async def close_due_period(platform: Platform, job: Job) -> None:
    """The job that closes a period by itself some time after its end."""
    tenant = await Tenant.get(id=job.tenant_id)
    period = await Period.get_or_none(tenant_id=job.tenant_id, id=job.dedup)  # None: the subscription ended before it
    if period is not None and period.state is PeriodState.OPEN:
        wait = period.ends_at + platform.terms.close_delay - platform.clock.now()
        if wait > timedelta():
            raise jobs.NotYet("the period is not over", wait)
        earlier = await Period.exists(tenant_id=tenant.id, state=PeriodState.OPEN, starts_at__lt=period.starts_at)
        if earlier:
            raise jobs.NotYet("an earlier period is still open")
        try:
            await _close(platform, tenant, period)
        except Conflict as wait_for:
            raise jobs.NotYet(wait_for.message, timedelta(minutes=5)) from wait_for
    async with jobs.completing(job):
        pass


async def _close(platform: Platform, tenant: Tenant, period: Period) -> Invoice:
    now = platform.clock.now()
    carried = await meters.carried_codes(platform)
    reported = None
    if period.stripe_usage is StripeUsage.METERED and period.ends_at <= now:
        reported = await usage_reports.require_reported(platform, period)
    async with transaction():
        # In the order in which usage takes them. One that gets its first late event from now on waits for the next.
        touched = await periods_with_late_events(tenant.id, period.starts_at, carried)
        for earlier in touched:
            await enter_period(tenant.id, earlier.starts_at)
        gate = await enter_period(tenant.id, period.starts_at, strength="UPDATE")
        if gate is None or gate.state is PeriodState.CLOSED:
            return await _invoice_of(period)
        if gate.ends_at > now:
            raise Conflict(f"the period {gate.span} is not over", path=("tenantId",))
        subscription = await Subscription.get(tenant_id=tenant.id, id=gate.subscription_id)
        if periods.goes_on(subscription, gate.ends_at):
            # The next period is opened first: usage goes on while this one is being closed.
            await periods.open_period(platform, subscription, gate.ends_at)
        else:
            await Subscription.filter(tenant_id=tenant.id, id=subscription.id).update(state=SubscriptionState.ENDED)
        await _require_settled(tenant.id, gate)
        await counters.backfill_period(platform, gate)
        for entered in [*touched, gate]:
            await _require_agreement(platform, entered)
        following = await period_at(tenant.id, gate.ends_at) if periods.goes_on(subscription, gate.ends_at) else None
        # Stripe bills nothing of a period with which the subscription ends.
        is_theirs = gate.stripe_usage and periods.goes_on(subscription, gate.ends_at)
        at_stripe = await usage_reports.reported_units(gate) if is_theirs else None
        if is_theirs and gate.stripe_usage is StripeUsage.METERED and reported != at_stripe:
            raise Conflict("a report to Stripe was settled meanwhile; close again", path=("tenantId",))
        lines = await lines_due(platform, subscription, gate, following, touched, at_stripe)
        plan = await plan_of(platform, subscription, gate)
        invoice = await drafting.store_invoice(platform, tenant, gate, InvoiceKind.PERIOD, plan, lines)
        await Period.filter(tenant_id=tenant.id, id=gate.id).update(state=PeriodState.CLOSED, closed_at=now)
        if following is not None:
            next_terms, _ = await phases.in_force(platform, subscription, following.starts_at)
            first_terms, _ = await phases.in_force(platform, subscription, gate.starts_at)
            # An upgrade by a quota, inside of the period, has not told Stripe: its item is worth nothing.
            if len({first_terms.plan.id, plan.id, next_terms.plan.id}) > 1:
                await stripe_items.plan_settling(platform, subscription, reason=str(gate.id))
    total = drafting.total_of(invoice)
    await platform.plugins.publish(InvoiceFinalized(str(tenant.public_id), now, str(invoice.id), total))
    return invoice


async def _invoice_of(period: Period) -> Invoice:
    return await Invoice.get(tenant_id=period.tenant_id, period_id=period.id, kind=InvoiceKind.PERIOD)


async def lines_due(
    platform: Platform,
    subscription: Subscription,
    period: Period,
    following: Period | None,
    touched: Sequence[Period],
    reported: Mapping[str, int] | None = None,
) -> list[NewLine]:
    """Everything that the close of a period bills, without the plugins' lines. `following` is the period after it,
    None if the subscription ends; `touched` are earlier ones to rate again; `reported` is what Stripe bills itself.
    """
    lines = await dues.outstanding(platform, subscription, period, is_first=True, reported=reported)
    for earlier in touched:
        theirs = await Subscription.get(tenant_id=earlier.tenant_id, id=earlier.subscription_id)
        lines += await dues.outstanding(platform, theirs, earlier, is_first=False)
    if following is not None:
        terms, _ = await phases.in_force(platform, subscription, following.starts_at)
        if terms.plan.fees is FeesDue.ADVANCE:
            lines += await dues.fees_ahead(platform, subscription, following)
    # The last invoice takes what was bought since its period, too: there is none after it.
    until = period.ends_at if following is not None else None
    lines += [_charge_line(period, charge) for charge in await lock_open_charges(period.tenant_id, until)]
    return lines


def _charge_line(period: Period, charge: Charge) -> NewLine:
    line = single(charge.label, Money(charge.amount_minor, charge.currency))
    return NewLine(LineKind.CHARGE, period, line, charge.meter, charge_id=charge.id)


async def plan_of(platform: Platform, subscription: Subscription, period: Period) -> Plan:
    """The plan in force at the end of a period."""
    terms, _ = await phases.in_force(platform, subscription, period.ends_at - timedelta(microseconds=1))
    return terms.plan


async def _require_settled(tenant_id: int, period: Period) -> None:
    unsettled = await stored_operations.Operation.filter(
        tenant_id=tenant_id, period_starts_at=period.starts_at, state__in=["RESERVED", "UNKNOWN"]
    ).count()
    if unsettled:
        raise Conflict(
            f"{unsettled} operations of the period have no answer from SignNow yet; they are settled in some minutes",
            path=("tenantId",),
        )


async def _require_agreement(platform: Platform, period: Period) -> None:
    """Compare counters and events, of the meters whose counter is the sum of their own events' quantities."""
    sums = await sum_events(period.tenant_id, period.span)
    says = await read_counters(period.tenant_id, period.starts_at)
    book = await meters.find_meters(platform, *sums, *says)
    plain = [code for code in {*sums, *says} if code in book and _is_plain(book[code])]
    counted = {code: says[code].used for code in plain if code in says and says[code].used}
    summed = {code: sums[code] for code in plain if sums.get(code)}
    if counted != summed:
        raise LedgerBroken(f"period {period.id}: events sum to {summed}, counters say {counted}")


def _is_plain(meter: Meter) -> bool:
    is_own = meter.source in (None, meter.code) and meter.property is None and not meter.filters
    return meter.aggregation is Aggregation.SUM and is_own
