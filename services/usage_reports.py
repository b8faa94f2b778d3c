"""Reporting usage to Stripe's meters: what a period has come to, less what was reported of it.

    T   the period's gate is shared -> the units that are missing become a report, numbered within period and meter
    T   the report is marked as tried
    --  Stripe is told, under the report's own identifier
    T   SENT

A report without an answer is repeated under its identifier while Stripe remembers it, and looked for in Stripe's sums
after that. Until it is clear what became of it nothing more is reported of that meter, so that the sums can tell.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from inkmeter.errors import Conflict, InkmeterError, PaymentRefused
from services import jobs, periods, phases, readings, stripe_catalog, stripe_items
from services.platform import Platform
from storage.database import insert_new, transaction
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.jobs import Job
from storage.subscriptions import Period, PeriodState, StripeUsage, Subscription, enter_period
from storage.tenants import Tenant
from storage.usage_reports import ReportState as ReportState
from storage.usage_reports import StripeMeter
from storage.usage_reports import UsageReport as UsageReport

log = logging.getLogger("inkmeter.usage_reports")

EVERY: Final = timedelta(minutes=15)
"""How often what is due is reported: often, since Stripe takes nothing back once a period's invoice is made."""
AFTER_END: Final = timedelta(minutes=30)
"""How long after a period's end it is still reported. Stripe's docs: its invoice waits an hour unless set otherwise."""
REMEMBERED: Final = timedelta(hours=23)
"""How long an identifier is relied on. Stripe's docs: it is unique, and a cancellation possible, for 24 hours."""
SUMS_KNOW: Final = timedelta(hours=1)
"""How long after the last try Stripe's sums are believed."""
PAUSE: Final = timedelta(days=1)
"""How long nothing is reported of a meter after a report of it has failed."""
OPEN: Final = (ReportState.PENDING, ReportState.SENDING, ReportState.CANCELLING)
COUNTED: Final = (ReportState.SENT, ReportState.CONFIRMED)


@dataclass(frozen=True, slots=True)
class _Stream:
    """A meter of a period, and where it is reported to."""

    period: Period
    meter: StripeMeter
    customer_id: str

    async def reports(self) -> list[UsageReport]:
        period = self.period
        found = UsageReport.filter(tenant_id=period.tenant_id, period_id=period.id, meter=self.meter.code)
        return await found.order_by("number")


async def follow_usage(platform: Platform, job: Job) -> None:
    """The job of a METERED period: report what is due again and again until it is closed."""
    period = await Period.get(tenant_id=job.tenant_id, id=job.dedup)
    if period.state is PeriodState.OPEN:
        subscription = await Subscription.get(tenant_id=period.tenant_id, id=period.subscription_id)
        # Also begins the next period, once this one is over.
        await stripe_items.settle_items(platform, subscription)
        await report_period(platform, period)
        left = period.ends_at - platform.clock.now()
        raise jobs.NotYet("the period is not closed", min(EVERY, left) if left > timedelta() else EVERY)
    async with jobs.completing(job):
        pass


async def report_due(platform: Platform, tenant: Tenant | None = None) -> list[UsageReport]:
    """Report what is due now, of one tenant or of all, and answer the reports of the periods that are not closed."""
    query = Period.filter(state=PeriodState.OPEN, stripe_usage=StripeUsage.METERED)
    if tenant is not None:
        query = query.filter(tenant_id=tenant.id)
    found: list[UsageReport] = []
    for period in await query.order_by("tenant_id", "starts_at"):
        await report_period(platform, period)
        reports = UsageReport.filter(tenant_id=period.tenant_id, period_id=period.id)
        found += await reports.order_by("meter", "number")
    return found


async def report_period(platform: Platform, period: Period) -> None:
    """Report what a period's meters have come to. One meter's trouble does not stop the others."""
    for stream in await _streams(platform, period):
        try:
            await _report(platform, stream)
        except InkmeterError as error:
            log.warning("%s of period %s: %s", stream.meter.code, period.id, error)


async def _streams(platform: Platform, period: Period) -> list[_Stream]:
    tenant = await Tenant.get(id=period.tenant_id)
    subscription = await Subscription.get(tenant_id=period.tenant_id, id=period.subscription_id)
    terms, _ = await phases.in_force(platform, subscription, period.starts_at)
    assert tenant.stripe_customer_id is not None  # noqa: S101 - only provisioned tenants are subscribed
    codes = [price.meter for price, model in terms.prices if (s := model.stripe_price()) and (s.tiers or s.package)]
    meters = [await stripe_catalog.ensure_meter(platform, terms.meters[code]) for code in codes]
    return [_Stream(period, meter, tenant.stripe_customer_id) for meter in meters]


