"""Cards: payment methods of customers, made from Stripe's test tokens."""

from typing import Final, Literal

from integrations.stripe.sandbox.books import Books, Card, Object, paged
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import StripeFailure
from integrations.stripe.sandbox.forms import Page, Params

TEST_CARDS: Final = {"pm_card_visa": "4242", "pm_card_chargeCustomerFail": "0341"}
"""Stripe's test cards by token: the last digits tell whether charging succeeds."""

DECLINING = TEST_CARDS["pm_card_chargeCustomerFail"]


class AttachPaymentMethod(Params):
    customer: str


class ListPaymentMethods(Page):
    customer: str | None = None
    type: Literal["card"] | None = None


def attach_payment_method(books: Books, params: AttachPaymentMethod, payment_method_id: str) -> Object:
    customer = books.get("customer", params.customer, "customer")
    return books.shown(attach(books, customer, payment_method_id))


def retrieve_payment_method(books: Books, params: Params, payment_method_id: str) -> Object:
    return books.shown(books.get("payment_method", payment_method_id))


def list_payment_methods(books: Books, params: ListPaymentMethods) -> Object:
    found = books.all("payment_method", customer=params.customer, type=params.type)
    return paged(found, params, "/v1/payment_methods")


def attach(books: Books, customer: Object, payment_method_id: str) -> Object:
    """Give the customer a card: a test card's token makes a new one, an id names one that is attached already."""
    if payment_method_id not in TEST_CARDS:
        method = books.get("payment_method", payment_method_id, "payment_method")
        if method["customer"] != customer["id"]:
            raise StripeFailure("The payment method you provided is attached to another customer.")
        return method
    method = books.new(
        "payment_method",
        type="card",
        created=books.now(),
        customer=customer["id"],
        metadata={},
        allow_redisplay="unspecified",
        billing_details={"address": None, "email": customer["email"], "name": customer["name"], "phone": None},
        card={
            "brand": "visa",
            "last4": TEST_CARDS[payment_method_id],
            "exp_month": 12,
            "exp_year": 2034,
            "funding": "credit",
            "country": "US",
        },
    )
    books.emit("payment_method.attached", method)
    return method


def set_card(books: Books, customer: Object, card: Card) -> None:
    """Make a working card, a declined one or none the customer's default, as if by Stripe's own pages."""
    if card == "none":
        customer["invoice_settings"]["default_payment_method"] = None
        return
    token = "pm_card_visa" if card == "success" else "pm_card_chargeCustomerFail"
    make_default(books, customer, attach(books, customer, token)["id"])


def make_default(books: Books, customer: Object, payment_method_id: str) -> None:
    """Charge the customer's invoices to this card from now on."""
    method = attach(books, customer, payment_method_id)
    customer["invoice_settings"]["default_payment_method"] = method["id"]


def can_pay(books: Books, customer: Object) -> bool:
    """Whether a charge to the customer's default card succeeds; a card that fails so many times is asked once more."""
    if left := books.declines.get(customer["id"], 0):
        books.declines[customer["id"]] = left - 1
        return False
    default = customer["invoice_settings"]["default_payment_method"]
    return default is not None and books.get("payment_method", default)["card"]["last4"] != DECLINING


ENDPOINTS = (
    Endpoint("GET", "/v1/payment_methods", ListPaymentMethods, list_payment_methods),
    Endpoint("GET", "/v1/payment_methods/{id}", Params, retrieve_payment_method),
    Endpoint("POST", "/v1/payment_methods/{id}/attach", AttachPaymentMethod, attach_payment_method),
)
