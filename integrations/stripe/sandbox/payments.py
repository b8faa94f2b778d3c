"""Money that has moved: payment intents, charges, and the payments of invoices."""

from pydantic import BaseModel, ConfigDict

from integrations.stripe.sandbox.books import Books, Object, paged
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import StripeFailure
from integrations.stripe.sandbox.forms import Page, Params


class PaymentOf(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    payment_intent: str | None = None


class ListInvoicePayments(Page):
    invoice: str | None = None
    payment: PaymentOf | None = None
    status: str | None = None


def new_intent(books: Books, *, customer: str | None, amount: int, currency: str, metadata: dict[str, str]) -> Object:
    """A payment that has not begun."""
    return books.new(
        "payment_intent",
        created=books.now(),
        amount=amount,
        amount_capturable=0,
        amount_received=0,
        canceled_at=None,
        capture_method="automatic",
        confirmation_method="automatic",
        currency=currency,
        customer=customer,
        last_payment_error=None,
        latest_charge=None,
        metadata=metadata,
        payment_method=None,
        payment_method_types=["card"],
        status="requires_payment_method",
    )


def succeed(books: Books, intent: Object) -> Object:
    """The money has come. Answers the charge."""
    charge = books.new(
        "charge",
        created=books.now(),
        amount=intent["amount"],
        amount_captured=intent["amount"],
        amount_refunded=0,
        balance_transaction=None,
        billing_details={"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        captured=True,
        currency=intent["currency"],
        customer=intent["customer"],
        disputed=False,
        metadata=dict(intent["metadata"]),
        paid=True,
        payment_intent=intent["id"],
        payment_method_details=None,
        refunded=False,
        status="succeeded",
    )
    intent.update(status="succeeded", amount_received=intent["amount"], latest_charge=charge["id"])
    return charge


def decline(intent: Object) -> None:
    """The bank has refused; another card may be tried."""
    intent.update(
        status="requires_payment_method",
        last_payment_error={
            "type": "card_error",
            "code": "card_declined",
            "decline_code": "generic_decline",
            "message": "Your card was declined.",
        },
    )


def pay_for(books: Books, invoice: Object, *, has_paid: bool) -> None:
    """Note an attempt to charge an invoice: its one payment, made with the first attempt."""
    [payment] = books.all("invoice_payment", invoice=invoice["id"]) or [_new_payment(books, invoice)]
    intent = books.get("payment_intent", payment["payment"]["payment_intent"])
    if not has_paid:
        decline(intent)
        return
    succeed(books, intent)
    payment.update(status="paid", amount_paid=invoice["amount_due"])
    payment["status_transitions"]["paid_at"] = books.now()


def _new_payment(books: Books, invoice: Object) -> Object:
    intent = new_intent(
        books,
        customer=invoice["customer"],
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        metadata={},
    )
    return books.new(
        "invoice_payment",
        created=books.now(),
        amount_paid=None,
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=True,
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
        status="open",
        status_transitions={"canceled_at": None, "paid_at": None},
    )


def list_invoice_payments(books: Books, params: ListInvoicePayments) -> Object:
    if params.payment is not None and (params.payment.type != "payment_intent" or not params.payment.payment_intent):
        raise StripeFailure("Name the payment intent.", param="payment")
    found = [
        payment
        for payment in books.all("invoice_payment", invoice=params.invoice, status=params.status)
        if params.payment is None or payment["payment"]["payment_intent"] == params.payment.payment_intent
    ]
    return paged(found, params, "/v1/invoice_payments")


def retrieve_invoice_payment(books: Books, params: Params, payment_id: str) -> Object:
    return books.shown(books.get("invoice_payment", payment_id))


ENDPOINTS = (
    Endpoint("GET", "/v1/invoice_payments", ListInvoicePayments, list_invoice_payments),
    Endpoint("GET", "/v1/invoice_payments/{id}", Params, retrieve_invoice_payment),
)
