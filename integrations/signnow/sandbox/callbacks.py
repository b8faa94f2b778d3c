"""Callbacks as SignNow sends them: real POSTs, really signed, logged, repeated after a failure."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from inkmeter.clock import Clock
from integrations.signnow.sandbox.accounts import new_id
from integrations.signnow.webhooks import SIGNATURE_HEADER, sign

RETRY_DELAYS: Final = (10.0,) * 5 + (4 * 3600.0,) * 5
"""Seconds between attempts, as users of SignNow report them."""

_MAX_REFUSALS: Final = 30
_REFUSAL_WINDOW: Final = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class Event:
    """A fact to tell, without the `user.` of the wider subscription. `actor_id` is whoever made it happen."""

    name: str
    content: dict[str, Any]
    actor_id: str


@dataclass(slots=True)
class Subscription:
    """Who wants to know which event of which user or document. `generation` 1 is `/api/v2/events`."""

    event: str
    entity_id: str
    owner_id: str
    created_at: datetime
    attributes: dict[str, Any]
    generation: int = 2
    event_count: int = 0
    refused_at: list[datetime] = field(default_factory=list)
    id: str = field(default_factory=new_id)


@dataclass(slots=True)
class Attempt:
    """One POST, as the delivery log shows it. Status 0 stands for no answer."""

    subscription: Subscription
    url: str
    body: dict[str, Any]
    headers: dict[str, str]
    started_at: datetime
    ended_at: datetime
    status: int
    answer: str
    id: str = field(default_factory=new_id)


@dataclass(slots=True)
class Mischief:
    """What the network does to callbacks: send each twice, the newest first, before the answer to the call that caused
    them, or lose the next few.
    """

    is_duplicating: bool = False
    is_reordering: bool = False
    is_early: bool = False
    drop: int = 0


class Callbacks:
    """Subscriptions, and the tasks that tell them. First attempts go out one by one in the order of the facts."""

    def __init__(self, http: httpx.AsyncClient, clock: Clock, time_scale: float) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        self.attempts: list[Attempt] = []
        self.mischief = Mischief()
        self._http, self._clock, self._time_scale = http, clock, time_scale
        self._turn = asyncio.Lock()
        self._tasks: dict[asyncio.Task[None], asyncio.Event] = {}

    def tell(
        self, events: Sequence[Event], *, user_id: str, entity_id: str, environment: str, access_token: str
    ) -> None:
        """Send what happened at once to all who asked for it, in the background. `entity_id` is the document's or the
        group's.
        """
        deliveries = [
            (subscription, self._body(subscription, event, environment, access_token))
            for event in events
            for subscription in self.subscriptions.values()
            if (subscription.event, subscription.entity_id)
            in ((f"user.{event.name}", user_id), (event.name, entity_id))
        ]
        if self.mischief.is_reordering:
            deliveries.reverse()
        for subscription, body in deliveries:
            subscription.event_count += 1
            for _ in range(2 if self.mischief.is_duplicating else 1):
                first_attempt = asyncio.Event()
                task = asyncio.create_task(self._deliver(subscription, body, first_attempt))
                self._tasks[task] = first_attempt
                task.add_done_callback(self._forget)

    async def flush(self, *, is_final: bool) -> None:
        """Wait until every callback so far was attempted; with `is_final`, until none will be repeated."""
        pending = dict(self._tasks)
        if is_final:
            await asyncio.gather(*pending)
        else:
            await asyncio.gather(*(attempted.wait() for attempted in pending.values()))

    async def stop(self) -> None:
        """Give up what is still to be sent."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task).set()

    def _body(self, subscription: Subscription, event: Event, environment: str, access_token: str) -> dict[str, Any]:
        meta = {
            "timestamp": int(self._clock.now().timestamp()),
            "event": subscription.event,
            "environment": environment,
            "callback_url": _url(subscription, event),
            "initiator_id": event.actor_id,
        }
        if not subscription.attributes.get("delete_access_token"):
            meta["access_token"] = access_token
        return {"meta": meta, "content": event.content}

    async def _deliver(self, subscription: Subscription, body: dict[str, Any], first_attempt: asyncio.Event) -> None:
        async with self._turn:
            status = await self._attempt(subscription, body)
        first_attempt.set()
        for delay in RETRY_DELAYS[: int(subscription.attributes.get("retry_count") or len(RETRY_DELAYS))]:
            if 200 <= status < 500:
                return
            await asyncio.sleep(delay * self._time_scale)
            status = await self._attempt(subscription, body)

    async def _attempt(self, subscription: Subscription, body: dict[str, Any]) -> int:
        payload = json.dumps(body, separators=(",", ":")).encode()
        url, secret = body["meta"]["callback_url"], subscription.attributes.get("secret_key")
        headers = {"Content-Type": "application/json", **(subscription.attributes.get("headers") or {})}
        if secret:
            headers[SIGNATURE_HEADER] = sign(payload, secret)
        started_at = self._clock.now()
        status, answer = await self._post(url, payload, headers)
        attempt = Attempt(subscription, url, body, headers, started_at, self._clock.now(), status, answer)
        self.attempts.append(attempt)
        if 400 <= status < 500:
            self._count_refusal(subscription, attempt.ended_at)
        return status

    async def _post(self, url: str, payload: bytes, headers: dict[str, str]) -> tuple[int, str]:
        if self.mischief.drop > 0:
            self.mischief.drop -= 1
            return 200, "lost on the way"
        try:
            answer = await self._http.post(url, content=payload, headers=headers)
        except httpx.HTTPError as error:
            return 0, repr(error)
        return answer.status_code, answer.text[:1000]

    def _count_refusal(self, subscription: Subscription, now: datetime) -> None:
        """A callback URL that refuses 30 times within an hour is unsubscribed, as users of SignNow report."""
        recent = [at for at in subscription.refused_at if now - at < _REFUSAL_WINDOW]
        subscription.refused_at = [*recent, now]
        if len(subscription.refused_at) >= _MAX_REFUSALS:
            self.subscriptions.pop(subscription.id, None)


def _url(subscription: Subscription, event: Event) -> str:
    url = str(subscription.attributes["callback"])
    if not subscription.attributes.get("docid_queryparam") or "document_id" not in event.content:
        return url
    document = json.dumps({"docId": event.content["document_id"]}, separators=(",", ":"))
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'Param': document})}"
