"""Reconciling with Stripe: everything that was closed and collected is compared, what differs is kept, and repaired
where that is safe and somebody asks for it.

The job compares every tenant once a day and repairs nothing. Each check is by itself: what it found is stored before
the next one, so that whoever is killed loses nothing.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from inkmeter.errors import InkmeterError
from services import discrepancies, jobs, report_checks
from services.checking import Check, Finding, check_customer, check_invoices, check_of
from services.comparing import Difference, DifferenceKind
from services.discrepancies import Discrepancy, DiscrepancyState
from services.platform import Platform
from services.repairs import RepairKind
from storage.invoices import Invoice
from storage.jobs import SYSTEM, Job, advance_job
from storage.tenants import Tenant

log = logging.getLogger("inkmeter.reconciling")

RECONCILE: Final = "stripe.reconcile"
COMPARE: Final = "invoice.compare"
EVERY: Final = timedelta(days=1)
LOOK_BACK: Final = timedelta(days=40)
"""How far the daily job looks back; whatever is unpaid or open is looked at whatever its age."""
CHECKS: Final[Sequence[Callable[[Platform, Tenant, datetime], Awaitable[Sequence[Check]]]]] = (
    check_customer,
    check_invoices,
    report_checks.check_meters,
)
"""Everything that is compared, tenant by tenant."""
TENANTS_AT_ONCE: Final = 20
"""How many tenants the job compares before it lets other jobs go first."""


@dataclass(frozen=True, slots=True)
class Found:
    """One difference, the repair that is safe, and what came of it: done, or the `problem` that stood in its way.

    `discrepancy` is None in a dry run.
    """

    tenant: Tenant
    difference: Difference
    repair: RepairKind | None
    discrepancy: Discrepancy | None = None
    is_repaired: bool = False
    problem: str | None = None

    @property
    def is_open(self) -> bool:
        return not self.is_repaired and (self.discrepancy is None or self.discrepancy.state is DiscrepancyState.OPEN)


@dataclass(slots=True)
class Report:
    """What was compared, and everything that differs: explained, repaired or open."""

    tenants: int = 0
    checks: int = 0
    found: list[Found] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Tenants (by their public id) that could not be compared, and why."""

    @property
    def is_clean(self) -> bool:
        return not self.failed and not any(found.is_open for found in self.found)


@dataclass(frozen=True, slots=True)
class Mode:
    """Whether to repair, and whether nothing shall be stored or changed anywhere (`dry_run`)."""

    repair: bool = False
    dry_run: bool = False


async def reconcile_tenants(platform: Platform, tenants: Sequence[Tenant], since: datetime, mode: Mode) -> Report:
    """Compare some tenants; the trouble of one does not stop the others."""
    report = Report()
    for tenant in tenants:
        try:
            await reconcile_tenant(platform, tenant, since, mode, report)
        except InkmeterError as error:
            report.failed[str(tenant.public_id)] = error.message
    return report


async def reconcile_all(platform: Platform, since: datetime, mode: Mode) -> Report:
    """Compare every tenant."""
    report, after = Report(), 0
    while tenants := await Tenant.filter(id__gt=after).order_by("id").limit(TENANTS_AT_ONCE):
        part = await reconcile_tenants(platform, tenants, since, mode)
        report.tenants, report.checks = report.tenants + part.tenants, report.checks + part.checks
        report.found += part.found
        report.failed |= part.failed
        after = tenants[-1].id
    return report


async def reconcile_tenant(platform: Platform, tenant: Tenant, since: datetime, mode: Mode, report: Report) -> None:
    """Compare everything of one tenant that was made since then. Raises what Stripe raises."""
    report.tenants += 1
    for checks_of in CHECKS:
        for check in await checks_of(platform, tenant, since):
            report.checks += 1
            report.found += await _carry_out(platform, tenant, check, mode)


