"""Automatic tax: one percentage for everybody, on top, for customers whose country is known."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from integrations.stripe.sandbox.books import Books, Object
from integrations.stripe.sandbox.failures import StripeFailure

NO_LOCATION: Final = "customer_tax_location_invalid"


class AutomaticTax(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool


class Address(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


def setting(is_enabled: bool) -> Object:
    """What a subscription says of it."""
    return {"enabled": is_enabled, "liability": {"type": "self"} if is_enabled else None, "disabled_reason": None}


def state(is_enabled: bool) -> Object:
    """What a new invoice says of it."""
    return {**setting(is_enabled), "status": None, "provider": "stripe" if is_enabled else None}


def taxes_on(books: Books, invoice: Object, subtotal: int) -> list[dict[str, Any]]:
    """The taxes of an invoice, in Stripe's form; none where it is off or the customer has no country.

    Half a minor unit is rounded up.
    """
    if not invoice["automatic_tax"]["enabled"] or not _is_located(books, invoice):
        return []
    return [
        {
            "amount": (subtotal * books.tax_percent * 2 + 100) // 200,
            "tax_behavior": "exclusive",
            "tax_rate_details": None,
            "taxability_reason": "standard_rated",
            "taxable_amount": subtotal,
            "type": "tax_rate_details",
        }
    ]


def require_location(books: Books, invoice: Object) -> None:
    """Raises StripeFailure, after `invoice.finalization_failed`, for a customer that cannot be taxed."""
    if not invoice["automatic_tax"]["enabled"]:
        return
    if _is_located(books, invoice):
        invoice["automatic_tax"]["status"] = "complete"
        invoice["last_finalization_error"] = None
        return
    message = "The customer's location isn't recognized. Set a valid customer address in order to calculate tax."
    invoice["automatic_tax"]["status"] = "requires_location_inputs"
    invoice.update(
        auto_advance=False,
        automatically_finalizes_at=None,
        last_finalization_error={"type": "invalid_request_error", "code": NO_LOCATION, "message": message},
    )
    books.emit("invoice.finalization_failed", invoice)
    raise StripeFailure(message, code=NO_LOCATION)


def _is_located(books: Books, invoice: Object) -> bool:
    return bool((books.get("customer", invoice["customer"]).get("address") or {}).get("country"))
