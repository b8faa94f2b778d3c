"""Invoices at Stripe, and the lines on them."""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import stripe

from inkmeter.errors import PaymentRefused, UpstreamError
from inkmeter.money import Money
from inkmeter.periods import BillingPeriod
from integrations.protocols import AddedLines, CallOutcome, CallState, StripeInvoice, StripeLineToBe
from integrations.stripe.errors import RememberedFailure
from integrations.stripe.objects import Json, invoice_of, moment_of
from integrations.stripe.requests import KEY, Requests

CYCLE_TOLERANCE: Final = timedelta(days=4)
"""How far Stripe's end of a cycle may lie from ours.

Stripe counts months in UTC from the anchor's day, we count local days: clock changes move midnight by an
hour, and where months differ in length the two may be up to three days apart. Cycles last 28 days or more, so
the nearest one is the right one.
"""


class Invoices(Requests):
    """Promised by `integrations.protocols.Stripe`."""

    async def resume_collection(self, invoice_id: str) -> None:
        invoice = await self.invoice(invoice_id)
        if invoice.status == "open" and not invoice.is_advancing:
            await self._one(self._v1.invoices.update_async(invoice_id, params={"auto_advance": True}))

    async def ensure_invoice(
        self,
        *,
        key: str,
        is_retry: bool,
        customer_id: str,
        currency: str,
        metadata: Mapping[str, str],
        is_taxed: bool = False,
    ) -> str:
        invoice = await self._once(
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
                    **({"automatic_tax": {"enabled": True}} if is_taxed else {}),
                },
                options=options,
            ),
        )
        return str(invoice["id"])

    async def invoice(self, invoice_id: str) -> StripeInvoice:
        return await self._with_all_lines(await self._one(self._v1.invoices.retrieve_async(invoice_id)))

    async def find_draft_invoice(self, subscription_id: str, period_end: datetime) -> StripeInvoice | None:
        drafts = await self._all(
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

    async def hold_invoice(self, invoice_id: str, *, is_taxed: bool = False) -> StripeInvoice:
        held: stripe.params.InvoiceUpdateParams = {"auto_advance": False}
        if is_taxed:
            held["automatic_tax"] = {"enabled": True}
        invoice = await self._as_answered(invoice_id, self._v1.invoices.update_async(invoice_id, params=held))
        if invoice.status != "open" or invoice.is_advancing:
            return invoice
        # Finalized just before we came: held, nobody would collect it.
        await self.resume_collection(invoice_id)
        return await self.invoice(invoice_id)

    async def add_lines(
        self, *, key: str, is_retry: bool, invoice: StripeInvoice, lines: Sequence[StripeLineToBe]
    ) -> AddedLines:
        wanted = {line.key for line in lines}
        is_retry = is_retry or await self._journal.was_sent(key)
        if is_retry and (found := wanted & (items := await self._items_by_key(invoice.id)).keys()):
            await self._journal.settle(key, CallOutcome(CallState.CONFIRMED, object_id=invoice.id))
            return AddedLines({name: items[name] for name in found}, await self.invoice(invoice.id))
        try:
            now = await self._send_lines(key, invoice.id, lines)
        except RememberedFailure:
            # As in `_once`: nothing came of it, and only another key gets a new answer out of Stripe.
            if not is_retry:
                raise
            now = await self._send_lines(f"{key}:again", invoice.id, lines)
        items = {line.metadata[KEY]: line.invoice_item_id or "" for line in now.lines if KEY in line.metadata}
        if not wanted <= items.keys():
            # Stripe's OpenAPI file does not promise that a line shows the metadata that it was added with.
            items = await self._items_by_key(invoice.id)
        if not wanted <= items.keys():
            raise UpstreamError(f"Stripe does not name the lines that were added to {invoice.id}")
        return AddedLines({name: items[name] for name in wanted}, now)

    async def _send_lines(self, key: str, invoice_id: str, lines: Sequence[StripeLineToBe]) -> StripeInvoice:
        params: stripe.params.InvoiceAddLinesParams = {
            "lines": [
                {
                    "amount": line.amount.minor,
                    "description": line.description,
                    "period": {"start": int(line.period.start.timestamp()), "end": int(line.period.end.timestamp())},
                    "metadata": {**line.metadata, KEY: line.key},
                }
                for line in lines
            ]
        }
        adding = self._v1.invoices.add_lines_async(invoice_id, params=params, options={"idempotency_key": key})
        return await self._as_answered(invoice_id, adding)

    async def _items_by_key(self, invoice_id: str) -> dict[str, str]:
        """The invoice item of each of our keys, whether the item bears it or its line."""
        listed = await self._all(self._v1.invoice_items.list_async(params={"invoice": invoice_id, "limit": 100}))
        by_item = {item["metadata"][KEY]: str(item["id"]) for item in listed if KEY in (item["metadata"] or {})}
        lines = (await self.invoice(invoice_id)).lines
        by_line = {line.metadata[KEY]: line.invoice_item_id for line in lines if KEY in line.metadata}
        return {name: item for name, item in {**by_line, **by_item}.items() if item is not None}

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
        item = await self._once(
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

    async def finalize_invoice(self, invoice_id: str, *, key: str, is_collected: bool = True) -> StripeInvoice:
        # Where the key was sent before, by whomever, the answer may predate the payment: it is read anew.
        is_repeat = await self._journal.was_sent(key)
        finalizing = self._v1.invoices.finalize_invoice_async(
            invoice_id, params={"auto_advance": is_collected}, options={"idempotency_key": key}
        )
        try:
            final = await self._as_answered(invoice_id, finalizing)
        except PaymentRefused:
            invoice = await self.invoice(invoice_id)
            if invoice.status == "draft":
                raise
            return invoice
        return await self.invoice(invoice_id) if is_repeat else final

    async def _as_answered(self, invoice_id: str, changing: Awaitable[stripe.Invoice]) -> StripeInvoice:
        """The invoice as a call that changes it answers, read anew if that is an answer of before."""
        answer = await self._fresh(changing)
        return await self.invoice(invoice_id) if answer is None else await self._with_all_lines(answer)

    async def _with_all_lines(self, invoice: Json) -> StripeInvoice:
        lines = invoice["lines"]["data"]
        if invoice["lines"]["has_more"]:
            lines = await self._all(self._v1.invoices.line_items.list_async(invoice["id"], params={"limit": 100}))
        return invoice_of(invoice, lines)
