"""Where another process finds the database and the sandboxes, and what time it is there."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import httpx
from pydantic import SecretStr

from inkmeter.clock import Clock, FrozenClock
from integrations.signnow.sandbox.accounts import SandboxAccount
from server.settings import Settings
from server.wiring import open_platform
from services.platform import Platform

NOWHERE = "http://127.0.0.1:1"
STRIPE_SECRET = "whsec_test"
SIGNNOW_SECRET = "signnow-test"


@dataclass(frozen=True, slots=True)
class Place:
    """All that a process must be told; it can be sent to one. `public_url` is where SignNow is asked to call."""

    database_url: str
    now: datetime
    signnow_url: str = NOWHERE
    stripe_url: str = NOWHERE
    public_url: str | None = None
    is_signnow_live: bool = True

    @contextlib.asynccontextmanager
    async def platform(self, clock: Clock | None = None) -> AsyncIterator[Platform]:
        """Inkmeter in this process, at that time unless there is another clock."""
        settings = Settings.load(
            database_url=self.database_url,
            signnow_api_base=self.signnow_url,
            signnow_api_key=SecretStr(SandboxAccount().api_key),
            signnow_client_id=SandboxAccount().client_id,
            signnow_client_secret=SecretStr(SandboxAccount().client_secret),
            signnow_is_live=self.is_signnow_live,
            stripe_api_base=self.stripe_url,
            stripe_api_key=SecretStr("sk_test_inkmeter"),
            stripe_rate=0,
            stripe_endpoint_rate=0,
            public_url=self.public_url,
            signnow_webhook_secret=SecretStr(SIGNNOW_SECRET),
            stripe_webhook_secret=SecretStr(STRIPE_SECRET),
        )
        async with (
            httpx.AsyncClient(verify=False, timeout=30) as http,  # noqa: S501 - plain HTTP: certificates would only cost time
            open_platform(
                settings, clock=clock or FrozenClock(self.now), signnow_http=http, stripe_http=http
            ) as platform,
        ):
            yield platform
