"""Sending a report to Stripe's meters, taking it back, and finding out what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from inkmeter.errors import PaymentRefused
from services.platform import Platform
from storage.database import insert_new
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.subscriptions import Period
from storage.tenants import Tenant
from storage.usage_reports import ReportState as ReportState
from storage.usage_reports import StripeMeter
from storage.usage_reports import UsageReport as UsageReport

AFTER_END: Final = timedelta(minutes=30)
"""How long after a period's end it is still reported. Stripe's docs: its invoice waits an hour unless set otherwise."""
REMEMBERED: Final = timedelta(hours=23)
"""How long an identifier is relied on. Stripe's docs: it is unique, and a cancellation possible, for 24 hours."""
SUMS_KNOW: Final = timedelta(hours=1)
"""How long after the last try Stripe's sums are believed."""
OPEN: Final = (ReportState.PENDING, ReportState.SENDING, ReportState.CANCELLING)
METER_REPORT: Final = "METER_REPORT"
"""The kind of discrepancy of a report that is not counted, or that nobody can tell of."""
COUNTED: Final = (ReportState.SENT, ReportState.CONFIRMED)


@dataclass(frozen=True, slots=True)
class Stream:
    """A meter of a period, and where it is reported to."""

    period: Period
    meter: StripeMeter
    customer_id: str

    async def reports(self) -> list[UsageReport]:
        period = self.period
        found = UsageReport.filter(tenant_id=period.tenant_id, period_id=period.id, meter=self.meter.code)
        return await found.order_by("number")


def counted(reports: Sequence[UsageReport]) -> int:
    """The units that Stripe has taken."""
    return sum(report.units for report in reports if report.state in COUNTED)


async def finish(platform: Platform, stream: Stream, report: UsageReport) -> None:
    """Go on with a report whose outcome is not known. Raises what the gateway raises; it then stays open."""
    now = platform.clock.now()
    is_too_late = now >= stream.period.ends_at + AFTER_END
    if report.first_tried_at is None:
        if is_too_late:
            await move(report, [ReportState.PENDING], ReportState.FAILED, reason="never sent: its time was over")
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


async def _send(platform: Platform, stream: Stream, report: UsageReport, now: datetime) -> None:
    unsent = (ReportState.PENDING, ReportState.SENDING)
    tried = {"first_tried_at": report.first_tried_at or now, "last_tried_at": now}
    if not await move(report, unsent, ReportState.SENDING, **tried):
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
        await move(report, unsent, ReportState.SENDING, reason=refusal.message)
        return
    await move(report, unsent, ReportState.SENT, reason=None)


async def _cancel(platform: Platform, stream: Stream, report: UsageReport, now: datetime) -> None:
    await move(report, [ReportState.CANCELLING], ReportState.CANCELLING, last_tried_at=now)
    try:
        await platform.stripe.cancel_report(identifier=str(report.id), event_name=stream.meter.event_name)
    except PaymentRefused:
        await _look_for(platform, stream, report)
        return
    await move(report, [ReportState.CANCELLING], ReportState.CANCELLED)


async def _look_for(platform: Platform, stream: Stream, report: UsageReport) -> None:
    """Ask Stripe's sums whether they hold a report; it is the only one of its meter that is in doubt."""
    now = platform.clock.now()
    assert report.last_tried_at is not None  # noqa: S101 - it was tried
    if now < report.last_tried_at + SUMS_KNOW:
        return
    known = counted(await stream.reports())
    sums = await sum_at_stripe(platform, stream.period, stream.meter, stream.customer_id)
    if sums == known + report.units:
        why = "Stripe did not take it back" if report.state is ReportState.CANCELLING else None
        await move(report, OPEN, ReportState.SENT, reason=why)
    elif sums == known and report.state is ReportState.CANCELLING:
        await move(report, OPEN, ReportState.CANCELLED)
    elif sums == known and report.reason is not None:
        await fail_report(platform, report, report.reason)
    elif sums == known:
        await move(report, OPEN, ReportState.FAILED, reason="Stripe never had it")
    else:
        text = f"A report of {report.units} {report.meter} has no answer, and Stripe's sums fit neither way."
        tenant_id, subject, evidence = report.tenant_id, str(report.id), {"units in doubt": report.units}
        await note_difference(platform, tenant_id, METER_REPORT, subject, known, sums, text, evidence)
        row = await Discrepancy.get(tenant_id=tenant_id, kind=METER_REPORT, subject=subject)
        if row.state is DiscrepancyState.EXPLAINED:  # what the sums say is seen when the period is closed
            await move(report, OPEN, ReportState.FAILED, reason=f"explained: {row.note}"[:500])


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


async def fail_report(platform: Platform, report: UsageReport, reason: str) -> None:
    """Stripe has not counted it: its units are reported anew later, or billed by us when the period is closed."""
    if await move(report, [*OPEN, *COUNTED], ReportState.FAILED, reason=reason):
        evidence = {"reason": reason, "meter": report.meter, "period": str(report.period_id)}
        text = f"Stripe has not counted a report of {report.units} {report.meter}: {reason}."
        await note_difference(
            platform, report.tenant_id, METER_REPORT, str(report.id), report.units, Decimal(0), text, evidence
        )


async def note_difference(
    platform: Platform,
    tenant_id: int,
    kind: str,
    subject: str,
    ours: int,
    theirs: Decimal,
    explanation: str,
    evidence: dict[str, Any],
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
            explanation=explanation,
            state=DiscrepancyState.OPEN,
            created_at=platform.clock.now(),
        )
    )


async def move(report: UsageReport, before: Sequence[ReportState], after: ReportState, **more: Any) -> bool:
    """Change a report's state, unless someone else has; answers whether it was changed."""
    found = UsageReport.filter(tenant_id=report.tenant_id, id=report.id, state__in=list(before))
    return bool(await found.update(state=after, **more))
