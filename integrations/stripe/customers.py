"""Customers at Stripe."""

from collections.abc import Mapping
from typing import Any, cast

from inkmeter.errors import PaymentRefused
from integrations.protocols import UNKNOWN_ID
from integrations.stripe.requests import KEY, Requests


class Customers(Requests):
    """Promised by `integrations.protocols.Stripe`."""

    async def ensure_customer(
        self, *, key: str, is_retry: bool, name: str, email: str, metadata: Mapping[str, str]
    ) -> str:
        customer = await self._once(
            key,
            is_retry,
            find=lambda: self._v1.customers.list_async(params={"email": email, "limit": 100}),
            create=lambda options: self._v1.customers.create_async(
                params={"name": name, "email": email, "metadata": {**metadata, KEY: key}}, options=options
            ),
        )
        return str(customer["id"])

    async def customer_exists(self, customer_id: str) -> bool:
        try:
            customer = await self._one(self._v1.customers.retrieve_async(customer_id))
        except PaymentRefused as refusal:
            if refusal.upstream_code != UNKNOWN_ID:
                raise
            return False
        return not customer.get("deleted")

    async def set_address(self, customer_id: str, address: Mapping[str, str], *, key: str) -> None:
        await self._one(
            self._v1.customers.update_async(
                customer_id, params={"address": cast("Any", {**address})}, options={"idempotency_key": key}
            )
        )

    async def open_portal(self, customer_id: str, return_url: str, *, key: str) -> str:
        session = await self._one(
            self._v1.billing_portal.sessions.create_async(
                params={"customer": customer_id, "return_url": return_url}, options={"idempotency_key": key}
            )
        )
        return str(session["url"])
