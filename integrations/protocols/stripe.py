"""What the services expect of Stripe; failures as `integrations.protocols` says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from inkmeter.money import Money
from inkmeter.periods import BillingPeriod


@dataclass(frozen=True, slots=True)
class StripeSubscription:
    """A Stripe subscription, as far as we follow it. `status` and `pause_reason` in Stripe's words; before API version
    2026-10-28 (endive) Stripe does not tell why a subscription is paused.
    """

    id: str
    customer_id: str
    status: str
    period_end: datetime
    metadata: Mapping[str, str]
    pause_reason: str | None = None
    trial_ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StripeLine:
    """A line of a Stripe invoice. `invoice_item_id` (ii_…) is set on lines that were added as invoice items."""

    id: str
    invoice_item_id: str | None
    description: str | None
    amount: Money


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """A Stripe invoice with all of its lines (paged to the end). `status`: draft, open, paid, void, uncollectible.

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
    total: Money
    amount_due: Money
    amount_paid: Money
    attempt_count: int
    next_payment_attempt_at: datetime | None
    hosted_url: str | None
    number: str | None
    """Since it was finalized."""
    finalization_problem: str | None
    """Why Stripe could not finalize it."""
    metadata: Mapping[str, str]
    subscription_metadata: Mapping[str, str]
    """The subscription's metadata as it was when the invoice was made."""
    lines: tuple[StripeLine, ...]
    settled_at: datetime | None = None
    uncollectible_reason: str | None = None


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """A verified Stripe webhook. Only says what to fetch: `object_type` and `object_id`; never trust its payload.

    Of a payment of an invoice that is the invoice; of a thin event its related object, or itself if it has none.
    """

    id: str
    type: str
    api_version: str | None
    object_type: str
    object_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MissedEvent:
    """An event as the API lists it, with its JSON."""

    event: StripeEvent
    payload: str


class Stripe(Protocol):
    """Stripe for the operator's account.

    Every creating call takes `key`, an idempotency key that is unique for the intent, and writes it into the object's
    metadata as `inkmeter_key`. Stripe forgets keys after a day or more (docs: "may be removed after at least 24
    hours"): pass `is_retry=True` when the first attempt may be older, and the object is looked up by its metadata
    before another is made.
    """

    async def ensure_customer(
        self, *, key: str, is_retry: bool, name: str, email: str, metadata: Mapping[str, str]
    ) -> str:
        """Create the customer, or answer the one that an earlier attempt made."""

    async def ensure_product(self, *, key: str, is_retry: bool, name: str, metadata: Mapping[str, str]) -> str:
        """The product that stands for a plan."""

    async def ensure_base_price(
        self, *, key: str, product_id: str, currency: str, interval: str, lookup_key: str
    ) -> str:
        """A licensed price of zero for `interval` (month or year): it makes Stripe run the cycle, the amounts are ours.

        Found by `lookup_key` where it exists.
        """

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
        """Subscribe without proration; the first full cycle starts at `cycle_anchor_at` (in the future)."""

    async def subscription(self, subscription_id: str) -> StripeSubscription:
        """One subscription."""

    async def cancel_subscription(self, subscription_id: str, *, key: str) -> None:
        """Cancel now, without an invoice. One that is cancelled already is left as it is. Stripe then stops collecting
        its open invoices.
        """

    async def resume_collection(self, invoice_id: str) -> None:
        """Have an open invoice collected again that Stripe has stopped collecting; any other is left alone."""

    async def ensure_invoice(
        self, *, key: str, is_retry: bool, customer_id: str, currency: str, metadata: Mapping[str, str]
    ) -> str:
        """An invoice of its own, a draft that waits for lines, without the customer's pending items; answers its id."""

    async def invoice(self, invoice_id: str) -> StripeInvoice:
        """One invoice with all of its lines."""

    async def find_draft_invoice(self, subscription_id: str, period_end: datetime) -> StripeInvoice | None:
        """The cycle invoice, still a draft, of the period that ended then; None while Stripe has not made it."""

    async def hold_invoice(self, invoice_id: str) -> None:
        """Keep a draft from being finalized by Stripe's own timer. Safe to repeat."""

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
        """Add a finished amount to a draft invoice and answer the invoice item's id (ii_…)."""

    async def finalize_invoice(self, invoice_id: str, *, key: str) -> StripeInvoice:
        """Finalize a draft and let Stripe collect. An invoice that is finalized already is answered as it is."""

    async def is_customer_deleted(self, customer_id: str) -> bool:
        """Whether the customer was deleted at Stripe."""

    async def missed_events(self, since: datetime, after: str | None) -> Sequence[MissedEvent]:
        """A page of events since then that not every endpoint has confirmed, newest first, after the event named."""
