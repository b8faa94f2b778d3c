"""SignNow's callbacks: subscribed for each identity, mended where SignNow has dropped them, made up for from its log.

Subscriptions belong to a SignNow user. Users report that SignNow ends one whose url refuses thirty times within an
hour, and says nothing of it; so every hour it is looked whether all of them are there.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from inkmeter.errors import InkmeterError, WebhookRejected
from integrations.protocols import SignNow
from services import identities, jobs, provisioning, webhooks
from services.platform import Callbacks, Platform
from storage.jobs import SYSTEM, Job, advance_job
from storage.tenants import Tenant

log = logging.getLogger("inkmeter.callbacks")

KEEP: Final = provisioning.KEEP_CALLBACKS
KEEP_EVERY: Final = provisioning.KEEP_CALLBACKS_EVERY
LOOK_BACK: Final = timedelta(days=7)
"""How far the first look goes. How long SignNow keeps its log is not documented."""
OVERLAP: Final = timedelta(hours=9)
"""Looked at again by the next look. Users report that SignNow repeats a callback for some twenty hours, and whether its
log tells of the last attempt or the first is not documented; what is known already adds nothing."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Subscriptions that were missing or wrong, callbacks in SignNow's log, and those of them that were new here."""

    mended: int = 0
    listed: int = 0
    new: int = 0

    def __add__(self, other: "Kept") -> "Kept":
        return Kept(self.mended + other.mended, self.listed + other.listed, self.new + other.new)


async def catch_up(platform: Platform, since: datetime | None = None) -> Kept:
    """Mend the subscriptions of every identity and store what its log has since then, a week back if nothing is said.

    An identity that cannot be asked now is logged and left to the next look. Without a public address nothing is
    subscribed, and so nothing is looked for.
    """
    wanted = platform.callbacks
    if wanted is None:
        return Kept()
    since = since or platform.clock.now() - LOOK_BACK
    total = Kept()
    every: list[tuple[str, SignNow]] = [("the shared account", platform.signnow)]
    every += [
        (f"tenant {tenant.public_id}", identities.signnow_for(platform, tenant))
        for tenant in await identities.connected_tenants()
    ]
    for name, signnow in every:
        try:
            total += await _keep(platform, wanted, signnow, since)
        except InkmeterError as error:
            log.warning("the callbacks of %s were not looked at: %s", name, error)
    return total


async def _keep(platform: Platform, wanted: Callbacks, signnow: SignNow, since: datetime) -> Kept:
    """One identity. Each callback goes through the webhooks' door, under the key that it comes with by itself."""
    listed = new = 0
    mended = await signnow.ensure_callbacks(wanted.url, wanted.secret)
    async for delivery in signnow.deliveries(since=since):
        if delivery.callback_url.partition("?")[0] != wanted.url:
            continue
        try:
            receipt = await webhooks.store_signnow(platform, delivery.callback)
        except WebhookRejected as refusal:
            log.warning("a line of SignNow's log was left out: %s", refusal)
            continue
        listed, new = listed + 1, new + receipt.is_new
    return Kept(mended, listed, new)


async def schedule_keeping(platform: Platform) -> None:
    """Add the hourly looks, at the shared account and at each that a tenant has for itself; once in a database."""
    if platform.callbacks is not None:
        for tenant_id in (SYSTEM, *(tenant.id for tenant in await identities.connected_tenants())):
            await jobs.add_job(platform, tenant_id=tenant_id, topic=KEEP, dedup="hourly", run_in=KEEP_EVERY)


async def keep_hourly(platform: Platform, job: Job) -> None:
    """The job of one identity. It looks back to its last look, so after an outage over the whole of it."""
    began = platform.clock.now()
    if platform.callbacks is not None and await _is_there(job):
        signnow = platform.signnow if job.tenant_id == SYSTEM else await identities.signnow_of(platform, job.tenant_id)
        done_until = job.payload.get("done_until")
        since = datetime.fromisoformat(done_until) - OVERLAP if done_until else began - LOOK_BACK
        await _keep(platform, platform.callbacks, signnow, since)
        await advance_job(job, {"done_until": began.isoformat()}, platform.clock.now())
    raise jobs.NotYet("the next look is in an hour", KEEP_EVERY)


async def _is_there(job: Job) -> bool:
    """Whether the identity can be asked: the look at a tenant whose user has withdrawn consent waits for them."""
    return job.tenant_id == SYSTEM or await identities.is_connected(await Tenant.get(id=job.tenant_id))
