"""Products and prices at Stripe."""

from collections.abc import Mapping
from typing import Any, Literal, cast

from inkmeter.errors import PaymentRefused
from integrations.protocols import CallOutcome, CallState, StripePrice, StripePriceTerms, StripeProduct
from integrations.stripe.errors import RememberedFailure
from integrations.stripe.objects import Json, interval_of, price_of
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

    async def ensure_price(self, *, key: str, terms: StripePriceTerms, lookup_key: str) -> StripePrice:
        if (found := await self._price_with(lookup_key)) is not None:
            return found
        try:
            return await self._create_price(key, key, terms, {"lookup_key": lookup_key})
        except RememberedFailure:
            if (found := await self._price_with(lookup_key)) is not None:
                return found
            return await self._create_price(f"{key}:again", key, terms, {"lookup_key": lookup_key})

    async def replace_price(self, *, key: str, terms: StripePriceTerms, lookup_key: str) -> StripePrice:
        """The key names what holds the lookup key now, so that each replacement is one request."""
        holder = await self._price_with(lookup_key)
        if holder is not None and holder.is_active and holder.terms == terms:
            return holder
        moved = {"lookup_key": lookup_key, "transfer_lookup_key": True}
        return await self._create_price(f"{key}:after:{holder.id if holder else None}", key, terms, moved)

    async def product(self, product_id: str) -> StripeProduct:
        product = await self._one(self._v1.products.retrieve_async(product_id))
        return StripeProduct(product["id"], product.get("name", ""), product.get("active", False))

    async def mend_product(self, product_id: str, *, name: str) -> None:
        await self._one(self._v1.products.update_async(product_id, params={"name": name, "active": True}))

    async def price(self, price_id: str) -> StripePrice:
        return price_of(await self._one(self._v1.prices.retrieve_async(price_id, params={"expand": ["tiers"]})))

    async def mend_price(self, price_id: str, *, lookup_key: str) -> None:
        await self._one(
            self._v1.prices.update_async(
                price_id, params={"active": True, "lookup_key": lookup_key, "transfer_lookup_key": True}
            )
        )

    async def _price_with(self, lookup_key: str) -> StripePrice | None:
        """A lookup key belongs to one price; an inactive one keeps it, but is found only where it is asked for."""
        for active in (True, False):
            params: Any = {"lookup_keys": [lookup_key], "active": active, "limit": 1, "expand": ["data.tiers"]}
            if found := await self._all(self._v1.prices.list_async(params=params)):
                return price_of(found[0])
        return None

    async def _create_price(self, key: str, intent: str, terms: StripePriceTerms, more: Any) -> StripePrice:
        params: Any = {
            "product": terms.product_id,
            "currency": terms.currency.lower(),
            "recurring": {"interval": terms.interval, "usage_type": "metered" if terms.meter_id else "licensed"},
            "metadata": {KEY: intent},
            "expand": ["tiers"],
            **more,
        }
        if terms.meter_id:
            params["recurring"]["meter"] = terms.meter_id
        if terms.unit_amount is not None:
            params["unit_amount_decimal"] = format(terms.unit_amount, "f")
        if terms.package:
            params["transform_quantity"] = {"divide_by": terms.package[0], "round": terms.package[1]}
        if terms.tiers:
            params |= {"billing_scheme": "tiered", "tiers_mode": terms.tiers_mode}
            params["tiers"] = [
                {
                    "up_to": "inf" if up_to is None else up_to,
                    "unit_amount_decimal": format(unit, "f"),
                    **({"flat_amount_decimal": format(flat, "f")} if flat else {}),
                }
                for up_to, unit, flat in terms.tiers
            ]
        return price_of(await self._one(self._v1.prices.create_async(params=params, options={"idempotency_key": key})))

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
