"""What the services expect of Stripe besides invoices: pages to pay on, and money that goes back."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from inkmeter.money import Money


@dataclass(frozen=True, slots=True)
class StripeCheckout:
    """A Checkout session. `status`: open, complete, expired; `payment_status`: paid, unpaid, no_payment_required.

    `amount` is before taxes and the like. `has_failed` is set where it is complete and the bank has refused: nothing
    will come of it any more.
    """

    id: str
    customer_id: str | None
    reference: str | None
    status: str
    payment_status: str
    has_failed: bool
    amount: Money
    payment_intent_id: str | None
    url: str | None
    expires_at: datetime
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StripeReversal:
    """A refund or a dispute: `amount` of a payment goes back, or would. `status` in Stripe's words."""

    id: str
    status: str
    amount: Money
    payment_intent_id: str | None
    metadata: Mapping[str, str]


class StripePayments(Protocol):
    """A part of `Stripe`, with its rules."""

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
        """A page on which the customer pays one amount, once; `reference` comes back with it."""

    async def checkout(self, session_id: str) -> StripeCheckout:
        """One Checkout session."""

    async def find_checkout(self, payment_intent_id: str) -> StripeCheckout | None:
        """The Checkout session that a payment was made by; None if it was made otherwise."""

    async def find_paid_invoice(self, payment_intent_id: str) -> str | None:
        """The id of the invoice that a payment was made for; None if there is none."""

    async def find_payment(self, invoice_id: str) -> str | None:
        """The id of the payment intent that an invoice was paid by; None if no money has moved."""

    async def pay_invoice(self, invoice_id: str, *, key: str) -> None:
        """Charge an open invoice now. Raises PaymentRefused; a bank that takes its time is no refusal."""

    async def is_payment_under_way(self, invoice_id: str) -> bool:
        """Whether a bank has yet to say what becomes of an open invoice's payment."""

    async def void_invoice(self, invoice_id: str, *, key: str) -> None:
        """Nothing is collected of an open invoice any more. Raises PaymentRefused, also for one that is paid."""

    async def ensure_refund(
        self, *, key: str, is_retry: bool, payment_intent_id: str, amount: Money, metadata: Mapping[str, str]
    ) -> StripeReversal:
        """Give a part of a payment back."""

    async def refund(self, refund_id: str) -> StripeReversal:
        """One refund."""

    async def refunds_of_charge(self, charge_id: str) -> list[StripeReversal]:
        """All refunds of a charge."""

    async def dispute(self, dispute_id: str) -> StripeReversal:
        """One dispute."""

    def refunds_since(self, since: datetime) -> AsyncIterator[list[StripeReversal]]:
        """All refunds of the account that were made since then, whoever made them, a page at a time."""

    def disputes_since(self, since: datetime) -> AsyncIterator[list[StripeReversal]]:
        """All disputes of the account that were opened since then, likewise."""
