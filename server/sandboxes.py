"""SignNow and Stripe on this machine: the sandboxes, wired to an Inkmeter that is wired to them."""

import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from inkmeter.clock import Clock
from integrations.signnow.sandbox import accounts
from integrations.signnow.sandbox.app import create_app as create_signnow
from integrations.stripe.sandbox.app import create_app as create_stripe
from server.serving import address, listen, running
from server.settings import Settings

OPERATOR_KEY = "ink_op_sandbox"
"""The operator's key where everything is a sandbox. Everybody knows it: it is never made anywhere else."""
STRIPE_KEY = "sk_test_inkmeter"
STRIPE_SECRET = "whsec_inkmeter_sandbox"  # noqa: S105 - a sandbox's
SIGNNOW_SECRET = "signnow-sandbox-secret"  # noqa: S105 - a sandbox's


@dataclass(frozen=True, slots=True)
class Sandboxes:
    """Where the two are, and settings that make Inkmeter use them."""

    signnow_url: str
    stripe_url: str
    settings: Settings
    listener: socket.socket
    """Where Inkmeter itself shall listen: the sandboxes call it there."""


@contextlib.asynccontextmanager
async def open_sandboxes(settings: Settings, clock: Clock) -> AsyncIterator[Sandboxes]:
    """Run both sandboxes on the two ports after the settings' own. Raises ConfigurationError if one is taken.

    The database is a new one, gone at the end, whatever the settings say: the sandboxes forget as well, and an
    operator's key that everybody knows must not get into a database that anything else uses.
    """
    ports = [settings.port + i if settings.port else 0 for i in range(3)]
    async with contextlib.AsyncExitStack() as stack:
        listener, for_signnow, for_stripe = [
            stack.enter_context(contextlib.closing(listen(settings.host, port))) for port in ports
        ]
        ours = address(listener)
        account = accounts.SandboxAccount()
        stripe = create_stripe(
            clock=clock, api_key=STRIPE_KEY, webhook_url=f"{ours}/webhooks/stripe", webhook_secret=STRIPE_SECRET
        )
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="inkmeter-sandbox-"))
        signnow_url = await stack.enter_async_context(running(create_signnow(clock=clock), for_signnow))
        stripe_url = await stack.enter_async_context(running(stripe, for_stripe))
        yield Sandboxes(
            signnow_url,
            stripe_url,
            settings.model_copy(
                update={
                    "database_url": f"sqlite:///{Path(folder) / 'inkmeter.sqlite3'}",
                    "public_url": ours,
                    "signnow_api_base": signnow_url,
                    "signnow_api_key": SecretStr(account.api_key),
                    "signnow_client_id": account.client_id,
                    "signnow_client_secret": SecretStr(account.client_secret),
                    "signnow_webhook_secret": SecretStr(SIGNNOW_SECRET),
                    "stripe_api_base": stripe_url,
                    "stripe_api_key": SecretStr(STRIPE_KEY),
                    "stripe_webhook_secret": SecretStr(STRIPE_SECRET),
                    "stripe_rate": 0,
                    "stripe_endpoint_rate": 0,
                    "graphiql": True,
                }
            ),
            listener,
        )