async def _report(platform: Platform, stream: _Stream) -> None:
    while True:
        reports = await stream.reports()
        if open_ones := [report for report in reports if report.state in OPEN]:
            await _finish(platform, stream, open_ones[0])
            if (await _again(open_ones[0])).state in OPEN:
                return
        elif not await _begin(platform, stream, reports):
            return


async def _begin(platform: Platform, stream: _Stream, reports: Sequence[UsageReport]) -> bool:
    """Make the next report, or choose one to take back; answers whether there is something to do."""
    now, period = platform.clock.now(), stream.period
    if now < period.starts_at or now >= period.ends_at + AFTER_END:
        return False
    failed = [report.created_at for report in reports if report.state is ReportState.FAILED]
    if failed and now < max(failed) + PAUSE:
        return False
    async with transaction():
        gate = await enter_period(period.tenant_id, period.starts_at)
        if gate is None or gate.state is PeriodState.CLOSED or gate.stripe_usage is not StripeUsage.METERED:
            return False
        used = (await readings.billed_units(platform, period, now)).get(stream.meter.code, Decimal(0))
        missing = int(used) - counted(reports)
        if missing < 0:
            return await _take_back(reports, now)
        if missing > 0:
            report = UsageReport(
                tenant_id=period.tenant_id,
                period_id=period.id,
                meter=stream.meter.code,
                number=len(reports) + 1,
                units=missing,
                # In whole seconds, and in the period that it bills, though that may be over.
                at=min(now, gate.ends_at - timedelta(seconds=1)).replace(microsecond=0),
                state=ReportState.PENDING,
                created_at=now,
            )
            await insert_new(report, ["tenant_id", "period_id", "meter", "number"])
    return missing > 0


async def _take_back(reports: Sequence[UsageReport], now: datetime) -> bool:
    """Choose the last report that Stripe still takes back; what it held beyond the missing units is reported anew."""
    for report in reversed(reports):
        is_young = report.first_tried_at is not None and now < report.first_tried_at + REMEMBERED
        if report.state in COUNTED and is_young and report.reason is None:
            return await _move(report, COUNTED, ReportState.CANCELLING, last_tried_at=now)
    return False


def counted(reports: Sequence[UsageReport]) -> int:
    """The units that Stripe has taken."""
    return sum(report.units for report in reports if report.state in COUNTED)


async def _finish(platform: Platform, stream: _Stream, report: UsageReport) -> None:
    """Go on with a report whose outcome is not known. Raises what the gateway raises; it then stays open."""
    now = platform.clock.now()
    is_too_late = now >= stream.period.ends_at + AFTER_END
    if report.first_tried_at is None:
        if is_too_late:
            await _move(report, [ReportState.PENDING], ReportState.FAILED, reason="never sent: its time was over")
            return
    elif now >= report.first_tried_at + REMEMBERED or (
        report.state is ReportState.SENDING and (is_too_late or report.reason is not None)
    ):
        await _look_for(platform, stream, report)
        return
    if report.state is ReportState.CANCELLING:
        await _cancel(platform, stream, report, now)
    else:
        await _send(platform, stream, report, now)


async def _send(platform: Platform, stream: _Stream, report: UsageReport, now: datetime) -> None:
    unsent = (ReportState.PENDING, ReportState.SENDING)
    tried = {"first_tried_at": report.first_tried_at or now, "last_tried_at": now}
    if not await _move(report, unsent, ReportState.SENDING, **tried):
        return
    try:
        await platform.stripe.report_usage(
            identifier=str(report.id),
            event_name=stream.meter.event_name,
            customer_id=stream.customer_id,
            value=report.units,
            at=report.at,
        )
    except PaymentRefused as refusal:
        # Perhaps it refuses what it has taken before, at a try whose answer was lost: its sums will tell.
        await _move(report, unsent, ReportState.SENDING, reason=refusal.message)
        return
    await _move(report, unsent, ReportState.SENT, reason=None)


async def _cancel(platform: Platform, stream: _Stream, report: UsageReport, now: datetime) -> None:
    await _move(report, [ReportState.CANCELLING], ReportState.CANCELLING, last_tried_at=now)
    try:
        await platform.stripe.cancel_report(identifier=str(report.id), event_name=stream.meter.event_name)
    except PaymentRefused:
        await _look_for(platform, stream, report)
        return
    await _move(report, [ReportState.CANCELLING], ReportState.CANCELLED)


