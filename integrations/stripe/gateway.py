"""Stripe through its own package: what `integrations.protocols.Stripe` promises, with amounts of ours.

The package's objects end here: everything that leaves is a value of `integrations.protocols`.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast

import stripe

from inkmeter.errors import PaymentRefused
from inkmeter.money import Money
from inkmeter.periods import BillingPeriod
from integrations.protocols import StripeInvoice, StripeSubscription
from integrations.stripe.errors import RememberedFailure, inkmeter_errors
from integrations.stripe.objects import Json, interval_of, invoice_of, moment_of, subscription_of
from integrations.stripe.transport import HttpxClient as HttpxClient

Interval = Literal["month", "year"]

KEY: Final = "inkmeter_key"
"""The metadata entry that names the intent behind an object."""

CYCLE_TOLERANCE: Final = timedelta(days=4)
"""How far Stripe's end of a cycle may lie from ours.

Stripe counts months in UTC from the anchor's day, we count local days: clock changes move midnight by an
hour, and where months differ in length the two may be up to three days apart. Cycles last 28 days or more, so
the nearest one is the right one.
"""


class StripeGateway:
    """The operator's Stripe account. Belongs to the event loop in which it is first used.

    `api_base` points it at a sandbox. Connection errors, 409 and 5xx are repeated `max_network_retries` times
    with the same idempotency key before they are raised.
    """

    def __init__(
        self,
        *,
        api_key: str,
        api_base: str | None = None,
        http_client: stripe.HTTPClient | None = None,
        max_network_retries: int = 2,
    ) -> None:
        stripe.enable_telemetry = False  # else the package writes an id into the user's home
        self._http = http_client or HttpxClient()
        self._v1 = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base} if api_base else None,
            http_client=self._http,
            max_network_retries=max_network_retries,
        ).v1

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def ensure_customer(
        self, *, key: str, is_retry: bool, name: str, email: str, metadata: Mapping[str, str]
    ) -> str:
        customer = await _once(
            key,
            is_retry,
            find=lambda: self._v1.customers.list_async(params={"email": email, "limit": 100}),
            create=lambda options: self._v1.customers.create_async(
                params={"name": name, "email": email, "metadata": {**metadata, KEY: key}}, options=options
            ),
        )
        return str(customer["id"])

    async def ensure_product(self, *, key: str, is_retry: bool, name: str, metadata: Mapping[str, str]) -> str:
        product = await _once(
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
        return str(found[0]["id"])

    async def _prices(self, lookup_key: str) -> list[Json]:
        return await _all(self._v1.prices.list_async(params={"lookup_keys": [lookup_key], "limit": 1}))

    async def _create_base_price(self, key: str, product_id: str, currency: str, interval: str, lookup_key: str) -> str:
        price = await _one(
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

    async def ensure_subscription(
        self,
        *,
        key: str,
        is_retry: bool,
        customer_id: str,
        price_id: str,
        cycle_anchor_at: datetime,
        metadata: Mapping[str, str],
    ) -> StripeSubscription:
        """Stripe's docs: the time up to the anchor is free, and no invoice of zero is made for it."""
        subscription = await _once(
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
                },
                options=options,
            ),
        )
        return subscription_of(subscription)

    async def subscription(self, subscription_id: str) -> StripeSubscription:
        return subscription_of(await _one(self._v1.subscriptions.retrieve_async(subscription_id)))

    async def cancel_subscription(self, subscription_id: str, *, key: str) -> None:
        """Stripe's keys hold for POST alone, and it refuses a second cancellation: so the subscription is looked at."""
        if (await self.subscription(subscription_id)).status == "canceled":
            return
        try:
            await _one(self._v1.subscriptions.cancel_async(subscription_id, options={"idempotency_key": key}))
        except PaymentRefused:
            if (await self.subscription(subscription_id)).status != "canceled":
                raise

    async def resume_collection(self, invoice_id: str) -> None:
        invoice = await self.invoice(invoice_id)
        if invoice.status == "open" and not invoice.is_advancing:
            await _one(self._v1.invoices.update_async(invoice_id, params={"auto_advance": True}))

    async def ensure_invoice(
        self, *, key: str, is_retry: bool, customer_id: str, currency: str, metadata: Mapping[str, str]
    ) -> str:
        invoice = await _once(
            key,
            is_retry,
            find=lambda: self._v1.invoices.list_async(params={"customer": customer_id, "limit": 100}),
            create=lambda options: self._v1.invoices.create_async(
                params={
                    "customer": customer_id,
                    "currency": currency.lower(),
                    "auto_advance": False,
                    "pending_invoice_items_behavior": "exclude",
                    "metadata": {**metadata, KEY: key},
                },
                options=options,
            ),
        )
        return str(invoice["id"])

    async def invoice(self, invoice_id: str) -> StripeInvoice:
        return await self._with_all_lines(await _one(self._v1.invoices.retrieve_async(invoice_id)))

    async def find_draft_invoice(self, subscription_id: str, period_end: datetime) -> StripeInvoice | None:
        drafts = await _all(
            self._v1.invoices.list_async(params={"subscription": subscription_id, "status": "draft", "limit": 100})
        )
        apart = {
            draft["id"]: abs(moment_of(draft["period_end"]) - period_end)
            for draft in drafts
            if draft["billing_reason"] == "subscription_cycle"
        }
        nearest = min(apart, key=apart.__getitem__, default=None)
        if nearest is None or apart[nearest] > CYCLE_TOLERANCE:
            return None
        return await self.invoice(nearest)

    async def hold_invoice(self, invoice_id: str) -> None:
        await _one(self._v1.invoices.update_async(invoice_id, params={"auto_advance": False}))

    async def add_line(
        self,
        *,
        key: str,
        is_retry: bool,
        invoice: StripeInvoice,
        amount: Money,
        description: str,
        period: BillingPeriod,
        metadata: Mapping[str, str],
    ) -> str:
        item = await _once(
            key,
            is_retry,
            find=lambda: self._v1.invoice_items.list_async(params={"invoice": invoice.id, "limit": 100}),
            create=lambda options: self._v1.invoice_items.create_async(
                params={
                    "customer": invoice.customer_id,
                    "invoice": invoice.id,
                    "amount": amount.minor,
                    "currency": amount.currency.lower(),
                    "description": description,
                    "period": {
                        "start": int(period.start.timestamp()),
                        "end": int(period.end.timestamp()),
                    },
                    "metadata": {**metadata, KEY: key},
                },
                options=options,
            ),
        )
        return str(item["id"])

    async def finalize_invoice(self, invoice_id: str, *, key: str) -> StripeInvoice:
        """Reads the invoice anew: a repeated key gets the first answer, which may predate the payment."""
        try:
            await _one(
                self._v1.invoices.finalize_invoice_async(
                    invoice_id, params={"auto_advance": True}, options={"idempotency_key": key}
                )
            )
        except PaymentRefused:
            invoice = await self.invoice(invoice_id)
            if invoice.status == "draft":
                raise
            return invoice
        return await self.invoice(invoice_id)

    async def _with_all_lines(self, invoice: Json) -> StripeInvoice:
        lines = invoice["lines"]["data"]
        if invoice["lines"]["has_more"]:
            lines = await _all(self._v1.invoices.line_items.list_async(invoice["id"], params={"limit": 100}))
        return invoice_of(invoice, lines)


