"""Subscriptions at Stripe."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from inkmeter.errors import PaymentRefused
from integrations.protocols import CallOutcome, CallState, StripeSubscription
from integrations.stripe.objects import subscription_of
from integrations.stripe.requests import KEY, Requests


class Subscriptions(Requests):
    """Promised by `integrations.protocols.Stripe`."""

    async def ensure_subscription(
        self,
        *,
        key: str,
        is_retry: bool,
        customer_id: str,
        items: Mapping[str, int | None],
        cycle_anchor_at: datetime,
        metadata: Mapping[str, str],
        is_taxed: bool = False,
    ) -> StripeSubscription:
        """Stripe's docs: the time up to the anchor is free, and no invoice of zero is made for it."""
        subscription = await self._once(
            key,
            is_retry,
            find=lambda: self._v1.subscriptions.list_async(params={"customer": customer_id, "limit": 100}),
            create=lambda options: self._v1.subscriptions.create_async(
                params={
                    "customer": customer_id,
                    "items": _entries(items),
                    "billing_cycle_anchor": int(cycle_anchor_at.timestamp()),
                    "proration_behavior": "none",
                    "metadata": {**metadata, KEY: key},
                    **({"automatic_tax": {"enabled": True}} if is_taxed else {}),
                },
                options=options,
            ),
        )
        return subscription_of(subscription)

    async def subscription(self, subscription_id: str) -> StripeSubscription:
        return subscription_of(await self._one(self._v1.subscriptions.retrieve_async(subscription_id)))

    async def set_items(self, subscription_id: str, *, key: str, items: Mapping[str, int | None]) -> None:
        """Stripe's docs: an entry without the id of an item adds one; one that is not named stays as it is.

        The key names what was found as well: the same change twice is one request, another one is not.
        """
        found = await self._one(self._v1.subscriptions.retrieve_async(subscription_id))
        standing = {item["price"]["id"]: item for item in found["items"]["data"]}
        entries: list[Any] = [{"id": i["id"], "deleted": True} for price, i in standing.items() if price not in items]
        for price_id, quantity in items.items():
            if price_id not in standing:
                entries += _entries({price_id: quantity})
            elif quantity is not None and standing[price_id].get("quantity") != quantity:
                entries.append({"id": standing[price_id]["id"], "quantity": quantity})
        if not entries or found["status"] in ("canceled", "incomplete_expired"):
            return
        told = hashlib.sha256(repr((sorted(i["id"] for i in standing.values()), entries)).encode()).hexdigest()
        await self._one(
            self._v1.subscriptions.update_async(
                subscription_id,
                params={"items": entries, "proration_behavior": "none"},
                options={"idempotency_key": f"{key}:{told[:32]}"},
            )
        )

    async def cancel_subscription(self, subscription_id: str, *, key: str) -> None:
        """Stripe's keys hold for POST alone, and it refuses a second cancellation: so the subscription is looked at."""
        if (await self.subscription(subscription_id)).status == "canceled":
            await self._journal.settle(key, CallOutcome(CallState.CONFIRMED, object_id=subscription_id))
            return
        try:
            # Stripe's docs: `invoice_now` and `prorate` are false unless they are given.
            await self._one(self._v1.subscriptions.cancel_async(subscription_id, options={"idempotency_key": key}))
        except PaymentRefused:
            if (await self.subscription(subscription_id)).status != "canceled":
                raise


def _entries(items: Mapping[str, int | None]) -> list[Any]:
    """A metered item has no quantity."""
    return [
        {"price": price_id} if quantity is None else {"price": price_id, "quantity": quantity}
        for price_id, quantity in items.items()
    ]
