"""Checkout sessions: a page where a customer pays once, at once or by a bank that takes its time."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from integrations.stripe.sandbox import payments
from integrations.stripe.sandbox.amounts import check_step
from integrations.stripe.sandbox.books import Books, Object, created_in, paged
from integrations.stripe.sandbox.collection import HOUR, SMALLEST_CHARGE
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import StripeFailure
from integrations.stripe.sandbox.forms import Currency, Metadata, Page, Params, Range

LASTS: Final = 24 * HOUR
"""Stripe's API reference: a session expires 24 hours after its creation, or at `expires_at`, 30 minutes at least."""

Outcome = Literal["pay", "fail", "async", "async_paid", "async_failed"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProductData(_Part):
    name: str
    description: str | None = None


class PriceData(_Part):
    currency: Currency
    unit_amount: int = Field(ge=0)
    product_data: ProductData


class LineItem(_Part):
    price_data: PriceData
    quantity: int = Field(default=1, ge=1)


class PaymentIntentData(_Part):
    description: str | None = None
    metadata: Metadata = Field(default_factory=dict)


class CreateSession(Params):
    mode: Literal["payment"]
    line_items: list[LineItem]
    success_url: str
    cancel_url: str | None = None
    client_reference_id: str | None = Field(default=None, max_length=200)
    customer: str | None = None
    expires_at: int | None = None
    metadata: Metadata = Field(default_factory=dict)
    payment_intent_data: PaymentIntentData = PaymentIntentData()


class ListSessions(Page):
    customer: str | None = None
    payment_intent: str | None = None
    status: Literal["open", "complete", "expired"] | None = None
    created: Range | int | None = None


def create_session(books: Books, params: CreateSession) -> Object:
    if params.customer is not None:
        books.get("customer", params.customer, "customer")
    currencies = {item.price_data.currency for item in params.line_items}
    if len(currencies) != 1:
        raise StripeFailure("All line items have the same currency.", param="line_items")
    now, [currency] = books.now(), currencies
    for item in params.line_items:
        check_step(item.price_data.unit_amount, currency, "line_items")
    total = sum(item.price_data.unit_amount * item.quantity for item in params.line_items)
    if total < SMALLEST_CHARGE.get(currency, 50):
        raise StripeFailure(
            "The Checkout Session's total amount due must add up to at least the smallest charge.",
            code="amount_too_small",
        )
    if params.expires_at is not None and not now + HOUR // 2 <= params.expires_at <= now + LASTS:
        raise StripeFailure("`expires_at` is 30 minutes to 24 hours after creation.", param="expires_at")
    session = books.new(
        "checkout.session",
        created=now,
        adaptive_pricing=None,
        amount_subtotal=total,
        amount_total=total,
        automatic_tax={"enabled": False, "liability": None, "provider": None, "status": None},
        cancel_url=params.cancel_url,
        client_reference_id=params.client_reference_id,
        currency=currency,
        custom_fields=[],
        custom_text={
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        customer=params.customer,
        expires_at=params.expires_at or now + LASTS,
        invoice=None,
        metadata=params.metadata,
        mode="payment",
        payment_intent=None,
        payment_method_types=["card"],
        payment_status="unpaid",
        shipping_options=[],
        status="open",
        subscription=None,
        success_url=params.success_url,
        url=None,
    )
    session["url"] = f"{books.base_url}/_sandbox/checkout/{session['id']}"
    books.intent_metadata[session["id"]] = params.payment_intent_data.metadata
    return books.shown(session)


def retrieve_session(books: Books, params: Params, session_id: str) -> Object:
    return books.shown(books.get("checkout.session", session_id))


def list_sessions(books: Books, params: ListSessions) -> Object:
    found = books.all(
        "checkout.session", customer=params.customer, payment_intent=params.payment_intent, status=params.status
    )
    return paged([s for s in found if created_in(s, params.created)], params, "/v1/checkout/sessions")


def expire_session(books: Books, params: Params, session_id: str) -> Object:
    session = books.get("checkout.session", session_id)
    if session["status"] != "open":
        raise StripeFailure(f"Only an open Checkout Session can be expired; this one is {session['status']}.")
    expire(books, session)
    return books.shown(session)


def expire(books: Books, session: Object) -> None:
    """Nobody can pay any more."""
    session.update(status="expired", url=None)
    books.emit("checkout.session.expired", session)


def act(books: Books, session: Object, outcome: Outcome) -> None:
    """What a person, or later the bank, does on the page. A declined card leaves the session open."""
    wanted = ("complete", "unpaid") if outcome in ("async_paid", "async_failed") else ("open", "unpaid")
    if (session["status"], session["payment_status"]) != wanted:
        raise StripeFailure(f"the session is {session['status']} and {session['payment_status']}")
    intent = _intent(books, session)
    match outcome:
        case "pay":
            payments.succeed(books, intent)
            session.update(status="complete", payment_status="paid", url=None)
            books.emit("checkout.session.completed", session)
        case "fail":
            payments.decline(intent)
        case "async":
            intent["status"] = "processing"
            session.update(status="complete", url=None)
            books.emit("checkout.session.completed", session)
        case "async_paid":
            payments.succeed(books, intent)
            session["payment_status"] = "paid"
            books.emit("checkout.session.async_payment_succeeded", session)
        case "async_failed":
            payments.decline(intent)
            books.emit("checkout.session.async_payment_failed", session)


def _intent(books: Books, session: Object) -> Object:
    """Stripe's docs: made when the customer confirms the session."""
    if session["payment_intent"] is None:
        intent = payments.new_intent(
            books,
            customer=session["customer"],
            amount=session["amount_total"],
            currency=session["currency"],
            metadata=books.intent_metadata[session["id"]],
        )
        session["payment_intent"] = intent["id"]
    return books.get("payment_intent", session["payment_intent"])


ENDPOINTS = (
    Endpoint("POST", "/v1/checkout/sessions", CreateSession, create_session),
    Endpoint("GET", "/v1/checkout/sessions", ListSessions, list_sessions),
    Endpoint("GET", "/v1/checkout/sessions/{id}", Params, retrieve_session),
    Endpoint("POST", "/v1/checkout/sessions/{id}/expire", Params, expire_session),
)
