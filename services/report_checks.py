"""Checking reports against what Stripe says of them later: its errors, and its sums of each day."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from inkmeter.errors import InvalidInput, Problem
from services import report_sending
from services.platform import Platform
from services.report_sending import COUNTED, OPEN, ReportState, UsageReport
from storage.database import transaction
from storage.tenants import Tenant
from storage.usage_reports import StripeMeter

DAY: Final = timedelta(days=1)
AFTER_DAY: Final = timedelta(hours=1)
"""How long after a day's end Stripe's sums of it are asked for."""


async def take_error_report(platform: Platform, event_id: str) -> Callable[[], Awaitable[str | None]]:
    """A thin event about a meter (`v1.billing.meter.error_report_triggered`, `v1.billing.meter.no_meter_found`): fetch
    it, and answer the effect, which runs in the caller's transaction and answers why it does not concern us.

    Stripe names samples only. What it does not name is found when sums are compared.
    """
    failed = await platform.stripe.failed_reports(event_id)

    async def effect() -> str | None:
        is_ours = False
        for identifier, code in failed.codes.items():
            report = await _find(identifier)
            if report is not None:
                is_ours = True
                await report_sending.fail_report(platform, report, code)
        return None if is_ours else "no report of ours"

    return effect


async def _find(identifier: str) -> UsageReport | None:
    try:
        report_id = UUID(identifier)
    except ValueError:  # not an id of ours
        return None
    return await UsageReport.get_or_none(id=report_id)


async def compare_summaries(platform: Platform, day: date) -> int:
    """Compare what was reported for a day in UTC with Stripe's sums, for each customer and meter; answers how many
    differ. What agrees is CONFIRMED; what differs becomes a discrepancy. Reports whose outcome is unknown wait.

    Raises InvalidInput for a day that ended less than an hour ago.
    """
    start = datetime.combine(day, time(), UTC)
    if platform.clock.now() < start + DAY + AFTER_DAY:
        raise InvalidInput([Problem(("day",), "ended less than an hour ago: Stripe is still counting")])
    streams: dict[tuple[int, str], list[UsageReport]] = {}
    for report in await UsageReport.filter(at__gte=start, at__lt=start + DAY).order_by("tenant_id", "meter", "id"):
        streams.setdefault((report.tenant_id, report.meter), []).append(report)
    differing = 0
    for (tenant_id, code), reports in streams.items():
        if not any(report.state in OPEN for report in reports):
            differing += not await _agrees(platform, tenant_id, code, start, reports)
    return differing


async def _agrees(platform: Platform, tenant_id: int, code: str, start: datetime, reports: list[UsageReport]) -> bool:
    tenant, meter = await Tenant.get(id=tenant_id), await StripeMeter.get(code=code)
    assert tenant.stripe_customer_id is not None  # noqa: S101 - something was reported of it
    found = await platform.stripe.reported_usage(
        meter_id=meter.stripe_meter_id,
        customer_id=tenant.stripe_customer_id,
        start=start,
        end=start + DAY,
        by_day=True,
    )
    ours, theirs = report_sending.counted(reports), found.get(start, Decimal(0))
    if ours != theirs:
        evidence = {"meter": code, "day": start.date().isoformat(), "reports": [str(r.id) for r in reports]}
        subject = f"{code}:{start.date().isoformat()}"
        text = f"{ours} {code} were reported for {start.date().isoformat()}, Stripe's sums of the day say {theirs:f}."
        await report_sending.note_difference(platform, tenant_id, "METER_DAY", subject, ours, theirs, text, evidence)
        return False
    async with transaction():
        ids = [report.id for report in reports if report.state in COUNTED]
        await UsageReport.filter(tenant_id=tenant_id, id__in=ids, state=ReportState.SENT).update(
            state=ReportState.CONFIRMED
        )
    return True
