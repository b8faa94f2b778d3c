"""Stripe through its own package: what `integrations.protocols.Stripe` promises, with amounts of ours.

The package's objects end in `requests`: everything that leaves is a value of `integrations.protocols`.
"""

import stripe

from integrations.protocols import Journal
from integrations.protocols.journal import NoJournal
from integrations.stripe.catalog import Catalog
from integrations.stripe.corrections import Corrections
from integrations.stripe.customers import Customers
from integrations.stripe.events import Events
from integrations.stripe.invoices import Invoices
from integrations.stripe.meters import Meters
from integrations.stripe.payments import Payments
from integrations.stripe.subscriptions import Subscriptions
from integrations.stripe.transport import HttpxClient as HttpxClient


class StripeGateway(Customers, Catalog, Meters, Subscriptions, Invoices, Payments, Corrections, Events):
    """The operator's Stripe account. Belongs to the event loop in which it is first used.

    `journal` is the one that `http_client` writes: what it has noted is looked up before it is made again.
    `api_base` points it at a sandbox. Connection errors, 409 and 5xx are repeated `max_network_retries` times
    with the same idempotency key before they are raised.
    """

    def __init__(
        self,
        *,
        api_key: str,
        api_base: str | None = None,
        http_client: stripe.HTTPClient | None = None,
        journal: Journal | None = None,
        max_network_retries: int = 2,
    ) -> None:
        stripe.enable_telemetry = False  # else the package writes an id into the user's home
        self._journal = journal or NoJournal()
        self._http = http_client or HttpxClient()
        client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base} if api_base else None,
            http_client=self._http,
            max_network_retries=max_network_retries,
        )
        self._v1, self._v2 = client.v1, client.v2

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]
