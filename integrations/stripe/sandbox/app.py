"""The sandbox as an ASGI app: who asks, what is asked, faults, idempotency keys, then the answer."""

import copy
import secrets
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import parse_qsl

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from inkmeter.clock import Clock
from integrations.stripe.sandbox import (
    cards,
    catalog,
    checkout,
    credit_notes,
    customers,
    events,
    invoice_items,
    invoices,
    meters,
    payments,
    portal,
    refunds,
    spoiling,
    subscriptions,
    thin_events,
)
from integrations.stripe.sandbox.account import Account
from integrations.stripe.sandbox.books import AfterRetries, Books, Card, Object
from integrations.stripe.sandbox.control import ControlPlane
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import StripeFailure
from integrations.stripe.sandbox.forms import Params, parse
from integrations.stripe.sandbox.tills import Tills

ROOMS = (
    cards,
    catalog,
    checkout,
    credit_notes,
    customers,
    events,
    invoice_items,
    invoices,
    meters,
    payments,
    portal,
    refunds,
    subscriptions,
)
THIN_EVENT = Endpoint("GET", "/v2/core/events/{id}", Params, thin_events.retrieve_event)
"""Apart: Stripe's OpenAPI file knows nothing of API v2."""
ENDPOINTS: tuple[Endpoint, ...] = tuple(endpoint for room in ROOMS for endpoint in room.ENDPOINTS)


def create_app(
    *,
    clock: Clock,
    api_key: str = "sk_test_inkmeter",
    webhook_url: str | None = None,
    webhook_secret: str = "whsec_inkmeter_sandbox",  # noqa: S107
    http: httpx.AsyncClient | None = None,
    default_card: Card = "success",
    after_retries: AfterRetries = "past_due",
) -> Starlette:
    """A Stripe account in memory, with a control plane under `/_sandbox/`.

    Events go to `webhook_url`, signed with `webhook_secret`, through `http`. `default_card` is what new
    customers pay with; `after_retries` is what becomes of a subscription when the last retry of a charge has
    failed. Thin events go there, too.
    """
    account = Account(
        clock,
        api_key=api_key,
        webhook_url=webhook_url,
        webhook_secret=webhook_secret,
        http=http,
        default_card=default_card,
        after_retries=after_retries,
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await account.deliveries.aclose()

    app = Starlette(
        routes=[
            *(_route(account, endpoint) for endpoint in (*ENDPOINTS, THIN_EVENT)),
            *ControlPlane(account).routes(),
            *Tills(account).routes(),
            *spoiling.routes(account),
            portal.page(account),
        ],
        exception_handlers={404: _unknown_path, 405: _unknown_path, StripeFailure: _failed},
        lifespan=lifespan,
    )
    app.state.account = account
    return app


class NoAnswer(httpx.ReadTimeout):
    """Raised where an answer would be sent: a server breaks the connection, `httpx.ASGITransport` raises it."""


class Silence(Response):
    """Promises an answer and does not give it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        raise NoAnswer("the sandbox was asked not to answer")


def _route(account: Account, endpoint: Endpoint) -> Route:
    async def respond(request: Request) -> Response:
        raw = (await request.body()).decode() if endpoint.method == "POST" else request.url.query
        headers = {"request-id": f"req_{secrets.token_hex(7)}"}
        fault = None
        try:
            _authenticate(account, request)
            fault = account.take_fault(endpoint.method, request.url.path)
            if fault == "timeout_before":
                return Silence()
            _fail_before_execution(fault)
            status, body = _execute(account, endpoint, request, raw, headers, fault == "500_remembered")
        except StripeFailure as failure:
            status, body = failure.status, failure.body
        if fault == "timeout_after":
            return Silence()
        return JSONResponse(body, status, headers)

    return Route(endpoint.path, respond, methods=[endpoint.method])


def _execute(
    account: Account, endpoint: Endpoint, request: Request, raw: str, headers: dict[str, str], is_broken: bool
) -> tuple[int, Object]:
    """Carry the request out, or repeat the first answer to its idempotency key.

    What fails before it is carried out (a wrong parameter) is not remembered. Nothing waits in here, so that two
    requests with one key cannot meet.
    """
    form, path = parse_qsl(raw, keep_blank_values=True), request.url.path
    key = request.headers.get("idempotency-key") if endpoint.method == "POST" else None
    if key is not None and len(key) > 255:
        raise StripeFailure("Idempotency keys have at most 255 characters.", type="idempotency_error")
    if key and (first := account.remembered(key, path, form)):
        headers["idempotent-replayed"] = "true"
        return first.status, first.body
    params = parse(endpoint.params, form)
    account.books.base_url = str(request.base_url).rstrip("/")
    account.books.request = {"id": headers["request-id"], "idempotency_key": key}
    try:
        if is_broken:
            raise _server_error()
        answer = endpoint.answer(account.books, params, request.path_params.get("id"))
        status, body = 200, _expanded(account.books, copy.deepcopy(answer), params.expand)
    except StripeFailure as failure:
        status, body = failure.status, failure.body
    finally:
        account.books.request = None
    if key:
        account.remember(key, path, form, status, body)
    return status, body


def _authenticate(account: Account, request: Request) -> None:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        credentials = b64decode(credentials).decode().partition(":")[0]
    if not credentials:
        raise StripeFailure("You did not provide an API key.", status=401)
    if not secrets.compare_digest(credentials, account.api_key):
        raise StripeFailure(f"Invalid API Key provided: {credentials[:8]}***", status=401)


def _fail_before_execution(fault: str | None) -> None:
    """An outage in front of the API: nothing is carried out, no key is remembered."""
    match fault:
        case "500":
            raise _server_error()
        case "429":
            raise StripeFailure("Too many requests.", status=429, code="rate_limit")
        case "409":
            raise StripeFailure(
                "There is currently another in-progress request using this idempotency key.",
                status=409,
                type="idempotency_error",
                code="idempotency_key_in_use",
            )


def _server_error() -> StripeFailure:
    return StripeFailure("An unknown error occurred.", status=500, type="api_error")


async def _failed(request: Request, error: Exception) -> Response:
    failure = cast("StripeFailure", error)
    return JSONResponse(failure.body, failure.status)


async def _unknown_path(request: Request, error: Exception) -> Response:
    failure = StripeFailure(f"Unrecognized request URL ({request.method}: {request.url.path}).", status=404)
    return JSONResponse(failure.body, failure.status)


def _expanded(books: Books, answer: Object, paths: list[str]) -> Object:
    """Replace ids by their objects along paths such as `customer` or `data.customer`; other paths are left alone."""
    for path in paths:
        _expand(books, answer, path.split("."))
    return answer


def _expand(books: Books, node: Any, path: list[str]) -> None:
    if isinstance(node, list):
        for entry in node:
            _expand(books, entry, path)
    elif isinstance(node, dict) and path[0] in node:
        name, *rest = path
        kind = {"latest_invoice": "invoice", "latest_charge": "charge"}.get(name, name)
        if isinstance(node[name], str) and node[name] in books.tables.get(kind, {}):
            node[name] = books.shown(books.get(kind, node[name]))
        if rest:
            _expand(books, node[name], rest)