async def _look_for(platform: Platform, stream: _Stream, report: UsageReport) -> None:
    """Ask Stripe's sums whether they hold a report; it is the only one of its meter that is in doubt."""
    now = platform.clock.now()
    assert report.last_tried_at is not None  # noqa: S101 - it was tried
    if now < report.last_tried_at + SUMS_KNOW:
        return
    known = counted(await stream.reports())
    sums = await sum_at_stripe(platform, stream.period, stream.meter, stream.customer_id)
    if sums == known + report.units:
        why = "Stripe did not take it back" if report.state is ReportState.CANCELLING else None
        await _move(report, OPEN, ReportState.SENT, reason=why)
    elif sums == known and report.state is ReportState.CANCELLING:
        await _move(report, OPEN, ReportState.CANCELLED)
    elif sums == known and report.reason is not None:
        await fail_report(platform, report, report.reason)
    elif sums == known:
        await _move(report, OPEN, ReportState.FAILED, reason="Stripe never had it")
    else:
        await note_difference(
            platform, report.tenant_id, "METER_REPORT", str(report.id), known, sums, {"units in doubt": report.units}
        )


async def sum_at_stripe(platform: Platform, period: Period, meter: StripeMeter, customer_id: str) -> Decimal:
    """What Stripe's meter has counted for a period, whose ends are whole minutes."""
    start, end = period.starts_at, period.ends_at
    whole = end.replace(second=0, microsecond=0)
    if whole != end:  # cut by a cancellation
        whole += timedelta(minutes=1)
    found = await platform.stripe.reported_usage(
        meter_id=meter.stripe_meter_id, customer_id=customer_id, start=start.astimezone(UTC), end=whole
    )
    return sum(found.values(), Decimal(0))


async def require_reported(platform: Platform, period: Period) -> Mapping[str, int]:
    """Report a METERED period for the last time, and answer its units by meter once Stripe's sums agree. With one that
    the subscription ends nothing is asked: it is ours to bill.

    Raises Conflict while the outcome of a report is unknown, or Stripe's sums differ.
    """
    subscription = await Subscription.get(tenant_id=period.tenant_id, id=period.subscription_id)
    if not periods.goes_on(subscription, period.ends_at):
        return {}
    await report_period(platform, period)
    for stream in await _streams(platform, period):
        reports = await stream.reports()
        if any(report.state in OPEN for report in reports):
            raise _unsettled(f"a report of {stream.meter.code} has no answer from Stripe yet")
        if not reports:
            continue
        ours = counted(reports)
        try:
            theirs = await sum_at_stripe(platform, period, stream.meter, stream.customer_id)
        except InkmeterError as error:
            raise _unsettled(f"Stripe does not say what was reported: {error.message}") from error
        if ours != theirs:
            raise _unsettled(f"{ours} {stream.meter.code} were reported, Stripe's sums say {theirs:f}")
    return await reported_units(period)


def _unsettled(why: str) -> Conflict:
    return Conflict(f"the period's usage is not settled with Stripe: {why}; it is asked again", path=("tenantId",))


async def reported_units(period: Period) -> dict[str, int]:
    """The units of a period that Stripe has taken, by meter."""
    sums: dict[str, int] = {}
    for report in await UsageReport.filter(tenant_id=period.tenant_id, period_id=period.id):
        if report.state in COUNTED:
            sums[report.meter] = sums.get(report.meter, 0) + report.units
    return sums


async def fail_report(platform: Platform, report: UsageReport, reason: str) -> None:
    """Stripe has not counted it: its units are reported anew later, or billed by us when the period is closed."""
    if await _move(report, [*OPEN, *COUNTED], ReportState.FAILED, reason=reason):
        evidence = {"reason": reason, "meter": report.meter, "period": str(report.period_id)}
        await note_difference(
            platform, report.tenant_id, "METER_REPORT", str(report.id), report.units, Decimal(0), evidence
        )


async def note_difference(
    platform: Platform, tenant_id: int, kind: str, subject: str, ours: int, theirs: Decimal, evidence: dict[str, Any]
) -> None:
    """Keep a difference in units, once. Units are no money: the amounts are zero, the evidence has the numbers."""
    tenant = await Tenant.get(id=tenant_id)
    await insert_new(
        Discrepancy(
            tenant_id=tenant_id,
            kind=kind,
            subject=subject,
            ours_minor=0,
            theirs_minor=0,
            currency=tenant.currency,
            evidence={"ours": str(ours), "theirs": format(theirs, "f"), **evidence},
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        )
    )


async def _move(report: UsageReport, before: Sequence[ReportState], after: ReportState, **more: Any) -> bool:
    """Change a report's state, unless someone else has; answers whether it was changed."""
    found = UsageReport.filter(tenant_id=report.tenant_id, id=report.id, state__in=list(before))
    return bool(await found.update(state=after, **more))


async def _again(report: UsageReport) -> UsageReport:
    return await UsageReport.get(tenant_id=report.tenant_id, id=report.id)
