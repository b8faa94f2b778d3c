"""Stripe's objects as JSON, read as values of `integrations.protocols`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from inkmeter.money import Money
from integrations.protocols import (
    StripeCreditNote,
    StripeInvoice,
    StripeInvoiceHead,
    StripeLine,
    StripePrice,
    StripePriceTerms,
    StripeSubscription,
)

Json = dict[str, Any]


def interval_of(price: Json) -> str | None:
    """How often a price is due: "month" or "year", None for anything else."""
    recurring = price["recurring"]
    return recurring["interval"] if recurring and recurring["interval_count"] == 1 else None


def subscription_of(data: Json) -> StripeSubscription:
    """A subscription; its period ends when the first of its items' does."""
    return StripeSubscription(
        id=data["id"],
        customer_id=data["customer"],
        status=data["status"],
        period_end=min(moment_of(item["current_period_end"]) for item in data["items"]["data"]),
        metadata=data["metadata"],
        items={item["price"]["id"]: item.get("quantity") for item in data["items"]["data"]},
        pause_reason=_pause_reason(data),
        trial_ends_at=None if data["trial_end"] is None else moment_of(data["trial_end"]),
    )


def price_of(data: Json) -> StripePrice:
    """A recurring price; its tiers are there only where they were asked for (`expand`)."""
    recurring, transform = data["recurring"] or {}, data["transform_quantity"]
    exact = data["unit_amount_decimal"]
    return StripePrice(
        id=data["id"],
        is_active=data["active"],
        lookup_key=data["lookup_key"],
        terms=StripePriceTerms(
            product_id=data["product"],
            currency=data["currency"].upper(),
            interval=interval_of(data) or "",
            unit_amount=None if exact is None else Decimal(exact),
            meter_id=recurring.get("meter"),
            tiers=tuple(
                (
                    tier["up_to"],
                    Decimal(tier["unit_amount_decimal"] or 0),
                    Decimal(tier["flat_amount_decimal"] or 0),
                )
                for tier in data.get("tiers") or []
            ),
            tiers_mode=data["tiers_mode"],
            package=(transform["divide_by"], transform["round"]) if transform else None,
        ),
    )


def _pause_reason(subscription: Json) -> str | None:
    """Why a subscription is paused: told since API version 2026-10-28 (endive)."""
    paused = (subscription.get("status_details") or {}).get("paused") or {}
    return (paused.get("subscription") or {}).get("type")


def invoice_of(data: Json, lines: Sequence[Json]) -> StripeInvoice:
    """An invoice with all of its lines, which Stripe embeds ten of at most."""
    currency = data["currency"].upper()
    next_attempt = data["next_payment_attempt"]
    return StripeInvoice(
        id=data["id"],
        customer_id=data["customer"],
        subscription_id=_subscription_details(data).get("subscription"),
        status=data["status"],
        billing_reason=data["billing_reason"],
        is_advancing=data["auto_advance"],
        period=(moment_of(data["period_start"]), moment_of(data["period_end"])),
        subtotal=Money(data["subtotal"], currency),
        discounts=Money(sum(entry["amount"] for entry in data.get("total_discount_amounts") or ()), currency),
        exclusive_tax=Money(_exclusive_tax(data), currency),
        total=Money(data["total"], currency),
        amount_due=Money(data["amount_due"], currency),
        amount_paid=Money(data["amount_paid"], currency),
        attempt_count=data["attempt_count"],
        next_payment_attempt_at=None if next_attempt is None else moment_of(next_attempt),
        number=data.get("number"),
        hosted_url=data["hosted_invoice_url"],
        finalization_problem=(data.get("last_finalization_error") or {}).get("message"),
        pdf_url=data.get("invoice_pdf"),
        finalization_error=(data.get("last_finalization_error") or {}).get("code"),
        metadata=data["metadata"] or {},
        subscription_metadata=_subscription_details(data).get("metadata") or {},
        lines=tuple(_line(line) for line in lines),
        settled_at=_settled_at(data),
        has_credit_notes=any(data.get(f"{when}_payment_credit_notes_amount") for when in ("pre", "post")),
        uncollectible_reason=((data.get("status_details") or {}).get("uncollectible") or {}).get("reason"),
        is_taxed=bool((data.get("automatic_tax") or {}).get("enabled")),
    )


_SETTLED = {"paid": "paid_at", "void": "voided_at", "uncollectible": "marked_uncollectible_at"}


def _settled_at(invoice: Json) -> datetime | None:
    at = invoice["status_transitions"].get(_SETTLED.get(invoice["status"] or "", ""))
    return None if at is None else moment_of(at)


def _subscription_details(invoice: Json) -> Json:
    """Where an invoice names its subscription since API version 2025-03-31 (basil)."""
    return (invoice["parent"] or {}).get("subscription_details") or {}


def _line(data: Json) -> StripeLine:
    details = (data["parent"] or {}).get("invoice_item_details")
    price = ((data.get("pricing") or {}).get("price_details") or {}).get("price")
    quantity = data.get("quantity_decimal") or data.get("quantity")
    return StripeLine(
        id=data["id"],
        invoice_item_id=details["invoice_item"] if details else None,
        description=data["description"],
        amount=Money(data["amount"], data["currency"].upper()),
        period=(moment_of(data["period"]["start"]), moment_of(data["period"]["end"])),
        price_id=None if details else price,
        quantity=None if quantity is None else Decimal(str(quantity)),
        metadata=data.get("metadata") or {},
    )


def invoice_head_of(data: Json) -> StripeInvoiceHead:
    """An invoice of a list."""
    return StripeInvoiceHead(
        id=data["id"],
        subscription_id=_subscription_details(data).get("subscription"),
        status=data["status"],
        created_at=moment_of(data["created"]),
        subtotal=Money(data["subtotal"], data["currency"].upper()),
        metadata=data["metadata"] or {},
    )


def credit_note_of(data: Json) -> StripeCreditNote:
    """A credit note."""
    return StripeCreditNote(
        id=data["id"],
        invoice_id=data["invoice"],
        amount=Money(data["amount"], data["currency"].upper()),
        is_void=data["status"] == "void",
        metadata=data["metadata"] or {},
    )


def _exclusive_tax(invoice: Json) -> int:
    """Taxes on top of the prices; inclusive ones are in the prices."""
    taxes = invoice.get("total_taxes") or ()
    return sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")


def moment_of(timestamp: int) -> datetime:
    """A moment, from Stripe's seconds since 1970."""
    return datetime.fromtimestamp(timestamp, UTC)
