"""Credit notes: amounts taken off a finalized invoice. Amounts alone, no lines, no refunds of money."""

from typing import Literal

from pydantic import Field

from integrations.stripe.sandbox import collection
from integrations.stripe.sandbox.books import Books, Object, listed, paged
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import StripeFailure
from integrations.stripe.sandbox.forms import Metadata, Page, Params

Reason = Literal["duplicate", "fraudulent", "order_change", "product_unsatisfactory"]


class CreateCreditNote(Params):
    invoice: str
    amount: int = Field(ge=1)
    credit_amount: int | None = Field(default=None, ge=0)
    out_of_band_amount: int | None = Field(default=None, ge=0)
    memo: str | None = None
    reason: Reason | None = None
    metadata: Metadata = Field(default_factory=dict)


class ListCreditNotes(Page):
    customer: str | None = None
    invoice: str | None = None


def create_credit_note(books: Books, params: CreateCreditNote) -> Object:
    """Of an open invoice less is due; of a paid one the amount goes to the customer's balance, or was given back
    elsewhere.
    """
    invoice = books.get("invoice", params.invoice, "invoice")
    collection.require_status(invoice, "open", "paid", "uncollectible")
    is_paid = invoice["status"] == "paid"
    returned = (params.credit_amount or 0) + (params.out_of_band_amount or 0)
    if returned != (params.amount if is_paid else 0):
        raise StripeFailure(
            "The sum of credit_amount and out_of_band_amount must equal what is credited after payment."
        )
    if params.amount > _creditable(invoice):
        raise StripeFailure(f"The invoice has {_creditable(invoice)} left to credit.", param="amount")
    note = books.new(
        "credit_note",
        amount=params.amount,
        amount_shipping=0,
        created=books.now(),
        currency=invoice["currency"],
        customer=invoice["customer"],
        customer_balance_transaction=None,
        discount_amount=0,
        discount_amounts=[],
        effective_at=books.now(),
        invoice=invoice["id"],
        lines=listed([], "/v1/credit_notes/lines"),
        memo=params.memo,
        metadata=params.metadata,
        number=f"{invoice['number']}-CN-{len(_notes_on(books, invoice)) + 1:02d}",
        out_of_band_amount=params.out_of_band_amount,
        pdf=f"https://invoice.sandbox.invalid/{invoice['id']}/credit_note",
        post_payment_amount=params.amount if is_paid else 0,
        pre_payment_amount=0 if is_paid else params.amount,
        pretax_credit_amounts=[],
        reason=params.reason,
        refunds=[],
        shipping_cost=None,
        status="issued",
        subtotal=params.amount,
        subtotal_excluding_tax=params.amount,
        total=params.amount,
        total_excluding_tax=params.amount,
        total_taxes=[],
        type="post_payment" if is_paid else "pre_payment",
        voided_at=None,
    )
    books.emit("credit_note.created", note)
    _apply(books, invoice, params, is_paid=is_paid)
    return books.shown(note)


def _apply(books: Books, invoice: Object, params: CreateCreditNote, *, is_paid: bool) -> None:
    customer = books.get("customer", invoice["customer"])
    if is_paid:
        after = invoice["post_payment_credit_notes_amount"] + params.amount
        books.change(invoice, post_payment_credit_notes_amount=after)
        if not customer.get("deleted"):
            books.change(customer, balance=customer["balance"] - (params.credit_amount or 0))
        return
    books.change(
        invoice,
        pre_payment_credit_notes_amount=invoice["pre_payment_credit_notes_amount"] + params.amount,
        amount_due=invoice["amount_due"] - params.amount,
        amount_remaining=invoice["amount_remaining"] - params.amount,
    )
    if not invoice["amount_remaining"]:
        collection.pay_out_of_band(books, invoice)


def _creditable(invoice: Object) -> int:
    if invoice["status"] == "paid":
        return int(
            invoice["total"] - invoice["pre_payment_credit_notes_amount"] - invoice["post_payment_credit_notes_amount"]
        )
    return int(invoice["amount_remaining"])


def _notes_on(books: Books, invoice: Object) -> list[Object]:
    return books.all("credit_note", invoice=invoice["id"])


def retrieve_credit_note(books: Books, params: Params, note_id: str) -> Object:
    return books.shown(books.get("credit_note", note_id))


def list_credit_notes(books: Books, params: ListCreditNotes) -> Object:
    found = books.all("credit_note", customer=params.customer, invoice=params.invoice)
    return paged(found, params, "/v1/credit_notes")


def void_credit_note(books: Books, params: Params, note_id: str) -> Object:
    """Only what was credited before the payment can be taken back."""
    note = books.get("credit_note", note_id)
    invoice = books.get("invoice", note["invoice"])
    if note["status"] == "void" or invoice["status"] != "open":
        raise StripeFailure("You cannot void this credit note.")
    note.update(status="void", voided_at=books.now())
    books.emit("credit_note.voided", note)
    books.change(
        invoice,
        pre_payment_credit_notes_amount=invoice["pre_payment_credit_notes_amount"] - note["amount"],
        amount_due=invoice["amount_due"] + note["amount"],
        amount_remaining=invoice["amount_remaining"] + note["amount"],
    )
    return books.shown(note)


ENDPOINTS = (
    Endpoint("POST", "/v1/credit_notes", CreateCreditNote, create_credit_note),
    Endpoint("GET", "/v1/credit_notes", ListCreditNotes, list_credit_notes),
    Endpoint("GET", "/v1/credit_notes/{id}", Params, retrieve_credit_note),
    Endpoint("POST", "/v1/credit_notes/{id}/void", Params, void_credit_note),
)
