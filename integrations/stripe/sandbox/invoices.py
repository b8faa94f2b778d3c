"""Invoices and their lines."""

from typing import Literal

from pydantic import Field

from integrations.stripe.sandbox import collection
from integrations.stripe.sandbox.books import Books, Object, created_in, paged
from integrations.stripe.sandbox.cards import attach, make_default
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import StripeFailure, declined
from integrations.stripe.sandbox.forms import Currency, Metadata, Page, Params, Range, merged
from integrations.stripe.sandbox.invoice_items import bill
from integrations.stripe.sandbox.taxes import AutomaticTax, state

Status = Literal["draft", "open", "paid", "void", "uncollectible"]


class UpdateInvoice(Params):
    auto_advance: bool | None = None
    automatic_tax: AutomaticTax | None = None
    description: str | None = None
    metadata: Metadata = Field(default_factory=dict)


class CreateInvoice(UpdateInvoice):
    customer: str
    currency: Currency | None = None
    collection_method: Literal["charge_automatically"] = "charge_automatically"
    pending_invoice_items_behavior: Literal["include", "exclude"] = "exclude"


class ListInvoices(Page):
    customer: str | None = None
    subscription: str | None = None
    status: Status | None = None
    created: Range | int | None = None


class FinalizeInvoice(Params):
    auto_advance: bool | None = None


class PayInvoice(Params):
    payment_method: str | None = None
    paid_out_of_band: bool = False


def create_invoice(books: Books, params: CreateInvoice) -> Object:
    """An invoice of its own. Stripe's docs: without `auto_advance` it stays a draft, pending items stay pending."""
    customer = books.get("customer", params.customer, "customer")
    currency = params.currency or customer["currency"] or "usd"
    invoice = collection.draft(
        books,
        customer,
        currency=currency,
        is_advancing=bool(params.auto_advance),
        is_taxed=params.automatic_tax is not None and params.automatic_tax.enabled,
        billing_reason="manual",
        description=params.description,
        metadata=params.metadata,
    )
    if params.pending_invoice_items_behavior == "include":
        for item in books.all("invoiceitem", customer=customer["id"], currency=currency):
            if item["invoice"] is None:
                bill(books, item, invoice, at_end=False)
    collection.announce(books, invoice)
    return books.shown(invoice)


def retrieve_invoice(books: Books, params: Params, invoice_id: str) -> Object:
    return books.shown(books.get("invoice", invoice_id))


def list_invoices(books: Books, params: ListInvoices) -> Object:
    found = books.all("invoice")
    if params.subscription is not None:
        found = collection.invoices_of(books, books.get("subscription", params.subscription, "subscription"))
    wanted = [
        invoice
        for invoice in found
        if params.customer in (None, invoice["customer"])
        and params.status in (None, invoice["status"])
        and created_in(invoice, params.created)
    ]
    page = paged(wanted, params, "/v1/invoices")
    return {**page, "data": [books.shown(invoice) for invoice in page["data"]]}


def update_invoice(books: Books, params: UpdateInvoice, invoice_id: str) -> Object:
    invoice = books.get("invoice", invoice_id)
    if params.description is not None:
        collection.require_status(invoice, "draft")
    changes = params.model_dump(include={"description"}, exclude_unset=True)
    if params.auto_advance is not None:
        collection.require_status(invoice, "draft", "open")
        is_draft = invoice["status"] == "draft"
        finalizes_at = books.now() + collection.DRAFT_WINDOW if is_draft and params.auto_advance else None
        changes |= {"auto_advance": params.auto_advance, "automatically_finalizes_at": finalizes_at}
        if not is_draft and params.auto_advance and invoice["next_payment_attempt"] is None:
            # Collection goes on. Stripe does not say when; an hour is our choice.
            changes["next_payment_attempt"] = books.now() + collection.HOUR
    if params.automatic_tax is not None:
        collection.require_status(invoice, "draft")
        changes["automatic_tax"] = state(params.automatic_tax.enabled)
    books.change(invoice, **changes, metadata=merged(invoice["metadata"], params.metadata))
    if params.automatic_tax is not None:
        collection.retotal(books, invoice)
    return books.shown(invoice)