async def _carry_out(platform: Platform, tenant: Tenant, check: Check, mode: Mode) -> list[Found]:
    # Read before Stripe is asked: what somebody settles meanwhile is not opened again from an older look.
    known = await discrepancies.known_of(tenant.id, check.scope)
    finding = await check.run(known)
    if mode.dry_run:
        return [Found(tenant, found, finding.repair_of(found)) for found in finding.differences]
    if check.note is not None:
        await check.note()
    rows = await discrepancies.note_differences(platform, tenant, known, check.scope, check.kinds, finding.differences)
    found = [Found(tenant, difference, finding.repair_of(difference), row) for difference, row in rows]
    if len(rows) < len(finding.differences):
        found += await _left_to_others(tenant, check, finding, rows)
    if not mode.repair or not any(entry.is_open and entry.repair for entry in found):
        return found
    outcome = [await _repair(entry, finding) for entry in found]
    if any(entry.is_repaired for entry in outcome):
        # Stripe is asked again: what is repaired is resolved by the same comparison that found it.
        known = await discrepancies.known_of(tenant.id, check.scope)
        again = await check.run(known)
        left = await discrepancies.note_differences(
            platform, tenant, known, check.scope, check.kinds, again.differences
        )
        still = {row.id for _, row in left if row.state is DiscrepancyState.OPEN}
        outcome = [
            _as_it_stands(entry, entry.discrepancy is not None and entry.discrepancy.id in still) for entry in outcome
        ]
    return outcome


async def _left_to_others(
    tenant: Tenant, check: Check, finding: Finding, noted: Sequence[tuple[Difference, Discrepancy]]
) -> list[Found]:
    """Differences whose row somebody else has changed since: told as they stand now, and repaired by whoever did."""
    now, ours = await discrepancies.known_of(tenant.id, check.scope), [difference for difference, _ in noted]
    others = [difference for difference in finding.differences if difference not in ours]
    return [Found(tenant, other, None, now.get((other.kind.value, other.subject))) for other in others]


async def _repair(entry: Found, finding: Finding) -> Found:
    if entry.repair is None or entry.discrepancy is None or not entry.is_open:
        return entry
    if entry.discrepancy.repaired_at is not None:
        return entry
    try:
        is_repaired = await finding.mend(entry.discrepancy, entry.repair)
    except InkmeterError as error:
        return Found(entry.tenant, entry.difference, entry.repair, entry.discrepancy, problem=error.message)
    return Found(entry.tenant, entry.difference, entry.repair, entry.discrepancy, is_repaired)


def _as_it_stands(entry: Found, is_still_open: bool) -> Found:
    if not (entry.is_repaired and is_still_open):
        return entry
    problem = "the repair was made, and the books still differ"
    return Found(entry.tenant, entry.difference, entry.repair, entry.discrepancy, problem=problem)


async def compare_invoice(platform: Platform, job: Job) -> None:
    """The job: what has somebody done to this invoice at Stripe? Nothing else is told: what is under way, such as a
    payment whose webhook is still to come, would be taken for a difference.
    """
    invoice = await Invoice.get(tenant_id=job.tenant_id, id=job.payload["invoice"])
    tenant = await Tenant.get(id=job.tenant_id)
    check, kinds = check_of(platform, invoice), {DifferenceKind.STRIPE_ONLY}
    known = await discrepancies.known_of(tenant.id, check.scope)
    found = [difference for difference in (await check.run(known)).differences if difference.kind in kinds]
    await discrepancies.note_differences(platform, tenant, known, check.scope, kinds, found)
    async with jobs.completing(job):
        pass


async def schedule_reconciling(platform: Platform) -> None:
    """Add the daily job; once in a database."""
    await jobs.add_job(platform, tenant_id=SYSTEM, topic=RECONCILE, dedup="daily", run_in=EVERY)


async def reconcile_daily(platform: Platform, job: Job) -> None:
    """The job: compare every tenant, some at a time, from where it stopped."""
    after = int(job.payload.get("after", 0))
    since = platform.clock.now() - LOOK_BACK
    tenants = await Tenant.filter(id__gt=after).order_by("id").limit(TENANTS_AT_ONCE)
    for tenant in tenants:
        report = await reconcile_tenants(platform, [tenant], since, Mode())
        for tenant_id, reason in report.failed.items():
            log.warning("tenant %s could not be compared with Stripe: %s", tenant_id, reason)
        await advance_job(job, {"after": tenant.id}, platform.clock.now())
    if len(tenants) == TENANTS_AT_ONCE:
        raise jobs.NotYet("there are more tenants", timedelta(seconds=1))
    await advance_job(job, {}, platform.clock.now())
    raise jobs.NotYet("compared; the next look is tomorrow", EVERY)
