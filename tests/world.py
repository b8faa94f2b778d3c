"""Inkmeter, SignNow's and Stripe's sandboxes in one process: everything speaks real HTTP, through ASGI."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from inkmeter.clock import FrozenClock
from integrations.signnow.sandbox.accounts import SandboxAccount
from integrations.signnow.sandbox.app import create_app as create_signnow
from integrations.stripe.sandbox.app import create_app as create_stripe
from server.asgi import create_app
from server.demo.pdf import contract
from server.settings import Settings
from server.wiring import open_platform
from services import keys, timetable
from services.platform import Platform
from services.tenants import ProvisionTenant, Tenant, provision_tenant

START = datetime(2026, 3, 10, 9, tzinfo=UTC)
OPERATOR_KEY = "ink_op_test"
SECRET = "whsec_test"
SIGNNOW_SECRET = "signnow-test"


class Api:
    """A GraphQL client with one API key (or none)."""

    def __init__(self, http: httpx.AsyncClient, key: str | None) -> None:
        self._http, self._key = http, key

    async def post(self, document: str, **variables: Any) -> dict[str, Any]:
        """Execute a document and answer all of it, `errors` included."""
        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        response = await self._http.post("/graphql", json={"query": document, "variables": variables}, headers=headers)
        answer: dict[str, Any] = response.json()
        return answer

    async def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """Execute a document and answer its data; errors fail the test."""
        answer = await self.post(document, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def do(self, mutation: str, selection: str, /, **input: Any) -> dict[str, Any]:
        """Run one mutation and answer its payload, with what every user error has."""
        kind = mutation[0].upper() + mutation[1:] + "Input"
        errors = "userErrors { __typename code message path }"
        document = f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ {selection} {errors} }} }}"
        payload: dict[str, Any] = (await self.ask(document, input=input))[mutation]
        return payload


class _Later:
    """An ASGI application that is known only after others need it."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class World:
    """`operator` calls the API with the operator's key; `signnow` and `stripe` reach the sandboxes' control planes."""

    clock: FrozenClock
    platform: Platform
    http: httpx.AsyncClient
    signnow: httpx.AsyncClient
    stripe: httpx.AsyncClient

    @property
    def operator(self) -> Api:
        return Api(self.http, OPERATOR_KEY)

    def api(self, key: str | None) -> Api:
        return Api(self.http, key)

    async def tenant_api(self, tenant: Tenant) -> Api:
        """The API with a key of the tenant's own."""
        return Api(self.http, await keys.create_key(self.platform, keys.Role.TENANT, tenant.public_id))

    async def provision(self, reference: str = "acme", currency: str = "USD") -> Tenant:
        """A tenant that is ready."""
        return await provision_tenant(
            self.platform, ProvisionTenant(reference, f"{reference} Inc", f"billing@{reference}.test", currency)
        )

    async def work(self) -> None:
        """Deliver every webhook and do all the background work that is due, until nothing is left."""
        while True:
            await self.signnow.post("/_sandbox/flush")
            await self.stripe.post("/_sandbox/flush")
            if not await timetable.run_due_work(self.platform):
                return

    async def travel_to(self, moment: datetime) -> None:
        """Let time pass, for Inkmeter and both sandboxes; Stripe's cycles run."""
        self.clock.travel_to(moment)
        (await self.stripe.post("/_sandbox/tick")).raise_for_status()
        await self.stripe.post("/_sandbox/flush")

    async def sign(self, signnow_document_id: str, email: str) -> None:
        """A signer signs."""
        url = f"/_sandbox/documents/{signnow_document_id}/sign"
        (await self.signnow.post(url, json={"email": email})).raise_for_status()

    @staticmethod
    def pdf(title: str = "Contract") -> bytes:
        return contract(title)


@contextlib.asynccontextmanager
async def open_world(
    database_url: str, *, door: Callable[[ASGIApp], ASGIApp] = lambda app: app, **settings: Any
) -> AsyncIterator[World]:
    """A world of its own on that database. `door` stands before Inkmeter's application; `settings` override those of
    the sandboxes.
    """
    clock = FrozenClock(START)
    ours = _Later()
    async with contextlib.AsyncExitStack() as stack:

        async def client(app: ASGIApp, name: str) -> httpx.AsyncClient:
            # Where Inkmeter raises, a server answers 500; what the sandboxes raise are connections that they break.
            transport = httpx.ASGITransport(app, raise_app_exceptions=app is not ours)
            return await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=f"http://{name}"))

        http = await client(ours, "inkmeter.test")
        signnow_app = create_signnow(clock=clock, http=http, time_scale=0)
        # Its end gives up callbacks that are still under way, before the client that carries them is closed.
        await stack.enter_async_context(signnow_app.router.lifespan_context(signnow_app))
        signnow = await client(signnow_app, "signnow.test")
        stripe = await client(
            create_stripe(
                clock=clock, webhook_url="http://inkmeter.test/webhooks/stripe", webhook_secret=SECRET, http=http
            ),
            "stripe.test",
        )
        configured = Settings.load(
            **{
                "database_url": database_url,
                "public_url": "http://inkmeter.test",
                "signnow_api_base": "http://signnow.test",
                "signnow_api_key": SecretStr(SandboxAccount().api_key),
                "signnow_webhook_secret": SecretStr(SIGNNOW_SECRET),
                "stripe_api_base": "http://stripe.test",
                "stripe_api_key": SecretStr("sk_test_inkmeter"),
                "stripe_webhook_secret": SecretStr(SECRET),
                "stripe_rate": 0,
                "stripe_endpoint_rate": 0,
                "is_worker": False,
                **settings,
            }
        )
        platform = await stack.enter_async_context(
            open_platform(configured, clock=clock, signnow_http=signnow, stripe_http=stripe)
        )
        await keys.ensure_key(platform, OPERATOR_KEY)
        app = create_app(configured, platform=lambda: contextlib.nullcontext(platform))
        ours.app = door(app)
        await stack.enter_async_context(app.router.lifespan_context(app))
        yield World(clock, platform, http, signnow, stripe)
