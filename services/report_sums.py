"""Stripe's sums of a METERED period against what was reported: where they differ the period is held, and kept as a
discrepancy, until they agree or somebody explains it. Then Stripe bills what it has counted, and the rest is ours.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from inkmeter.periods import BillingPeriod
from services import discrepancies, report_sending
from services.platform import Platform
from services.report_sending import AFTER_END, COUNTED, SUMS_KNOW, ReportState, Stream, UsageReport
from storage.database import insert_new, transaction
from storage.discrepancies import Discrepancy, DiscrepancyState
from storage.subscriptions import Period
from storage.tenants import Tenant

METER_PERIOD: Final = "METER_PERIOD"


async def agree(platform: Platform, stream: Stream, theirs: Decimal) -> bool:
    """Whether the period may be closed with what counts as reported of this meter."""
    period, reports = stream.period, await stream.reports()
    ours = report_sending.counted(reports)
    subject = f"{period.id} {stream.meter.code}"
    if ours == theirs:
        # What was explained stays so, also where the close is tried again: its days still differ.
        if not await _is_explained(period, subject):
            await discrepancies.resolve(platform, period.tenant_id, [METER_PERIOD], subject)
        return True
    now = platform.clock.now()
    if now < period.ends_at + AFTER_END + SUMS_KNOW:
        return False  # it may still be counting
    tenant = await Tenant.get(id=period.tenant_id)
    days, said = f"{period.starts_at:%Y-%m-%d} to {period.ends_at:%Y-%m-%d}", format(theirs.normalize(), "f")
    found = Discrepancy(
        tenant_id=period.tenant_id,
        kind=METER_PERIOD,
        subject=subject,
        ours_minor=0,
        theirs_minor=0,
        currency=tenant.currency,
        evidence={"meter": stream.meter.code, "ours": str(ours), "theirs": said},
        explanation=f"{ours} {stream.meter.code} were reported for {days}, Stripe's sums say {said}; "
        "the period is not closed.",
        state=DiscrepancyState.OPEN,
        created_at=now,
    )
    await discrepancies.open_discrepancy(platform, found)
    if theirs != int(theirs) or not await _is_explained(period, subject):
        return False
    row = await Discrepancy.get(tenant_id=period.tenant_id, kind=METER_PERIOD, subject=subject)
    await _take_over(stream, reports, int(theirs), f"as Stripe counts: {row.note}"[:500], now)
    return True


async def _is_explained(period: Period, subject: str) -> bool:
    rows = Discrepancy.filter(tenant_id=period.tenant_id, kind=METER_PERIOD, subject=subject)
    return await rows.filter(state=DiscrepancyState.EXPLAINED).exists()


async def explained(tenant_id: int, code: str) -> list[BillingPeriod]:
    """The periods whose sums of a meter somebody has explained: with them their days are."""
    rows = await Discrepancy.filter(tenant_id=tenant_id, kind=METER_PERIOD, state=DiscrepancyState.EXPLAINED)
    subjects = [row.subject.split(" ") for row in rows]
    ids = [UUID(period_id) for period_id, meter in subjects if meter == code]
    return [period.span for period in await Period.filter(tenant_id=tenant_id, id__in=ids)] if ids else []


async def _take_over(stream: Stream, reports: Sequence[UsageReport], theirs: int, reason: str, now: datetime) -> None:
    """What Stripe has counted counts as reported: it is compared with its lines, and the difference to the usage is
    an adjustment.
    """
    period, units = stream.period, theirs - report_sending.counted(reports)
    async with transaction():
        if units < 0:  # nobody knows which of them are missing
            lost = UsageReport.filter(tenant_id=period.tenant_id, id__in=[report.id for report in reports])
            await lost.filter(state__in=COUNTED).update(state=ReportState.FAILED, reason=reason)
            units = theirs
        if units:
            report = UsageReport(
                tenant_id=period.tenant_id,
                period_id=period.id,
                meter=stream.meter.code,
                number=len(reports) + 1,
                units=units,
                at=period.starts_at,  # of a day whose sums nobody compares any more
                state=ReportState.CONFIRMED,
                reason=reason,
                created_at=now,
            )
            await insert_new(report, ["tenant_id", "period_id", "meter", "number"])
