"""Invoices as they stand at Stripe."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from inkmeter.money import Money
from inkmeter.periods import BillingPeriod


@dataclass(frozen=True, slots=True)
class StripeLine:
    """A line of a Stripe invoice. `invoice_item_id` (ii_…) is set on lines that were added as invoice items,
    `price_id` and `quantity` on those that Stripe made of a price.
    """

    id: str
    invoice_item_id: str | None
    description: str | None
    amount: Money
    period: tuple[datetime, datetime]
    price_id: str | None = None
    quantity: Decimal | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StripeLineToBe:
    """A finished amount that shall become an invoice item. `key` names it for good, in its metadata."""

    key: str
    amount: Money
    description: str
    period: BillingPeriod
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """A Stripe invoice with all of its lines (paged to the end). `status`: draft, open, paid, void, uncollectible.

    `total` is `subtotal` less the `discounts` of the whole invoice, plus the taxes on top (`exclusive_tax`).
    `settled_at` is when it became paid, void or uncollectible; why uncollectible is told since API version 2026-10-28.
    """

    id: str
    customer_id: str
    subscription_id: str | None
    status: str
    billing_reason: str | None
    is_advancing: bool
    period: tuple[datetime, datetime]
    subtotal: Money
    discounts: Money
    exclusive_tax: Money
    total: Money
    amount_due: Money
    amount_paid: Money
    attempt_count: int
    next_payment_attempt_at: datetime | None
    number: str | None
    """Since it was finalized."""
    hosted_url: str | None
    pdf_url: str | None
    finalization_error: str | None
    """Stripe's code for why it could not finalize it, and its words."""
    finalization_problem: str | None
    metadata: Mapping[str, str]
    subscription_metadata: Mapping[str, str]
    """The subscription's metadata as it was when the invoice was made."""
    lines: tuple[StripeLine, ...]
    settled_at: datetime | None = None
    uncollectible_reason: str | None = None
    is_taxed: bool = False
    """Whether Stripe adds taxes by itself."""
    has_credit_notes: bool = False
    """Whether anything was taken off it by credit notes that stand."""


@dataclass(frozen=True, slots=True)
class AddedLines:
    """The invoice item (ii_…) of each line by its key, as far as they are there, and the invoice with them on it."""

    items: Mapping[str, str]
    invoice: StripeInvoice


@dataclass(frozen=True, slots=True)
class StripeInvoiceHead:
    """A Stripe invoice as a list shows it, without its lines."""

    id: str
    subscription_id: str | None
    status: str
    created_at: datetime
    subtotal: Money
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StripeCreditNote:
    """What was taken off a finalized invoice; a void one counts for nothing."""

    id: str
    invoice_id: str
    amount: Money
    is_void: bool
    metadata: Mapping[str, str]