def finalize_invoice(books: Books, params: FinalizeInvoice, invoice_id: str) -> Object:
    """Answers the invoice as it is before the charge: open, or paid where nothing is due."""
    invoice = books.get("invoice", invoice_id)
    collection.require_status(invoice, "draft")
    is_advancing = invoice["auto_advance"] if params.auto_advance is None else params.auto_advance
    collection.finalize(books, invoice, is_advancing=is_advancing)
    answer = books.shown(invoice)
    if is_advancing and invoice["status"] == "open":
        collection.collect(books, invoice)
    return answer


def pay_invoice(books: Books, params: PayInvoice, invoice_id: str) -> Object:
    invoice = books.get("invoice", invoice_id)
    if invoice["status"] == "paid":
        raise StripeFailure("Invoice is already paid")
    collection.require_status(invoice, "draft", "open", "uncollectible")
    if params.payment_method:
        customer = books.get("customer", invoice["customer"])
        make_default(books, customer, attach(books, customer, params.payment_method)["id"])
    if invoice["status"] == "draft":
        collection.finalize(books, invoice, is_advancing=invoice["auto_advance"])
    if invoice["status"] == "paid":
        return books.shown(invoice)
    if params.paid_out_of_band:
        collection.pay_out_of_band(books, invoice)
    elif not collection.collect(books, invoice):
        raise declined()
    return books.shown(invoice)


def void_invoice(books: Books, params: Params, invoice_id: str) -> Object:
    invoice = books.get("invoice", invoice_id)
    collection.require_status(invoice, "open", "uncollectible")
    collection.retire(books, invoice, "void", "voided_at")
    return books.shown(invoice)


def mark_uncollectible(books: Books, params: Params, invoice_id: str) -> Object:
    invoice = books.get("invoice", invoice_id)
    collection.require_status(invoice, "open")
    collection.retire(books, invoice, "uncollectible", "marked_uncollectible_at", reason="user_forgiven")
    return books.shown(invoice)


def delete_invoice(books: Books, params: Params, invoice_id: str) -> Object:
    """Stripe's docs: only a draft of a one-off invoice can be deleted."""
    invoice = books.get("invoice", invoice_id)
    collection.require_status(invoice, "draft")
    if invoice["parent"] is not None:
        raise StripeFailure("You can only delete draft invoices that were made by themselves")
    books.emit("invoice.deleted", invoice)
    for item in books.all("invoiceitem", invoice=invoice_id):
        del books.tables["invoiceitem"][item["id"]]
    del books.tables["invoice"][invoice_id]
    return {"id": invoice_id, "object": "invoice", "deleted": True}


def list_lines(books: Books, params: Page, invoice_id: str) -> Object:
    invoice = books.get("invoice", invoice_id)
    return paged(books.lines_of(invoice), params, f"/v1/invoices/{invoice_id}/lines", newest_first=False)


ENDPOINTS = (
    Endpoint("POST", "/v1/invoices", CreateInvoice, create_invoice),
    Endpoint("GET", "/v1/invoices", ListInvoices, list_invoices),
    Endpoint("GET", "/v1/invoices/{id}", Params, retrieve_invoice),
    Endpoint("POST", "/v1/invoices/{id}", UpdateInvoice, update_invoice),
    Endpoint("DELETE", "/v1/invoices/{id}", Params, delete_invoice),
    Endpoint("POST", "/v1/invoices/{id}/finalize", FinalizeInvoice, finalize_invoice),
    Endpoint("POST", "/v1/invoices/{id}/pay", PayInvoice, pay_invoice),
    Endpoint("POST", "/v1/invoices/{id}/void", Params, void_invoice),
    Endpoint("POST", "/v1/invoices/{id}/mark_uncollectible", Params, mark_uncollectible),
    Endpoint("GET", "/v1/invoices/{id}/lines", Page, list_lines),
)
