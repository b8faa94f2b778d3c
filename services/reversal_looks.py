"""Looking for money that went back and that no webhook has told of: once a day the account's refunds and disputes are
listed, and what nobody has looked at as it stands now is taken over as by its webhook.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from integrations.protocols import StripeReversal
from services import jobs, reversals
from services.platform import Platform
from services.reversals import ReversalKind
from storage.jobs import SYSTEM, Job, advance_job
from storage.transitions import passed

LOOK: Final = "reversals.look"
LOOK_EVERY: Final = timedelta(days=1)
BACK: Final = {ReversalKind.REFUND: timedelta(days=40), ReversalKind.DISPUTE: timedelta(days=180)}
"""How old it may be: a refund may fail, and a dispute is decided, long after it was made. Our own choice."""


async def schedule_looking(platform: Platform) -> None:
    """Add the daily look; once in a database."""
    await jobs.add_job(platform, tenant_id=SYSTEM, topic=LOOK, dedup="daily", run_in=LOOK_EVERY)


async def look_for_reversals(platform: Platform, job: Job) -> None:
    """The job. What it has taken over stays noted, so that whoever is killed goes on where it stopped."""
    now, count = platform.clock.now(), 0
    for kind, back in BACK.items():
        is_refund = kind is ReversalKind.REFUND
        asked = platform.stripe.refunds_since if is_refund else platform.stripe.disputes_since
        async for page in asked(now - back):
            for theirs in await _unseen(page):
                applied = await reversals.look_at(platform, kind, theirs)
                for heard in applied.events:
                    await platform.plugins.publish(heard)
                count += 1
                await advance_job(job, {}, platform.clock.now())
            await advance_job(job, {}, platform.clock.now())  # also where nothing was new: the list may be long
    raise jobs.NotYet(f"{count} were new; the next look is tomorrow", LOOK_EVERY)


async def _unseen(listed: Sequence[StripeReversal]) -> list[StripeReversal]:
    seen = await passed([reversals.sight_of(theirs) for theirs in listed])
    return [theirs for theirs in listed if reversals.sight_of(theirs) not in seen]
