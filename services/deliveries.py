"""Deliveries of webhooks as an operator sees them: listed with what went wrong, replayed, and caught up on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from inkmeter.errors import NotFound
from services import jobs, webhooks
from services.platform import Platform
from storage.database import transaction
from storage.job_list import restart_job
from storage.jobs import SYSTEM, Job, advance_job
from storage.webhooks import Delivery as Delivery
from storage.webhooks import WebhookEvent as WebhookEvent
from storage.webhooks import WebhookSource as WebhookSource
from storage.webhooks import WebhookState as WebhookState
from storage.webhooks import find_delivery, list_deliveries

CATCH_UP: Final = "webhooks.catch_up"
CATCH_UP_EVERY: Final = timedelta(hours=1)
KEPT_BY_STRIPE: Final = timedelta(days=30)
"""Stripe's docs: events can be listed for 30 days."""
OVERLAP: Final = timedelta(hours=1)
"""Looked at again by the next hourly look: events may be listed a little after they happened."""


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Events that Stripe could not deliver: how many it listed, and how many of them were new here."""

    listed: int
    new: int


async def list_webhooks(
    state: WebhookState | None, source: WebhookSource | None, after: UUID | None, limit: int
) -> Sequence[Delivery]:
    """Deliveries in the order in which they came, after the given one."""
    return await list_deliveries(state, source, after, limit)


async def replay_webhook(platform: Platform, event_id: UUID) -> Delivery:
    """Apply a delivery again, with a fresh budget of attempts, whatever became of it. Raises NotFound.

    That is safe at any time: the object is fetched anew, and what is done already stays done.
    """
    async with transaction():
        await WebhookEvent.filter(id=event_id).update(state=WebhookState.RECEIVED, note=None, applied_at=None)
        await restart_job(SYSTEM, webhooks.APPLY, str(event_id), platform.clock.now())
    delivery = await find_delivery(event_id)
    if delivery is None:
        raise NotFound("There is no such WebhookEvent", path=("eventId",))
    await jobs.wake(platform, SYSTEM, webhooks.APPLY, str(event_id))
    return delivery


async def replay_failed(platform: Platform) -> int:
    """Apply every delivery again that was given up; answers how many."""
    count = 0
    while failed := await list_deliveries(WebhookState.FAILED, None, None, 100):
        for delivery in failed:
            await replay_webhook(platform, delivery.event.id)
        count += len(failed)
    return count


async def catch_up(platform: Platform, since: datetime | None = None) -> CaughtUp:
    """Fetch the events that no endpoint has confirmed and store each through the webhooks' own door, once.

    Without `since` as far back as Stripe lists them.
    """
    since = since or platform.clock.now() - KEPT_BY_STRIPE
    listed, new, after = 0, 0, None
    while page := await platform.stripe.missed_events(since, after):
        receipts = [await webhooks.store_stripe(platform, m.event, m.payload.encode()) for m in page]
        listed, new, after = listed + len(page), new + sum(r.is_new for r in receipts), page[-1].event.id
    return CaughtUp(listed, new)


async def schedule_catching_up(platform: Platform) -> None:
    """Add the hourly look; once in a database."""
    await jobs.add_job(platform, tenant_id=SYSTEM, topic=CATCH_UP, dedup="hourly", run_in=CATCH_UP_EVERY)


async def catch_up_hourly(platform: Platform, job: Job) -> None:
    """The job. It looks back to its last look, so after an outage over the whole of it; the list is paged newest
    first, and how far it has come is kept.
    """
    began = platform.clock.now()
    earliest = began - KEPT_BY_STRIPE
    done_until = job.payload.get("done_until")
    since = max(earliest, datetime.fromisoformat(done_until) - OVERLAP) if done_until else earliest
    after = job.payload.get("after")
    began = datetime.fromisoformat(job.payload["began"]) if after else began
    while page := await platform.stripe.missed_events(since, after):
        for missed in page:
            await webhooks.store_stripe(platform, missed.event, missed.payload.encode())
        after = page[-1].event.id
        progress = {"done_until": done_until, "began": began.isoformat(), "after": after}
        await advance_job(job, progress, platform.clock.now())
    await advance_job(job, {"done_until": began.isoformat()}, platform.clock.now())
    raise jobs.NotYet("caught up; the next look is in an hour", CATCH_UP_EVERY)
