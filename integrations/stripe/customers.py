"""Customers at Stripe."""

from collections.abc import Mapping

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

    async def is_customer_deleted(self, customer_id: str) -> bool:
        """Stripe answers a deleted customer as an object with nothing but `deleted`."""
        return bool((await self._one(self._v1.customers.retrieve_async(customer_id))).get("deleted"))
