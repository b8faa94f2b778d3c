"""Products and prices at Stripe."""

from collections.abc import Mapping
from typing import Literal, cast

from inkmeter.errors import PaymentRefused
from integrations.protocols import CallOutcome, CallState
from integrations.stripe.errors import RememberedFailure
from integrations.stripe.objects import Json, interval_of
from integrations.stripe.requests import KEY, Requests

Interval = Literal["month", "year"]


class Catalog(Requests):
    """Promised by `integrations.protocols.Stripe`."""

    async def ensure_product(self, *, key: str, is_retry: bool, name: str, metadata: Mapping[str, str]) -> str:
        product = await self._once(
            key,
            is_retry,
            find=lambda: self._v1.products.list_async(params={"active": True, "limit": 100}),
            create=lambda options: self._v1.products.create_async(
                params={"name": name, "metadata": {**metadata, KEY: key}}, options=options
            ),
        )
        return str(product["id"])

    async def ensure_base_price(
        self, *, key: str, product_id: str, currency: str, interval: str, lookup_key: str
    ) -> str:
        """Raises PaymentRefused when the lookup key stands for another price."""
        found = await self._prices(lookup_key)
        if not found:
            try:
                return await self._create_base_price(key, product_id, currency, interval, lookup_key)
            except RememberedFailure:
                if not (found := await self._prices(lookup_key)):
                    return await self._create_base_price(f"{key}:again", product_id, currency, interval, lookup_key)
        terms = (found[0]["product"], found[0]["currency"], found[0]["unit_amount"], interval_of(found[0]))
        if terms != (product_id, currency.lower(), 0, interval):
            raise PaymentRefused(
                f"Stripe's price {found[0]['id']} has the lookup key {lookup_key!r} but other terms",
                upstream_code="lookup_key_taken",
            )
        await self._journal.settle(key, CallOutcome(CallState.CONFIRMED, object_id=found[0]["id"]))
        return str(found[0]["id"])

    async def _prices(self, lookup_key: str) -> list[Json]:
        return await self._all(self._v1.prices.list_async(params={"lookup_keys": [lookup_key], "limit": 1}))

    async def _create_base_price(self, key: str, product_id: str, currency: str, interval: str, lookup_key: str) -> str:
        price = await self._one(
            self._v1.prices.create_async(
                params={
                    "product": product_id,
                    "currency": currency.lower(),
                    "unit_amount": 0,
                    "recurring": {
                        "interval": cast("Interval", interval),
                        "usage_type": "licensed",
                    },
                    "lookup_key": lookup_key,
                    "metadata": {KEY: key.removesuffix(":again")},
                },
                options={"idempotency_key": key},
            )
        )
        return str(price["id"])
