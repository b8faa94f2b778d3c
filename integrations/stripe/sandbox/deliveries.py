"""Webhooks out: signed HTTP POSTs, repeated until they are answered with 2xx, and disturbed on request."""

import asyncio
import json
from dataclasses import dataclass
from typing import Final

import httpx
import stripe

from integrations.stripe.sandbox.books import Books, Object
from integrations.stripe.sandbox.collection import created_was_delivered

RETRY_AFTER_S: Final = (60, 3_600, 3 * 3_600)
"""Pauses by the sandbox's clock. Stripe's docs: in a sandbox, three retries over a few hours."""


@dataclass(slots=True, eq=False)
class _Delivery:
    books: Books
    event: Object
    endpoint: Object
    due_at: float
    attempts: int = 0

    @property
    def is_thin(self) -> bool:
        return bool(self.event["object"] == "v2.core.event")


class Deliveries:
    """The queue of deliveries and the task that works it off.

    `duplicate` sends each event twice, `reorder` reverses what waits together (the events of one request or
    of one run of the engine), `drop` loses the next deliveries for good: they can still be listed by the API.
    `at_once` are under way side by side, as Stripe's are.
    """

    def __init__(
        self, http: httpx.AsyncClient | None, thin_webhook_url: str | None = None, thin_secret: str = ""
    ) -> None:
        self._thin_url, self._thin_secret = thin_webhook_url, thin_secret
        self.duplicate = self.reorder = False
        self.drop = 0
        self.at_once = 1
        self._http, self._is_owner = http or httpx.AsyncClient(timeout=10), http is None
        self._queue: list[_Delivery] = []
        self._task: asyncio.Task[None] | None = None

    def enqueue(self, books: Books, event: Object) -> None:
        """Plan the event's delivery to every endpoint that wants its type."""
        for endpoint in books.all("webhook_endpoint"):
            if {"*", event["type"]} & set(endpoint["enabled_events"]):
                event["pending_webhooks"] += 1
                books.undelivered.add(event["id"])
                self._queue.append(_Delivery(books, event, endpoint, books.clock.now().timestamp()))
        self.wake()

    def enqueue_thin(self, books: Books, event: Object) -> None:
        """Plan a thin event's delivery, if there is an endpoint for them."""
        if self._thin_url is not None:
            endpoint = {"id": "thin", "url": self._thin_url}
            self._queue.append(_Delivery(books, event, endpoint, books.clock.now().timestamp()))
            self.wake()

    def wake(self) -> None:
        """Start on what is due, in the background."""
        if self._is_due() and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work())

    async def flush(self) -> None:
        """Wait until everything that is due was attempted, with what it sets off. Raises what an attempt raised."""
        self.wake()
        while self._task is not None:
            task, self._task = self._task, None
            await task
            self.wake()

    def forget(self) -> None:
        """Drop all plans and disturbances."""
        self._queue.clear()
        self.duplicate = self.reorder = False
        self.drop = 0
        self.at_once = 1

    async def aclose(self) -> None:
        """Stop working; close the HTTP client unless it was given."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._is_owner:
            await self._http.aclose()

    def _is_due(self) -> bool:
        return any(d.due_at <= d.books.clock.now().timestamp() for d in self._queue)

    async def _work(self) -> None:
        while self._is_due():
            now = self._queue[0].books.clock.now().timestamp()
            due = [d for d in self._queue if d.due_at <= now]
            self._queue = [d for d in self._queue if d.due_at > now]
            if self.reorder:
                due.reverse()
            for start in range(0, len(due), self.at_once):
                await asyncio.gather(*(self._deliver(delivery) for delivery in due[start : start + self.at_once]))

    async def _deliver(self, delivery: _Delivery) -> None:
        if self.drop:
            self.drop -= 1
        elif await self._attempt(delivery) and self.duplicate:
            await self._post(delivery)

    async def _attempt(self, delivery: _Delivery) -> bool:
        if await self._post(delivery):
            self._delivered(delivery)
            return True
        if delivery.attempts < len(RETRY_AFTER_S):
            now = delivery.books.clock.now().timestamp()
            delivery.due_at = now + RETRY_AFTER_S[delivery.attempts]
            delivery.attempts += 1
            self._queue.append(delivery)
        return False

    async def _post(self, delivery: _Delivery) -> bool:
        endpoint = delivery.endpoint
        if delivery.is_thin:
            payload, secret = json.dumps(delivery.event), self._thin_secret
        else:
            payload = json.dumps({**delivery.event, "api_version": endpoint["api_version"] or stripe.api_version})
            secret = delivery.books.endpoint_secrets[endpoint["id"]]
        headers = {
            "content-type": "application/json; charset=utf-8",
            "stripe-signature": stripe.WebhookSignature.generate_signature_header(payload, secret),
        }
        try:
            answer = await self._http.post(endpoint["url"], content=payload, headers=headers)
        except httpx.HTTPError:
            return False
        return answer.is_success

    def _delivered(self, delivery: _Delivery) -> None:
        books, event = delivery.books, delivery.event
        if delivery.is_thin:
            return
        event["pending_webhooks"] -= 1
        if event["pending_webhooks"]:
            return
        books.undelivered.discard(event["id"])
        if event["type"] == "invoice.created":
            invoice = books.get("invoice", event["data"]["object"]["id"])
            if invoice["status"] == "draft":
                created_was_delivered(books, invoice)
