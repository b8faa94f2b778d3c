"""How Stripe is asked: every call of the gateway ends in one of these."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import stripe

from integrations.protocols import CallOutcome, CallState, Journal
from integrations.stripe.errors import RememberedFailure, inkmeter_errors
from integrations.stripe.objects import Json

KEY: Final = "inkmeter_key"
"""The metadata entry that names the intent behind an object."""


class Requests:
    """A part of the gateway: `_v1` is the package's client, whose objects end here.

    Whatever makes an object goes through `_once`, or looks for the object itself first: Stripe's keys last a day. A
    call that puts an existing object into a state (hold, finalize, cancel) may be repeated under any key: where it is
    in that state already, nothing changes or Stripe refuses.
    """

    _v1: stripe.V1Services
    _journal: Journal

    async def _one(self, request: Awaitable[stripe.StripeObject]) -> Json:
        with inkmeter_errors():
            return (await request).to_dict(for_json=True)

    async def _fresh(self, request: Awaitable[stripe.StripeObject]) -> Json | None:
        """What a call that changes an object answers: the object as it is now. None if Stripe has repeated an answer
        that it gave before under the same key, which may be out of date.
        """
        with inkmeter_errors():
            answer = await request
            response = answer.last_response
            headers = {name.lower(): value for name, value in (response.headers if response else {}).items()}
            return None if headers.get("idempotent-replayed") == "true" else answer.to_dict(for_json=True)

    async def _all(self, request: Awaitable[stripe.ListObject[Any]]) -> list[Json]:
        with inkmeter_errors():
            return [item.to_dict(for_json=True) async for item in (await request).auto_paging_iter()]

    async def _pages(self, request: Awaitable[stripe.ListObject[Any]]) -> AsyncIterator[list[Json]]:
        """The same, a page at a time, for lists that may be long."""
        with inkmeter_errors():
            page = await request
        while page.data:
            yield [item.to_dict(for_json=True) for item in page.data]
            if not page.has_more:
                return
            with inkmeter_errors():
                page = await page.next_page_async()

    async def _once(
        self,
        key: str,
        is_retry: bool,
        *,
        find: Callable[[], Awaitable[stripe.ListObject[Any]]],
        create: Callable[[stripe.RequestOptions], Awaitable[stripe.StripeObject]],
    ) -> Json:
        """Create an object, or answer the one that an earlier attempt made: the caller's, or one in the journal."""
        is_retry = is_retry or await self._journal.was_sent(key)
        if is_retry and (found := await self._find(key, find)):
            await self._journal.settle(key, CallOutcome(CallState.CONFIRMED, object_id=found["id"]))
            return found
        try:
            return await self._one(create({"idempotency_key": key}))
        except RememberedFailure:
            # The failed attempt is over. If nothing came of it, only another key gets a new answer out of Stripe
            # within the day; the metadata keeps naming the same intent.
            if not is_retry:
                raise
            return await self._find(key, find) or await self._one(create({"idempotency_key": f"{key}:again"}))

    async def _find(self, key: str, find: Callable[[], Awaitable[stripe.ListObject[Any]]]) -> Json | None:
        return next((found for found in await self._all(find()) if (found["metadata"] or {}).get(KEY) == key), None)
