"""All that happens without being asked: the jobs and who runs them, and the sweep for operations without an answer."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from services import (
    account_counters,
    callbacks,
    card_orders,
    chasing,
    checkouts,
    closing,
    counters,
    credits,
    deliveries,
    drift,
    dunning_cases,
    dunning_ends,
    invoices,
    jobs,
    lanes,
    leaving,
    made_documents,
    margins,
    meters,
    mirroring,
    orders,
    outbox,
    periods,
    provisioning,
    pushing,
    reconciling,
    refunds,
    reversal_looks,
    reversals,
    settling,
    signing,
    stripe_items,
    usage_reports,
    webhooks,
)
from services.platform import Platform

log = logging.getLogger("inkmeter.timetable")

HANDLERS: Final[dict[str, jobs.Handler]] = {
    provisioning.PROVISION: provisioning.finish_provisioning,
    mirroring.MIRROR: mirroring.mirror_subscription,
    mirroring.CANCEL: mirroring.cancel_mirror,
    periods.CLOSE: closing.close_due_period,
    pushing.PUSH: pushing.push_invoice,
    pushing.FOLLOW: invoices.follow_payment,
    dunning_cases.LOOK: chasing.look_at_case,
    dunning_ends.END: dunning_ends.carry_out,
    made_documents.TIDY: made_documents.tidy_document,
    signing.FOLLOW: signing.follow_document,
    webhooks.APPLY: webhooks.apply_webhook,
    credits.EXPIRE: credits.expire_credits,
    refunds.REFUND: refunds.finish_refund,
    checkouts.FOLLOW: checkouts.follow_checkout,
    card_orders.PAY: card_orders.pay_order,
    orders.GRANT: orders.grant_order,
    reversals.SETTLE: reversals.settle_reversal,
    reversal_looks.LOOK: reversal_looks.look_for_reversals,
    meters.BACKFILL: counters.backfill_meter,
    counters.CHECK: counters.check_counters,
    stripe_items.ITEMS: stripe_items.settle_items_of,
    stripe_items.FOLLOW: usage_reports.follow_usage,
    margins.CHECK: margins.check_margins,
    outbox.CLEAN: outbox.clean_outbox,
    deliveries.CATCH_UP: deliveries.catch_up_hourly,
    reconciling.RECONCILE: reconciling.reconcile_daily,
    reconciling.COMPARE: reconciling.compare_invoice,
    account_counters.TAKE: account_counters.take_daily,
    callbacks.KEEP: callbacks.keep_hourly,
    leaving.LEAVE: leaving.leave_signnow,
    drift.CHECK: drift.check_daily,
}


DELIVERIES: Final[Mapping[str, jobs.Handler]] = {webhooks.APPLY: webhooks.apply_webhook}
DELIVERY_LANES: Final = 8
"""Deliveries that one worker applies at once."""
TENANT_LANES: Final = 8
"""Tenants for whom one worker does something else at once."""


async def run_due_work(platform: Platform, handlers: Mapping[str, jobs.Handler] = HANDLERS) -> int:
    """Run everything that is due now, also what that makes due; answers how many jobs and operations were worked on.

    For tests and the command line; a worker calls it again and again.
    """
    done = await settling.settle_open_operations(platform)
    while count := await jobs.run_due_jobs(platform, handlers):
        done += count
    return done


async def work(platform: Platform, *, pause_s: float = 1.0) -> None:
    """A worker: runs due work until it is cancelled, at once when a job is added here, else every `pause_s` seconds.

    Deliveries of webhooks are applied side by side; so is everything else beside them, of each tenant one at a time.
    Any number of workers may run beside each other, on PostgreSQL also on any number of machines.
    """
    others = {topic: handler for topic, handler in HANDLERS.items() if topic not in DELIVERIES}
    wake_deliveries, wake_others = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_spread(platform.work_waits, wake_deliveries, wake_others))
        group.create_task(
            lanes.run_in_lanes(platform, DELIVERIES, wake_deliveries, lanes=DELIVERY_LANES, pause_s=pause_s)
        )
        group.create_task(
            lanes.run_in_lanes(platform, others, wake_others, lanes=TENANT_LANES, pause_s=pause_s, is_by_tenant=True)
        )
        group.create_task(_sweep(platform, pause_s))


async def _spread(heard: asyncio.Event, *told: asyncio.Event) -> None:
    while True:
        await heard.wait()
        heard.clear()
        for event in told:
            event.set()


async def _sweep(platform: Platform, pause_s: float) -> None:
    is_scheduled = False
    while True:
        try:
            if not is_scheduled:
                await schedule_all(platform)
                is_scheduled = True
            await settling.settle_open_operations(platform)
        except Exception:
            # A database that is down comes back; the worker waits for it rather than die silently.
            log.exception("the worker goes on after an error")
        await asyncio.sleep(pause_s)


async def schedule_all(platform: Platform) -> None:
    """Add what is done daily or hourly; once in a database."""
    await counters.schedule_check(platform)
    await margins.schedule_check(platform)
    await reconciling.schedule_reconciling(platform)
    await outbox.schedule_cleaning(platform)
    await deliveries.schedule_catching_up(platform)
    await reversal_looks.schedule_looking(platform)
    await callbacks.schedule_keeping(platform)
    await drift.schedule_check(platform)
    await account_counters.schedule_taking(platform)
