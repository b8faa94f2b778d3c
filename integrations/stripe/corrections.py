"""What a reconciliation asks of Stripe and mends there: lists, invoice items off a draft, credit notes."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import stripe

from inkmeter.errors import PaymentRefused
from inkmeter.money import Money
from integrations.protocols import UNKNOWN_ID, StripeCreditNote, StripeInvoice, StripeInvoiceHead
from integrations.stripe.objects import credit_note_of, invoice_head_of
from integrations.stripe.requests import KEY, Requests


class Corrections(Requests):
    """Promised by `integrations.protocols.Stripe`."""

    async def invoices_since(self, customer_id: str, since: datetime) -> Sequence[StripeInvoiceHead]:
        found = await self._all(
            self._v1.invoices.list_async(
                params={"customer": customer_id, "created": {"gte": int(since.timestamp())}, "limit": 100}
            )
        )
        return [invoice_head_of(invoice) for invoice in found]

    async def item_metadata(self, invoice_id: str) -> Mapping[str, Mapping[str, str]]:
        found = await self._all(self._v1.invoice_items.list_async(params={"invoice": invoice_id, "limit": 100}))
        return {item["id"]: item["metadata"] or {} for item in found}

    async def remove_item(self, item_id: str) -> None:
        try:
            await self._one(self._v1.invoice_items.delete_async(item_id))
        except PaymentRefused as refusal:
            if refusal.upstream_code != UNKNOWN_ID:
                raise

    async def credit_notes(self, invoice_id: str) -> Sequence[StripeCreditNote]:
        found = await self._all(self._v1.credit_notes.list_async(params={"invoice": invoice_id, "limit": 100}))
        return [credit_note_of(note) for note in found]

    async def credit_note(self, note_id: str) -> StripeCreditNote:
        return credit_note_of(await self._one(self._v1.credit_notes.retrieve_async(note_id)))

    async def ensure_credit_note(
        self, *, key: str, is_retry: bool, invoice: StripeInvoice, amount: Money, memo: str, metadata: Mapping[str, str]
    ) -> str:
        params: stripe.params.CreditNoteCreateParams = {
            "invoice": invoice.id,
            "amount": amount.minor,
            "memo": memo,
            "metadata": {**metadata, KEY: key},
        }
        if invoice.status == "paid":
            params["credit_amount"] = amount.minor
        note = await self._once(
            key,
            is_retry,
            find=lambda: self._v1.credit_notes.list_async(params={"invoice": invoice.id, "limit": 100}),
            create=lambda options: self._v1.credit_notes.create_async(params=params, options=options),
        )
        return str(note["id"])
