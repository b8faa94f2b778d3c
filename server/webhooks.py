"""Webhooks over HTTP: `POST /webhooks/stripe` and `POST /webhooks/signnow`, the door that the mutations share.

SignNow is answered 200 even when a delivery is rejected: users report that it unsubscribes a URL which refuses thirty
times within an hour. Stripe is answered 400, which it shows in its dashboard. What cannot be stored now is answered
503, and both send it again.
"""

import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from inkmeter.errors import WebhookRejected
from server.graphql_errors import log_unexpected
from services import webhooks
from services.platform import Platform
from services.webhooks import Receipt

log = logging.getLogger("inkmeter.webhooks")

MAX_BYTES = 1_000_000
"""Largest delivery; theirs have a few kilobytes."""


def stripe_route(get_platform: Callable[[], Platform]) -> Callable[[Request], Awaitable[Response]]:
    """The handler of Stripe's deliveries."""

    async def receive(request: Request) -> Response:
        signature = request.headers.get("stripe-signature")
        return await _answer(webhooks.receive_stripe(get_platform(), await request.body(), signature), rejected=400)

    return receive


def signnow_route(get_platform: Callable[[], Platform]) -> Callable[[Request], Awaitable[Response]]:
    """The handler of SignNow's deliveries, and of the GET by which it may try the address."""

    async def receive(request: Request) -> Response:
        if request.method != "POST":
            return JSONResponse({"status": "ready"})
        signature = request.headers.get("x-signnow-signature")
        return await _answer(webhooks.receive_signnow(get_platform(), await request.body(), signature), rejected=200)

    return receive


async def _answer(receiving: Awaitable[Receipt], *, rejected: int) -> Response:
    try:
        receipt = await receiving
    except WebhookRejected as refusal:
        log.warning("a delivery was rejected: %s", refusal.message)
        return JSONResponse({"error": refusal.message, "code": refusal.code}, rejected)
    except Exception as error:
        return JSONResponse({"error": "Try again later", "reference": log_unexpected(error, "webhooks")}, 503)
    return JSONResponse({"eventId": str(receipt.event_id), "isDuplicate": not receipt.is_new})
