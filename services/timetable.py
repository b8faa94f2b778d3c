"""All that happens without being asked: the jobs and who runs them, and the sweep for operations without an answer."""

import asyncio
import contextlib
import logging
from typing import Final

from services import (
    card_orders,
    checkouts,
    closing,
    counters,
    credits,
    invoices,
    jobs,
    margins,
    meters,
    mirroring,
    orders,
    periods,
    pushing,
    refunds,
    reversals,
    settling,
    signing,
    tenants,
    webhooks,
)
from services.platform import Platform

log = logging.getLogger("inkmeter.timetable")

HANDLERS: Final[dict[str, jobs.Handler]] = {
    tenants.PROVISION: tenants.finish_provisioning,
    mirroring.MIRROR: mirroring.mirror_subscription,
    mirroring.CANCEL: mirroring.cancel_mirror,
    periods.CLOSE: closing.close_due_period,
    pushing.PUSH: pushing.push_invoice,
    pushing.FOLLOW: invoices.follow_payment,
    signing.FOLLOW: signing.follow_document,
    webhooks.APPLY: webhooks.apply_webhook,
    credits.EXPIRE: credits.expire_credits,
    refunds.REFUND: refunds.finish_refund,
    checkouts.FOLLOW: checkouts.follow_checkout,
    card_orders.PAY: card_orders.pay_order,
    orders.GRANT: orders.grant_order,
    reversals.SETTLE: reversals.settle_reversal,
    meters.BACKFILL: counters.backfill_meter,
    counters.CHECK: counters.check_counters,
    margins.CHECK: margins.check_margins,
}


async def run_due_work(platform: Platform) -> int:
    """Run everything that is due now, also what that makes due; answers how many jobs and operations were worked on.

    For tests and the command line; a worker calls it again and again.
    """
    done = await settling.settle_open_operations(platform)
    while count := await jobs.run_due_jobs(platform, HANDLERS):
        done += count
    return done


async def work(platform: Platform, *, pause_s: float = 1.0) -> None:
    """A worker: runs due work until it is cancelled, at once when a job is added here, else every `pause_s` seconds.

    Any number of workers may run beside each other, on PostgreSQL also on any number of machines.
    """
    is_scheduled = False
    while True:
        platform.work_waits.clear()
        try:
            if not is_scheduled:
                await counters.schedule_check(platform)
                await margins.schedule_check(platform)
                is_scheduled = True
            await run_due_work(platform)
        except Exception:
            # A database that is down comes back; the worker waits for it rather than die silently.
            log.exception("the worker goes on after an error")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await platform.work_waits.wait()
