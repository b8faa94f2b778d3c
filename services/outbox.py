"""The outbox: every call that changes Stripe is stored under its idempotency key before it is made.

The gateway's transport writes it. So a call whose answer was lost, or whose process was killed, is known, can be seen,
and is looked up by our metadata before it is made again.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from inkmeter.clock import Clock
from inkmeter.errors import PaymentRefused
from integrations.protocols import CallOutcome, CallState, StripeCall
from services import jobs
from services.platform import Platform
from storage.intents import Intent as Intent
from storage.intents import IntentState as IntentState
from storage.intents import list_intents, remove_intents, send_intent, settle_intent
from storage.jobs import SYSTEM, Job

log = logging.getLogger("inkmeter.outbox")

CLEAN: Final = "outbox.clean"
CLEAN_EVERY: Final = timedelta(days=1)
KEPT_FOR: Final = timedelta(days=35)
"""How long a settled call is kept."""
KEYS_LAST: Final = timedelta(hours=24)
"""Stripe's docs: a key may be removed once it is at least 24 hours old; then it can stand for another call."""


class Outbox:
    """Keeps `integrations.protocols.Journal`'s promise in the database."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def begin(self, call: StripeCall) -> None:
        now = self._clock.now()
        is_same = await send_intent(
            key=call.key,
            tenant_id=jobs.acting_for.get(),
            method=call.method,
            path=call.path,
            parameters=call.parameters,
            now=now,
            forgotten_before=now - KEYS_LAST,
        )
        if not is_same:
            log.error("the key %s was used for another call than %s %s", call.key, call.method, call.path)
            raise PaymentRefused(
                f"the idempotency key {call.key!r} stands for a call with other parameters; nothing was sent",
                upstream_code="idempotency_error",
            )

    async def settle(self, key: str, outcome: CallOutcome) -> None:
        is_certain = outcome.state in (CallState.CONFIRMED, CallState.REFUSED)
        await settle_intent(
            key=key,
            state=IntentState[outcome.state.name],
            request_id=outcome.request_id,
            object_id=outcome.object_id,
            error=outcome.error[:500] if outcome.error else None,
            settled_at=self._clock.now() if is_certain else None,
        )

    async def was_sent(self, key: str) -> bool:
        return await Intent.exists(idempotency_key=key)


async def list_calls(state: IntentState | None, after: UUID | None, limit: int) -> Sequence[Intent]:
    """Calls that change Stripe, in the order in which they were first made, after the given one."""
    return await list_intents(state, after, limit)


async def schedule_cleaning(platform: Platform) -> None:
    """Add the daily cleaning; once in a database."""
    await jobs.add_job(platform, tenant_id=SYSTEM, topic=CLEAN, dedup="daily", run_in=CLEAN_EVERY)


async def clean_outbox(platform: Platform, job: Job) -> None:
    """The job that forgets, once a day, what was settled long ago. What is open stays."""
    removed = await remove_intents(platform.clock.now() - KEPT_FOR)
    raise jobs.NotYet(f"{removed} calls removed; the next look is tomorrow", CLEAN_EVERY)
