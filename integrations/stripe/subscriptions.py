"""Subscriptions at Stripe."""

from collections.abc import Mapping
from datetime import datetime

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
        price_id: str,
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
                    "items": [{"price": price_id}],
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

    async def cancel_subscription(self, subscription_id: str, *, key: str) -> None:
        """Stripe's keys hold for POST alone, and it refuses a second cancellation: so the subscription is looked at."""
        if (await self.subscription(subscription_id)).status == "canceled":
            await self._journal.settle(key, CallOutcome(CallState.CONFIRMED, object_id=subscription_id))
            return
        try:
            await self._one(self._v1.subscriptions.cancel_async(subscription_id, options={"idempotency_key": key}))
        except PaymentRefused:
            if (await self.subscription(subscription_id)).status != "canceled":
                raise
