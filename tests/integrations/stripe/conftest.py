"""The gateway and the sandbox, joined by HTTP in process, watched by Stripe's OpenAPI file where it is present."""

import importlib.util
import json
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inkmeter.clock import FrozenClock
from integrations.protocols import StripeEvent
from integrations.stripe.gateway import HttpxClient, StripeGateway
from integrations.stripe.sandbox import create_app
from integrations.stripe.webhooks import verify

API_KEY = "sk_test_inkmeter"
SECRET = "whsec_test"
OPENAPI = Path(__file__).resolve().parents[4] / "shared" / "stripe"
NOT_CHECKED = "Stripe's OpenAPI file is not here: requests are not checked against it"
START = datetime(2027, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Inbox:
    """A host that receives webhooks; `status` is what it answers."""

    status: int = 200
    events: list[StripeEvent] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def app(self) -> Starlette:
        async def receive(request: Request) -> Response:
            body = await request.body()
            self.bodies.append(body)
            self.events.append(verify(body, request.headers.get("stripe-signature"), [SECRET]))
            return Response(status_code=self.status)

        return Starlette(routes=[Route("/webhooks/stripe", receive, methods=["POST"])])

    def types(self) -> list[str]:
        return [event.type for event in self.events]


@dataclass
class World:
    """A sandbox, its clock, a plain HTTP client for it, and the host that it calls."""

    app: Starlette
    clock: FrozenClock
    http: httpx.AsyncClient
    inbox: Inbox

    async def call(self, method: str, path: str, key: str | None = None, **form: Any) -> httpx.Response:
        """A raw call to the API, form-encoded."""
        headers = {"authorization": f"Bearer {API_KEY}"} | ({"idempotency-key": key} if key else {})
        sent: dict[str, Any] = {"params": form} if method == "GET" else {"data": form}
        return await self.http.request(method, path, headers=headers, **sent)

    async def refused(self, method: str, path: str, **form: Any) -> dict[str, Any]:
        """The error that a call is answered with."""
        response = await self.call(method, path, **form)
        assert response.status_code >= 400, response.text
        error: dict[str, Any] = response.json()["error"]
        return error | {"status": response.status_code}

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        return _ok(await self.call("GET", path, **query))

    async def post(self, path: str, key: str | None = None, **form: Any) -> dict[str, Any]:
        return _ok(await self.call("POST", path, key, **form))

    async def control(self, path: str, **order: Any) -> dict[str, Any]:
        return _ok(await self.http.post(f"/_sandbox/{path}", json=order))

    async def travel(self, now: datetime) -> None:
        """Go there, and let every webhook on the way arrive."""
        await self.control("clock", now=now.isoformat())
        await self.control("flush")

    async def subscribe(self, amount: int = 0, **form: Any) -> dict[str, Any]:
        """A new customer with a new monthly subscription for that many cents."""
        customer = await self.post("/v1/customers", email="billing@acme.test")
        product = await self.post("/v1/products", name="Business")
        terms: dict[str, Any] = {"currency": "usd", "unit_amount": amount, "recurring[interval]": "month"}
        price = await self.post("/v1/prices", product=product["id"], **terms)
        order = {"customer": customer["id"], "items[0][price]": price["id"]}
        return await self.post("/v1/subscriptions", **order, **form)

    async def books(self) -> dict[str, list[dict[str, Any]]]:
        return _ok(await self.http.get("/_sandbox/books"))


def _ok(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


@asynccontextmanager
async def new_world(**settings: Any) -> AsyncIterator[World]:
    """A sandbox with settings of its own."""
    inbox, clock = Inbox(), FrozenClock(START)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(inbox.app()), base_url="http://host") as hooks:
        app = create_app(
            clock=clock,
            api_key=API_KEY,
            webhook_url="http://host/webhooks/stripe",
            webhook_secret=SECRET,
            http=hooks,
            **settings,
        )
        transport = CheckedTransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://stripe") as http:
            yield World(app, clock, http, inbox)
        await app.state.account.deliveries.aclose()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with new_world() as made:
        yield made


async def open_session(world: World, amount: int = 900, **form: Any) -> dict[str, Any]:
    """A Checkout session for that many cents."""
    item = {
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": amount,
        "line_items[0][price_data][product_data][name]": "10 documents",
    }
    order = {"mode": "payment", "success_url": "http://shop.test/done?id={CHECKOUT_SESSION_ID}", **item, **form}
    return await world.post("/v1/checkout/sessions", **order)


async def paid_session(world: World) -> dict[str, str]:
    """A session that was paid: its id, its payment intent's and its charge's."""
    session = await open_session(world)
    paid = await world.control(f"checkout/{session['id']}", outcome="pay")
    intent = paid["payment_intent"]
    [charge] = [c["id"] for c in (await world.books())["charge"] if c["payment_intent"] == intent]
    return {"id": session["id"], "intent": intent, "charge": charge}


class Impatient(HttpxClient):
    """Repeats without a pause."""

    async def sleep_async(self, secs: float) -> None:
        del secs


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, OPENAPI / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def stripe_openapi() -> Any | None:
    """Stripe's OpenAPI file, or None where it is not present."""
    if not OPENAPI.exists():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the file to the garbage collector
        return _module("spec_check").Spec(OPENAPI / "spec3.subset.json")


@cache
def _contract_client() -> Any:
    """The class that checks each request before it leaves; it finds the file, loaded once, under its own names."""
    sys.modules["spec_check"] = _module("spec_check")
    try:
        module = _module("contract_client")
    finally:
        del sys.modules["spec_check"]
    module.Spec = lambda path: stripe_openapi()
    return module.ContractClient


@pytest.fixture
def openapi() -> Any:
    """Stripe's OpenAPI file; without it the test is skipped."""
    return stripe_openapi() or pytest.skip(NOT_CHECKED)


def answer_errors(body: Any) -> list[str]:
    """What Stripe's OpenAPI file finds wrong with an answer of the sandbox."""
    spec = stripe_openapi()
    if spec is None:
        return []
    if "error" in body:
        return list(spec.object_errors("error", body))
    if body["object"] == "list":
        return [error for entry in body["data"] for error in answer_errors(entry)]
    name = f"deleted_{body['object']}" if body.get("deleted") else body["object"]
    inner = answer_errors(body["data"]["object"]) if name == "event" else []
    return [f"{name} {error}" for error in spec.object_errors(name, body)] + inner


class CheckedTransport(httpx.ASGITransport):
    """Holds every answer of the API against Stripe's OpenAPI file."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if request.url.path.startswith("/v1/"):
            body = json.loads(await response.aread())
            assert answer_errors(body) == [], f"{request.method} {request.url.path}"
        return response


@pytest.fixture
async def gateway(world: World) -> StripeGateway:
    """A gateway to the sandbox; its requests are checked against Stripe's OpenAPI file where that is present."""
    if not OPENAPI.exists():
        return StripeGateway(api_key=API_KEY, api_base="http://stripe", http_client=Impatient(world.http))
    checked: Any = type("Checked", (_contract_client(), Impatient), {})
    client = checked(OPENAPI, http=world.http)
    return StripeGateway(api_key=API_KEY, api_base="http://stripe", http_client=client)
