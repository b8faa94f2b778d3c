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
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from inkmeter.errors import Conflict, InkmeterError, UpstreamError
from services import jobs, periods, phases, readings, report_sums, stripe_catalog, stripe_items
from services.platform import Platform
from services.report_sending import AFTER_END, COUNTED, OPEN, REMEMBERED, Stream, counted, finish, move, sum_at_stripe
from storage.database import insert_new, transaction
from storage.jobs import Job
from storage.subscriptions import Period, PeriodState, StripeUsage, Subscription, enter_period
from storage.tenants import Tenant
from storage.usage_reports import ReportState as ReportState
from storage.usage_reports import UsageReport as UsageReport

log = logging.getLogger("inkmeter.usage_reports")

EVERY: Final = timedelta(minutes=15)
"""How often what is due is reported: often, since Stripe takes nothing back once a period's invoice is made."""
PAUSE: Final = timedelta(days=1)
"""How long nothing is reported of a meter after a report of it has failed."""


async def follow_usage(platform: Platform, job: Job) -> None:
    """The job of a METERED period: report what is due again and again until it is closed."""
    period = await Period.get(tenant_id=job.tenant_id, id=job.dedup)
    if period.state is PeriodState.OPEN:
        subscription = await Subscription.get(tenant_id=period.tenant_id, id=period.subscription_id)
        # Also begins the next period, once this one is over.
        try:
            await stripe_items.settle_items(platform, subscription)
        except UpstreamError as error:  # however long it lasts, the job waits for its end
            raise jobs.NotYet(error.message) from error
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


async def _streams(platform: Platform, period: Period) -> list[Stream]:
    tenant = await Tenant.get(id=period.tenant_id)
    subscription = await Subscription.get(tenant_id=period.tenant_id, id=period.subscription_id)
    terms, _ = await phases.in_force(platform, subscription, period.starts_at)
    assert tenant.stripe_customer_id is not None  # noqa: S101 - only provisioned tenants are subscribed
    codes = [price.meter for price, model in terms.prices if (s := model.stripe_price()) and (s.tiers or s.package)]
    meters = [await stripe_catalog.ensure_meter(platform, terms.meters[code]) for code in codes]
    return [Stream(period, meter, tenant.stripe_customer_id) for meter in meters]


async def _report(platform: Platform, stream: Stream) -> None:
    while True:
        reports = await stream.reports()
        if open_ones := [report for report in reports if report.state in OPEN]:
            await finish(platform, stream, open_ones[0])
            if (await _again(open_ones[0])).state in OPEN:
                return
        elif not await _begin(platform, stream, reports):
            return


async def _begin(platform: Platform, stream: Stream, reports: Sequence[UsageReport]) -> bool:
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
            return await move(report, COUNTED, ReportState.CANCELLING, last_tried_at=now)
    return False


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
        try:
            theirs = await sum_at_stripe(platform, period, stream.meter, stream.customer_id)
        except InkmeterError as error:
            raise _unsettled(f"Stripe does not say what was reported: {error.message}") from error
        if not await report_sums.agree(platform, stream, theirs):
            ours = counted(reports)
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


async def _again(report: UsageReport) -> UsageReport:
    return await UsageReport.get(tenant_id=report.tenant_id, id=report.id)
