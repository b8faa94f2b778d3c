"""Stripe's objects as JSON, read as values of `integrations.protocols`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from inkmeter.money import Money
from integrations.protocols import StripeInvoice, StripeLine, StripeSubscription

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
        pause_reason=_pause_reason(data),
        trial_ends_at=None if data["trial_end"] is None else moment_of(data["trial_end"]),
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
        total=Money(data["total"], currency),
        amount_due=Money(data["amount_due"], currency),
        amount_paid=Money(data["amount_paid"], currency),
        attempt_count=data["attempt_count"],
        next_payment_attempt_at=None if next_attempt is None else moment_of(next_attempt),
        hosted_url=data["hosted_invoice_url"],
        number=data["number"],
        finalization_problem=(data.get("last_finalization_error") or {}).get("message"),
        metadata=data["metadata"] or {},
        subscription_metadata=_subscription_details(data).get("metadata") or {},
        lines=tuple(_line(line) for line in lines),
        settled_at=_settled_at(data),
        uncollectible_reason=((data.get("status_details") or {}).get("uncollectible") or {}).get("reason"),
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
    return StripeLine(
        id=data["id"],
        invoice_item_id=details["invoice_item"] if details else None,
        description=data["description"],
        amount=Money(data["amount"], data["currency"].upper()),
    )


def moment_of(timestamp: int) -> datetime:
    """A moment, from Stripe's seconds since 1970."""
    return datetime.fromtimestamp(timestamp, UTC)
