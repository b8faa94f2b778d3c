"""What the services expect of Stripe; failures as `integrations.protocols` says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

from inkmeter.money import Money
from inkmeter.periods import BillingPeriod
from integrations.protocols.catalog import FailedReports, StripeMeter, StripePrice, StripePriceTerms, StripeProduct
from integrations.protocols.invoices import (
    AddedLines,
    StripeCreditNote,
    StripeInvoice,
    StripeInvoiceHead,
    StripeLineToBe,
)
from integrations.protocols.payments import StripePayments

UNKNOWN_ID: Final = "resource_missing"
"""The `upstream_code` of a `PaymentRefused` about an id that Stripe does not have."""
NO_TAX_LOCATION: Final = "customer_tax_location_invalid"
"""The `upstream_code` of a `PaymentRefused` because the customer's address is not enough to tax it."""


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
    items: Mapping[str, int | None] = field(default_factory=dict)
    """The quantity of each price; None of a metered one."""
    pause_reason: str | None = None
    trial_ends_at: datetime | None = None


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


class Stripe(StripePayments, Protocol):
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

    async def ensure_price(self, *, key: str, terms: StripePriceTerms, lookup_key: str) -> StripePrice:
        """The price with this lookup key, as it stands; made with these terms where there is none."""

    async def replace_price(self, *, key: str, terms: StripePriceTerms, lookup_key: str) -> StripePrice:
        """Make a price with these terms and move the lookup key to it: amounts of a price never change."""

    async def product(self, product_id: str) -> StripeProduct:
        """One product."""

    async def mend_product(self, product_id: str, *, name: str) -> None:
        """Make it active, with that name."""

    async def price(self, price_id: str) -> StripePrice:
        """One price."""

    async def mend_price(self, price_id: str, *, lookup_key: str) -> None:
        """Make it active, with that lookup key, taken from whichever price has it."""

    async def ensure_meter(self, *, key: str, event_name: str, display_name: str) -> StripeMeter:
        """The meter of these events, as it stands; made where there is none. It sums their values."""

    async def find_meter(self, event_name: str) -> StripeMeter | None:
        """The meter of these events, active or not."""

    async def reactivate_meter(self, meter_id: str) -> None:
        """Have a meter count again."""

    async def report_usage(
        self, *, identifier: str, event_name: str, customer_id: str, value: int, at: datetime
    ) -> None:
        """Send a meter event. Stripe's docs: it is counted later or found wrong, and its identifier is unique for 24
        hours at least; `at` lies within the past 35 days.
        """

    async def cancel_report(self, *, identifier: str, event_name: str) -> None:
        """Take a meter event back; possible within 24 hours of its receipt."""

    async def reported_usage(
        self, *, meter_id: str, customer_id: str, start: datetime, end: datetime, by_day: bool = False
    ) -> Mapping[datetime, Decimal]:
        """What a meter has counted in [start, end), by the start of each day in UTC or in one. Bounds are whole
        minutes, or days. Stripe's docs: it takes a while to be complete.
        """

    async def failed_reports(self, event_id: str) -> FailedReports:
        """What a thin event about a meter says."""

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
        """Subscribe without proration; the first full cycle starts at `cycle_anchor_at` (in the future). `items` are
        the quantity of each price, None of a metered one. With `is_taxed` Stripe adds taxes to its invoices.
        """

    async def set_items(self, subscription_id: str, *, key: str, items: Mapping[str, int | None]) -> None:
        """Have a running subscription bill exactly these prices from now on, without proration. What stands already is
        left alone, so it is safe to repeat. One that is cancelled is left as it is.
        """

    async def subscription(self, subscription_id: str) -> StripeSubscription:
        """One subscription."""

    async def cancel_subscription(self, subscription_id: str, *, key: str) -> None:
        """Cancel now, without an invoice. One that is cancelled already is left as it is. Stripe then stops collecting
        its open invoices.
        """

    async def resume_collection(self, invoice_id: str) -> None:
        """Have an open invoice collected again that Stripe has stopped collecting; any other is left alone."""

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
        """An invoice of its own, a draft that waits for lines, without the customer's pending items; answers its id."""

    async def customer_exists(self, customer_id: str) -> bool:
        """Whether Stripe has the customer; a deleted one is none."""

    async def set_address(self, customer_id: str, address: Mapping[str, str], *, key: str) -> None:
        """Where a customer is taxed: line1, city, state, postal_code, country. Safe to repeat."""

    async def open_portal(self, customer_id: str, return_url: str, *, key: str) -> str:
        """The address of Stripe's page where a customer sees its invoices and cards, for one visit."""

    async def invoices_since(self, customer_id: str, since: datetime) -> Sequence[StripeInvoiceHead]:
        """All invoices of a customer that were made since then, whoever made them."""

    async def item_metadata(self, invoice_id: str) -> Mapping[str, Mapping[str, str]]:
        """The metadata of each invoice item on an invoice, by its id (ii_…)."""

    async def remove_item(self, item_id: str) -> None:
        """Take an invoice item off a draft; one that is gone already is no failure."""

    async def credit_notes(self, invoice_id: str) -> Sequence[StripeCreditNote]:
        """What was taken off a finalized invoice."""

    async def credit_note(self, note_id: str) -> StripeCreditNote:
        """One credit note."""

    async def ensure_credit_note(
        self, *, key: str, is_retry: bool, invoice: StripeInvoice, amount: Money, memo: str, metadata: Mapping[str, str]
    ) -> str:
        """Take an amount off a finalized invoice. On an open one less is due; of a paid one the amount becomes
        credit of the customer's for its next invoice: no money is sent back.
        """

    async def invoice(self, invoice_id: str) -> StripeInvoice:
        """One invoice with all of its lines."""

    async def find_draft_invoice(self, subscription_id: str, period_end: datetime) -> StripeInvoice | None:
        """The cycle invoice, still a draft, of the period that ended then; None while Stripe has not made it."""

    async def hold_invoice(self, invoice_id: str, *, is_taxed: bool = False) -> StripeInvoice:
        """Keep a draft from being finalized by Stripe's own timer; answers it as it then stands: one that was finalized
        meanwhile goes on being collected. Safe to repeat. With `is_taxed` taxes are added.
        """

    async def add_lines(
        self, *, key: str, is_retry: bool, invoice: StripeInvoice, lines: Sequence[StripeLineToBe]
    ) -> AddedLines:
        """Add finished amounts to a draft, all or none, and answer the invoice as it then stands.

        If an earlier attempt added any, nothing is added: their items are answered, and what is missing is the
        caller's to add by `add_line` under the line's own key.
        """

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

    async def finalize_invoice(self, invoice_id: str, *, key: str, is_collected: bool = True) -> StripeInvoice:
        """Finalize a draft and let Stripe collect, unless we do. Answers it as it is then, perhaps before the charge;
        one that is finalized already as it is now.
        """

    async def missed_events(self, since: datetime, after: str | None) -> Sequence[MissedEvent]:
        """A page of events since then that not every endpoint has confirmed, newest first, after the event named."""
