"""Checking reports against what Stripe says of them later: its errors, and its sums of each day."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from inkmeter.money import Money
from services import report_sending, report_sums
from services.checking import Check, Finding
from services.comparing import Difference, DifferenceKind
from services.discrepancies import Discrepancy, DiscrepancyState, Known
from services.platform import Platform
from services.report_sending import OPEN, SUMS_KNOW, ReportState, UsageReport
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


async def check_meters(platform: Platform, tenant: Tenant, since: datetime) -> Sequence[Check]:
    """That Stripe's sums of each day in UTC that is over, from the day of `since` on, are what was reported for it,
    meter by meter. What agrees is CONFIRMED. Reports whose outcome is unknown wait.
    """
    now = platform.clock.now()
    first, end = _day_of(since), _day_of(now - AFTER_DAY)
    days = await _days_that_differed(tenant, first, end)
    for report in await UsageReport.filter(tenant_id=tenant.id, at__gte=first, at__lt=end).order_by("id"):
        days.setdefault(report.meter, {}).setdefault(_day_of(report.at), []).append(report)
    checks: list[Check] = []
    for code, reports in sorted(days.items()):
        sums = await _sums_of(platform, tenant, code, min(reports), end)
        told = await report_sums.explained(tenant.id, code)
        for day in sorted({*reports, *sums}):
            of_day = reports.get(day, [])
            if any(_is_open(report, now) for report in of_day):
                continue
            # Explained with its period: what was found of the day before is settled.
            is_told = any(day < span.end and span.start < day + DAY for span in told)
            checks.append(_check(tenant, code, day, of_day, sums.get(day, Decimal(0)), is_told=is_told))
    return checks


async def _days_that_differed(
    tenant: Tenant, first: datetime, end: datetime
) -> dict[str, dict[datetime, list[UsageReport]]]:
    """Those that are not resolved, by meter: they are looked at although nothing may be there any more."""
    days: dict[str, dict[datetime, list[UsageReport]]] = {}
    rows = Discrepancy.filter(tenant_id=tenant.id, kind=DifferenceKind.METER_DAY.value)
    for row in await rows.exclude(state=DiscrepancyState.RESOLVED):
        code, _, day = row.subject.partition(":")
        at = datetime.combine(date.fromisoformat(day), time(), UTC)
        if first <= at < end:
            days.setdefault(code, {})[at] = []
    return days


def _day_of(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(UTC).date(), time(), UTC)


def _is_open(report: UsageReport, now: datetime) -> bool:
    """Whether its outcome is not known, or Stripe may not have counted it yet."""
    return report.state in OPEN or (report.last_tried_at is not None and now < report.last_tried_at + SUMS_KNOW)


async def _sums_of(
    platform: Platform, tenant: Tenant, code: str, start: datetime, end: datetime
) -> Mapping[datetime, Decimal]:
    meter = await StripeMeter.get(code=code)
    assert tenant.stripe_customer_id is not None  # noqa: S101 - something was reported of it
    sums = await platform.stripe.reported_usage(
        meter_id=meter.stripe_meter_id, customer_id=tenant.stripe_customer_id, start=start, end=end, by_day=True
    )
    return {day: units for day, units in sums.items() if units}


def _check(
    tenant: Tenant, code: str, day: datetime, reports: Sequence[UsageReport], theirs: Decimal, *, is_told: bool
) -> Check:
    subject, ours = f"{code}:{day.date().isoformat()}", report_sending.counted(reports)
    said = format(theirs.normalize(), "f")

    async def run(_: Known) -> Finding:
        if is_told or ours == theirs:
            return Finding([], {})
        nothing = Money.zero(tenant.currency)
        text = f"{ours} {code} were reported for {day.date().isoformat()}, Stripe's sums of the day say {said}."
        evidence = {
            "meter": code,
            "day": day.date().isoformat(),
            "ours": str(ours),
            "theirs": said,
            "reports": [str(report.id) for report in reports],
        }
        return Finding([Difference(DifferenceKind.METER_DAY, subject, nothing, nothing, text, evidence)], {})

    async def confirm() -> None:
        if ours == theirs:
            ids = [report.id for report in reports if report.state is ReportState.SENT]
            sent = UsageReport.filter(tenant_id=tenant.id, id__in=ids, state=ReportState.SENT)
            await sent.update(state=ReportState.CONFIRMED)

    return Check(subject, frozenset({DifferenceKind.METER_DAY.value}), run, confirm)