async def _one(request: Awaitable[stripe.StripeObject]) -> Json:
    with inkmeter_errors():
        return (await request).to_dict(for_json=True)


async def _all(request: Awaitable[stripe.ListObject[Any]]) -> list[Json]:
    with inkmeter_errors():
        return [item.to_dict(for_json=True) async for item in (await request).auto_paging_iter()]


async def _once(
    key: str,
    is_retry: bool,
    *,
    find: Callable[[], Awaitable[stripe.ListObject[Any]]],
    create: Callable[[stripe.RequestOptions], Awaitable[stripe.StripeObject]],
) -> Json:
    """Create an object, or answer the one that an earlier attempt made."""
    if is_retry and (found := await _find(key, find)):
        return found
    try:
        return await _one(create({"idempotency_key": key}))
    except RememberedFailure:
        # The failed attempt is over. If nothing came of it, only another key gets a new answer out of Stripe
        # within the day; the metadata keeps naming the same intent.
        if not is_retry:
            raise
        return await _find(key, find) or await _one(create({"idempotency_key": f"{key}:again"}))


async def _find(key: str, find: Callable[[], Awaitable[stripe.ListObject[Any]]]) -> Json | None:
    return next((found for found in await _all(find()) if (found["metadata"] or {}).get(KEY) == key), None)
