"""Closing a billing period: one invoice, made once, from the events that are known at that moment.

    T   take the period's gate -> compare counters with events -> rate -> adjust earlier periods for late usage
        -> the plugins' extra lines -> invoice and lines -> the period is CLOSED -> the push is queued
    --  the invoice is pushed to Stripe by a job

Killed anywhere, it starts again and finds the period either open or closed.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from inkmeter.billing_model import RatedLine
from inkmeter.errors import Conflict, InkmeterError
from inkmeter.events import InvoiceFinalized
from inkmeter.invoices import DraftLine, InvoiceDraft
from inkmeter.money import Money, to_money
from services import invoices, jobs, phases, rating, subscriptions
from services.platform import Platform
from services.terms import PlanTerms
from storage import operations as stored_operations
from storage.database import insert_new, transaction
from storage.invoices import Invoice, InvoiceState, LineItem, LineKind
from storage.jobs import Job
from storage.subscriptions import Period, PeriodState, Subscription, enter_period
from storage.tenants import Tenant
from storage.usage import UsageEvent, read_counters, sum_events, sum_upstream_units


class LedgerBroken(InkmeterError):
    """Counters and events differ. Nothing was billed; this must be looked into before the period can close."""

    code = "LEDGER_BROKEN"


@dataclass(frozen=True, slots=True)
class _NewLine:
    kind: LineKind
    service_period_id: UUID
    meter: str
    model: str
    price_id: UUID | None
    line: RatedLine


async def close_period(platform: Platform, tenant: Tenant) -> Invoice:
    """Close the tenant's earliest open period that is over, and answer its invoice.

    If none is open the last invoice is answered: closing twice bills once. Raises Conflict while the period runs or
    has unsettled operations.
    """
    now = platform.clock.now()
    subscription = await subscriptions.require_subscription(tenant.id)
    period = await _earliest_open(platform, subscription)
    if period.ends_at > now:
        last = await Invoice.filter(tenant_id=tenant.id).order_by("-id").first()
        last_period = await Period.get_or_none(tenant_id=tenant.id, id=last.period_id) if last else None
        if last is not None and last_period is not None and last_period.ends_at == period.starts_at:
            return last
        raise Conflict(f"the period {period.span} is not over", path=("tenantId",))
    return await _close(platform, tenant, period)


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
            total = Money(invoice.total_minor, invoice.currency)
            results.append(CloseResult(tenant.name, f"{period.span} closed, {total}", is_closed=True))
        except InkmeterError as error:
            stuck.add(tenant.id)
            results.append(CloseResult(tenant.name, f"{period.span} stays open: {error.message}", is_closed=False))
    return results


async def close_due_period(platform: Platform, job: Job) -> None:
    """The job that closes a period by itself some time after its end."""
    tenant = await Tenant.get(id=job.tenant_id)
    period = await Period.get(tenant_id=job.tenant_id, id=job.dedup)
    if period.state is PeriodState.OPEN:
        earlier = await Period.exists(tenant_id=tenant.id, state=PeriodState.OPEN, starts_at__lt=period.starts_at)
        if earlier:
            raise jobs.NotYet("an earlier period is still open")
        try:
            await _close(platform, tenant, period)
        except Conflict as wait:
            raise jobs.NotYet(wait.message, timedelta(minutes=5)) from wait
    async with jobs.completing(job):
        pass


async def _earliest_open(platform: Platform, subscription: Subscription) -> Period:
    await subscriptions.current_period(platform, subscription)
    found = await Period.filter(tenant_id=subscription.tenant_id, state=PeriodState.OPEN).order_by("starts_at").first()
    if found is None:
        raise Conflict("every period is closed", path=("tenantId",))
    return found


async def _close(platform: Platform, tenant: Tenant, period: Period) -> Invoice:
    now = platform.clock.now()
    subscription = await Subscription.get(tenant_id=tenant.id, id=period.subscription_id)
    terms, seats = await phases.in_force(platform, subscription, period.starts_at)
    async with transaction():
        gate = await enter_period(tenant.id, period.starts_at, strength="UPDATE")
        if gate is None or gate.state is PeriodState.CLOSED:
            return await Invoice.get(tenant_id=tenant.id, period_id=period.id)
        # The next period is opened first: usage goes on while this one is being closed.
        await subscriptions.enter_period(platform, subscription, period.ends_at)
        await _require_settled(tenant.id, period)
        units = await _agreed_units(tenant.id, period)
        lines = [
            _NewLine(LineKind.USAGE, period.id, entry.meter, entry.model, entry.price_id, entry.line)
            for entry in rating.rate_usage(terms, units, seats, period.span)
        ]
        lines += await _adjust_earlier_periods(terms, seats, period)
        lines += _extra_lines(platform, tenant, terms, period, lines)
        invoice = await _store(platform, tenant, period, terms, lines)
        await Period.filter(tenant_id=tenant.id, id=period.id).update(state=PeriodState.CLOSED, closed_at=now)
        await jobs.add_job(platform, tenant_id=tenant.id, topic=invoices.PUSH, dedup=str(invoice.id))
    total = Money(invoice.total_minor, invoice.currency)
    await platform.plugins.publish(InvoiceFinalized(str(tenant.public_id), now, str(invoice.id), total))
    return invoice


async def _require_settled(tenant_id: int, period: Period) -> None:
    unsettled = await stored_operations.Operation.filter(
        tenant_id=tenant_id, period_starts_at=period.starts_at, state__in=["RESERVED", "UNKNOWN"]
    ).count()
    if unsettled:
        raise Conflict(
            f"{unsettled} operations of the period have no answer from SignNow yet; they are settled in some minutes",
            path=("tenantId",),
        )


async def _agreed_units(tenant_id: int, period: Period) -> dict[str, int]:
    sums = await sum_events(tenant_id, period.span)
    counters = {m: c.used for m, c in (await read_counters(tenant_id, period.starts_at)).items() if c.used}
    if {meter: total for meter, total in sums.items() if total} != counters:
        raise LedgerBroken(f"period {period.id}: events sum to {sums}, counters say {counters}")
    return sums


async def _adjust_earlier_periods(terms: PlanTerms, seats: int, period: Period) -> list[_NewLine]:
    """What late usage changes in periods that are closed: rated again as known now, less what was billed."""
    lines: list[_NewLine] = []
    closed = await Period.filter(
        tenant_id=period.tenant_id, subscription_id=period.subscription_id, state=PeriodState.CLOSED
    ).order_by("starts_at")
    for earlier in closed:
        is_touched = await UsageEvent.exists(
            tenant_id=period.tenant_id,
            is_late=True,
            occurred_at__gte=earlier.starts_at,
            occurred_at__lt=earlier.ends_at,
        )
        if not is_touched:
            continue
        units = await sum_events(period.tenant_id, earlier.span)
        for entry, model in terms.prices:
            now_rated = rating.rate_meter(
                model, terms.meters[entry.meter], units, seats, earlier.span, terms.plan.currency
            )
            billed = await LineItem.filter(tenant_id=period.tenant_id, service_period_id=earlier.id, price_id=entry.id)
            difference = sum(line.total.minor for line in now_rated) - sum(item.amount_minor for item in billed)
            if difference:
                amount = Money(difference, terms.plan.currency)
                label = f"Adjustment of {earlier.starts_at:%Y-%m-%d} to {earlier.ends_at:%Y-%m-%d}: late {entry.meter}"
                line = RatedLine(label, Decimal(1), amount.amount, amount)
                lines.append(_NewLine(LineKind.ADJUSTMENT, earlier.id, entry.meter, entry.model, entry.id, line))
    return lines


def _extra_lines(
    platform: Platform, tenant: Tenant, terms: PlanTerms, period: Period, lines: list[_NewLine]
) -> list[_NewLine]:
    draft = InvoiceDraft(
        tenant_id=str(tenant.public_id),
        tenant_name=tenant.name,
        plan_code=terms.plan.code,
        period=period.span,
        currency=terms.plan.currency,
        lines=tuple(DraftLine(entry.meter, entry.model, entry.line) for entry in lines),
    )
    return [
        _NewLine(LineKind.EXTRA, period.id, extra.meter, extra.model, None, extra.line)
        for extra in platform.plugins.extra_lines(draft)
    ]


async def _store(
    platform: Platform, tenant: Tenant, period: Period, terms: PlanTerms, lines: list[_NewLine]
) -> Invoice:
    upstream_units = await sum_upstream_units(tenant.id, period.span)
    invite_cost = platform.terms.invite_cost
    upstream_cost = to_money(invite_cost.amount * upstream_units, invite_cost.currency)
    invoice = Invoice(
        tenant_id=tenant.id,
        subscription_id=period.subscription_id,
        period_id=period.id,
        currency=terms.plan.currency,
        total_minor=Money.sum((entry.line.total for entry in lines), terms.plan.currency).minor,
        upstream_units=upstream_units,
        upstream_cost_minor=upstream_cost.minor,
        upstream_cost_currency=upstream_cost.currency,
        state=InvoiceState.FINALIZED,
        finalized_at=platform.clock.now(),
    )
    await insert_new(invoice)
    for position, entry in enumerate(lines):
        await insert_new(
            LineItem(
                tenant_id=tenant.id,
                invoice_id=invoice.id,
                position=position,
                kind=entry.kind,
                service_period_id=entry.service_period_id,
                meter=entry.meter,
                model=entry.model,
                price_id=entry.price_id,
                label=entry.line.label,
                quantity=entry.line.quantity,
                unit_price=entry.line.unit_price,
                amount_minor=entry.line.total.minor,
            )
        )
    return invoice
