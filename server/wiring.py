"""Putting the parts together: settings in, a platform out."""

import contextlib
import functools
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx

from inkmeter.clock import Clock, SystemClock
from inkmeter.errors import ConfigurationError
from integrations.protocols import SignNowCallback, StripeEvent
from integrations.signnow import webhooks as signnow_webhooks
from integrations.signnow.auth import ApiKey, Application, PasswordGrant
from integrations.signnow.client import SignNowClient
from integrations.signnow.limits import Limits
from integrations.stripe import webhooks as stripe_webhooks
from integrations.stripe.gateway import HttpxClient, StripeGateway
from integrations.stripe.rates import RateLimiter
from plugins.manager import Plugins, load_plugins
from server.settings import Settings, parse_money
from services.identities import DatabaseTokens, Isolation
from services.metering import Metering
from services.outbox import Outbox
from services.platform import Callbacks, Platform, Terms
from storage.database import open_database
from storage.ledgers import open_ledger

SIGNNOW_TIMEOUT = httpx.Timeout(60, connect=10)
"""A call must end well before `Terms.settle_delay`, when it is asked what became of it."""
STRIPE_TIMEOUT = httpx.Timeout(40, connect=10)


def plugins_of(settings: Settings) -> Plugins:
    """Load the plugins as the settings say."""
    trace = functools.partial(print, file=sys.stderr)  # stdout belongs to what was asked for
    return load_plugins(blocked=settings.blocked_plugins, trace=trace if settings.trace_plugins else None)


@contextlib.asynccontextmanager
async def open_platform(
    settings: Settings,
    *,
    clock: Clock | None = None,
    plugins: Plugins | None = None,
    signnow_http: httpx.AsyncClient | None = None,
    stripe_http: httpx.AsyncClient | None = None,
) -> AsyncIterator[Platform]:
    """Open the database and the connections to SignNow and Stripe, and close them at the end.

    `signnow_http` and `stripe_http` reach them another way, e.g. in process. Raises ConfigurationError.
    """
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(open_database(settings.database_url))
        if signnow_http is None:
            signnow_http = await stack.enter_async_context(httpx.AsyncClient(timeout=SIGNNOW_TIMEOUT))
        signnow = SignNowClient(
            base_url=settings.signnow_api_base,
            credentials=signnow_credentials(settings),
            http=signnow_http,
            application=signnow_application(settings),
            tokens=DatabaseTokens(clock),
            limits=_limits(settings),
            clock=clock,
        )
        outbox = Outbox(clock)
        limiter = RateLimiter(per_endpoint=settings.stripe_endpoint_rate, in_all=settings.stripe_rate)
        stripe_http = stripe_http or httpx.AsyncClient(timeout=STRIPE_TIMEOUT)
        stripe = StripeGateway(
            api_key=settings.stripe_api_key.get_secret_value() or "sk_not_configured",
            api_base=settings.stripe_api_base,
            http_client=HttpxClient(stripe_http, journal=outbox, limiter=limiter),
            journal=outbox,
        )
        stack.push_async_callback(stripe.aclose)
        plugins = plugins or plugins_of(settings)
        metering = Metering(open_ledger(settings.database_url), clock, plugins.publish)
        await stack.enter_async_context(metering.running())
        signnow_secret = settings.signnow_webhook_secret.get_secret_value()

        def verify_signnow(payload: bytes, signature: str | None) -> SignNowCallback:
            return signnow_webhooks.verify(payload, signature, signnow_secret)

        def verify_stripe(payload: bytes, signature: str | None) -> StripeEvent:
            return stripe_webhooks.verify(payload, signature, settings.stripe_webhook_secrets)

        yield Platform(
            clock=clock,
            plugins=plugins,
            signnow=signnow,
            stripe=stripe,
            verify_signnow=verify_signnow,
            verify_stripe=verify_stripe,
            terms=Terms(
                invite_cost=parse_money(settings.invite_cost),
                grace=timedelta(days=settings.grace_days),
                close_delay=timedelta(minutes=settings.close_delay_minutes),
                isolation=Isolation(settings.isolation),
                max_pdf_bytes=settings.max_pdf_bytes,
                charges_again=settings.signnow_charges_again,
                is_signnow_live=settings.signnow_is_live,
                automatic_tax=settings.automatic_tax,
            ),
            metering=metering,
            callbacks=_callbacks(settings),
        )


def _callbacks(settings: Settings) -> Callbacks | None:
    secret = settings.signnow_webhook_secret.get_secret_value()
    if settings.public_url is None:
        return None
    if not secret:
        raise ConfigurationError("INKMETER_SIGNNOW_WEBHOOK_SECRET is needed where INKMETER_PUBLIC_URL is set")
    return Callbacks(f"{settings.public_url.rstrip('/')}/webhooks/signnow", secret)


def _limits(settings: Settings) -> Limits | None:
    calls = settings.signnow_calls_per_hour
    if calls is None:
        return None
    return Limits(calls, tenant_share=settings.signnow_tenant_share, patience=timedelta(seconds=2))


def signnow_application(settings: Settings) -> Application | None:
    """The application, where there is one: beside an API key it is optional."""
    if not settings.signnow_client_id:
        return None
    return Application(settings.signnow_client_id, settings.signnow_client_secret.get_secret_value())


def signnow_credentials(settings: Settings) -> ApiKey | PasswordGrant:
    """The API key if there is one, else the password grant."""
    if key := settings.signnow_api_key.get_secret_value():
        return ApiKey(key)
    return PasswordGrant(
        client_id=settings.signnow_client_id,
        client_secret=settings.signnow_client_secret.get_secret_value(),
        username=settings.signnow_username,
        password=settings.signnow_password.get_secret_value(),
    )
