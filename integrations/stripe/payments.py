"""Payments at Stripe: Checkout sessions, charges of invoices, and money that goes back."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final

from stripe.params.checkout import SessionRetrieveParams

from inkmeter.money import Money
from integrations.protocols import StripeCheckout, StripeReversal
from integrations.stripe.objects import Json, moment_of
from integrations.stripe.requests import KEY, Requests

FAILED: Final = ("requires_payment_method", "canceled")
"""What becomes of a payment intent that a bank has refused (Stripe's docs on the lifecycle of payment intents)."""


class Payments(Requests):
    """Promised by `integrations.protocols.StripePayments`."""

    async def ensure_checkout(
        self,
        *,
        key: str,
        is_retry: bool,
        customer_id: str,
        reference: str,
        amount: Money,
        label: str,
        success_url: str,
        cancel_url: str,
        metadata: Mapping[str, str],
    ) -> StripeCheckout:
        session = await self._once(
            key,
            is_retry,
            find=lambda: self._v1.checkout.sessions.list_async(params={"customer": customer_id, "limit": 100}),
            create=lambda options: self._v1.checkout.sessions.create_async(
                params={
                    "mode": "payment",
                    "customer": customer_id,
                    "client_reference_id": reference,
                    "line_items": [
                        {
                            "price_data": {
                                "currency": amount.currency.lower(),
                                "unit_amount": amount.minor,
                                "product_data": {"name": label},
                            },
                            "quantity": 1,
                        }
                    ],
                    "success_url": success_url,
                    "cancel_url": cancel_url,
                    "metadata": {**metadata, KEY: key},
                    "payment_intent_data": {"metadata": {**metadata}},
                },
                options=options,
            ),
        )
        return await self.checkout(session["id"])

    async def checkout(self, session_id: str) -> StripeCheckout:
        params: SessionRetrieveParams = {"expand": ["payment_intent"]}
        return _checkout(await self._one(self._v1.checkout.sessions.retrieve_async(session_id, params=params)))

    async def find_checkout(self, payment_intent_id: str) -> StripeCheckout | None:
        found = await self._all(
            self._v1.checkout.sessions.list_async(params={"payment_intent": payment_intent_id, "limit": 1})
        )
        return await self.checkout(found[0]["id"]) if found else None

    async def find_paid_invoice(self, payment_intent_id: str) -> str | None:
        found = await self._all(
            self._v1.invoice_payments.list_async(
                params={"payment": {"type": "payment_intent", "payment_intent": payment_intent_id}, "limit": 1}
            )
        )
        return str(found[0]["invoice"]) if found else None

    async def find_payment(self, invoice_id: str) -> str | None:
        found = await self._all(
            self._v1.invoice_payments.list_async(params={"invoice": invoice_id, "status": "paid", "limit": 100})
        )
        intents = [payment["payment"].get("payment_intent") for payment in found]
        return next((str(intent) for intent in intents if intent is not None), None)

    async def pay_invoice(self, invoice_id: str, *, key: str) -> None:
        await self._one(self._v1.invoices.pay_async(invoice_id, options={"idempotency_key": key}))

    async def is_payment_under_way(self, invoice_id: str) -> bool:
        found = await self._all(
            self._v1.invoice_payments.list_async(
                params={"invoice": invoice_id, "limit": 100, "expand": ["data.payment.payment_intent"]}
            )
        )
        intents = [payment["payment"].get("payment_intent") for payment in found]
        return any(isinstance(intent, dict) and intent["status"] == "processing" for intent in intents)

    async def void_invoice(self, invoice_id: str, *, key: str) -> None:
        await self._one(self._v1.invoices.void_invoice_async(invoice_id, options={"idempotency_key": key}))

    async def ensure_refund(
        self, *, key: str, is_retry: bool, payment_intent_id: str, amount: Money, metadata: Mapping[str, str]
    ) -> StripeReversal:
        refund = await self._once(
            key,
            is_retry,
            find=lambda: self._v1.refunds.list_async(params={"payment_intent": payment_intent_id, "limit": 100}),
            create=lambda options: self._v1.refunds.create_async(
                params={
                    "payment_intent": payment_intent_id,
                    "amount": amount.minor,
                    "metadata": {**metadata, KEY: key},
                },
                options=options,
            ),
        )
        return _reversal(refund)

    async def refund(self, refund_id: str) -> StripeReversal:
        return _reversal(await self._one(self._v1.refunds.retrieve_async(refund_id)))

    async def refunds_of_charge(self, charge_id: str) -> list[StripeReversal]:
        found = await self._all(self._v1.refunds.list_async(params={"charge": charge_id, "limit": 100}))
        return [_reversal(refund) for refund in found]

    async def dispute(self, dispute_id: str) -> StripeReversal:
        return _reversal(await self._one(self._v1.disputes.retrieve_async(dispute_id)))

    async def refunds_since(self, since: datetime) -> AsyncIterator[list[StripeReversal]]:
        listing = self._v1.refunds.list_async(params={"created": {"gte": int(since.timestamp())}, "limit": 100})
        async for page in self._pages(listing):
            yield [_reversal(refund) for refund in page]

    async def disputes_since(self, since: datetime) -> AsyncIterator[list[StripeReversal]]:
        listing = self._v1.disputes.list_async(params={"created": {"gte": int(since.timestamp())}, "limit": 100})
        async for page in self._pages(listing):
            yield [_reversal(dispute) for dispute in page]


def _checkout(data: Json) -> StripeCheckout:
    intent = data["payment_intent"]
    is_refused = isinstance(intent, dict) and intent["status"] in FAILED
    return StripeCheckout(
        id=data["id"],
        customer_id=data["customer"],
        reference=data["client_reference_id"],
        status=data["status"],
        payment_status=data["payment_status"],
        has_failed=data["status"] == "complete" and data["payment_status"] == "unpaid" and is_refused,
        amount=Money(data["amount_subtotal"], data["currency"].upper()),
        payment_intent_id=intent["id"] if isinstance(intent, dict) else intent,
        url=data["url"],
        expires_at=moment_of(data["expires_at"]),
        metadata=data["metadata"] or {},
    )


def _reversal(data: Json) -> StripeReversal:
    intent = data.get("payment_intent")
    return StripeReversal(
        id=data["id"],
        status=data["status"],
        amount=Money(data["amount"], data["currency"].upper()),
        payment_intent_id=intent["id"] if isinstance(intent, dict) else intent,
        metadata=data.get("metadata") or {},
    )
