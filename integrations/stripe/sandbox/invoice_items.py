"""Invoice items: amounts for a draft, or pending for the next invoice of a cycle."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from integrations.stripe.sandbox import collection
from integrations.stripe.sandbox.amounts import check_step
from integrations.stripe.sandbox.books import Books, Object, created_in, paged
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import StripeFailure
from integrations.stripe.sandbox.forms import Currency, Metadata, Page, Params, Range

MOST_ITEMS: Final = 250
"""Items that one invoice may hold (Stripe's API reference)."""


class Period(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    start: int
    end: int


class CreateInvoiceItem(Params):
    customer: str
    amount: int
    currency: Currency | None = None
    invoice: str | None = None
    subscription: str | None = None
    description: str | None = None
    period: Period | None = None
    metadata: Metadata = Field(default_factory=dict)


class NewLine(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: int
    description: str | None = None
    period: Period | None = None
    metadata: Metadata = Field(default_factory=dict)


class AddLines(Params):
    lines: list[NewLine] = Field(min_length=1)


class ListInvoiceItems(Page):
    customer: str | None = None
    invoice: str | None = None
    pending: bool | None = None
    created: Range | int | None = None


def add_lines(books: Books, params: AddLines, invoice_id: str) -> Object:
    """All lines or none; each becomes an invoice item. That the item has the line's metadata is our reading."""
    invoice = books.get("invoice", invoice_id)
    collection.require_status(invoice, "draft")
    if _items_on(books, invoice) + len(params.lines) > MOST_ITEMS:
        raise StripeFailure(f"An invoice holds at most {MOST_ITEMS} invoice items.", param="lines")
    for line in params.lines:
        create_invoice_item(
            books,
            CreateInvoiceItem(
                customer=invoice["customer"],
                invoice=invoice_id,
                amount=line.amount,
                description=line.description,
                period=line.period,
                metadata=line.metadata,
            ),
        )
    return books.shown(invoice)


def create_invoice_item(books: Books, params: CreateInvoiceItem) -> Object:
    books.get("customer", params.customer, "customer")
    invoice = _target(books, params)
    currency = params.currency or (invoice["currency"] if invoice else None)
    if currency is None:
        raise StripeFailure("Missing required param: currency.", code="parameter_missing", param="currency")
    check_step(params.amount, currency, "amount")
    if params.subscription is not None:
        books.get("subscription", params.subscription, "subscription")
    now = books.now()
    item = books.new(
        "invoiceitem",
        customer=params.customer,
        amount=params.amount,
        net_amount=params.amount,
        currency=currency,
        date=now,
        description=params.description,
        discountable=True,
        discounts=[],
        invoice=None,
        metadata=params.metadata,
        parent=_parent(params.subscription),
        period=params.period.model_dump() if params.period else {"start": now, "end": now},
        pricing=None,
        proration=False,
        quantity=1,
        quantity_decimal="1",
        tax_rates=[],
        test_clock=None,
    )
    if invoice:
        bill(books, item, invoice)
    books.emit("invoiceitem.created", item)
    return books.shown(item)


def retrieve_invoice_item(books: Books, params: Params, item_id: str) -> Object:
    return books.shown(books.get("invoiceitem", item_id))


def list_invoice_items(books: Books, params: ListInvoiceItems) -> Object:
    found = books.all("invoiceitem", customer=params.customer, invoice=params.invoice)
    if params.pending is not None:
        found = [item for item in found if (item["invoice"] is None) == params.pending]
    found = [item for item in found if created_in({"created": item["date"]}, params.created)]
    return paged(found, params, "/v1/invoiceitems")


def delete_invoice_item(books: Books, params: Params, item_id: str) -> Object:
    item = books.get("invoiceitem", item_id)
    if item["invoice"] is not None:
        invoice = books.get("invoice", item["invoice"])
        collection.require_status(invoice, "draft")
        for line in books.lines_of(invoice):
            details = line["parent"]["invoice_item_details"]
            if details and details["invoice_item"] == item_id:
                collection.remove_line(books, invoice, line)
    books.emit("invoiceitem.deleted", item)
    del books.tables["invoiceitem"][item_id]
    return {"id": item_id, "object": "invoiceitem", "deleted": True}


def bill(books: Books, item: Object, invoice: Object, *, at_end: bool = True) -> None:
    """Put an item on a draft, as a line of its own."""
    item["invoice"] = invoice["id"]
    subscription = item["parent"]["subscription_details"]["subscription"] if item["parent"] else None
    collection.add_line(
        books,
        invoice,
        amount=item["amount"],
        at_end=at_end,
        description=item["description"],
        period=item["period"],
        metadata=item["metadata"],
        parent={
            "type": "invoice_item_details",
            "subscription_item_details": None,
            "invoice_item_details": {
                "invoice_item": item["id"],
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": subscription,
            },
        },
    )


def _items_on(books: Books, invoice: Object) -> int:
    return sum(line["parent"]["invoice_item_details"] is not None for line in books.lines_of(invoice))


def _target(books: Books, params: CreateInvoiceItem) -> Object | None:
    if params.invoice is None:
        return None
    invoice = books.get("invoice", params.invoice, "invoice")
    collection.require_status(invoice, "draft")
    if invoice["customer"] != params.customer:
        raise StripeFailure("The invoice belongs to another customer.", param="invoice")
    if params.currency not in (None, invoice["currency"]):
        raise StripeFailure(
            f"The currency of the item ({params.currency}) is not the invoice's ({invoice['currency']}).",
            param="currency",
        )
    if _items_on(books, invoice) >= MOST_ITEMS:
        raise StripeFailure(f"An invoice holds at most {MOST_ITEMS} invoice items.", param="invoice")
    return invoice


def _parent(subscription_id: str | None) -> Object | None:
    if subscription_id is None:
        return None
    return {"type": "subscription_details", "subscription_details": {"subscription": subscription_id}}


ENDPOINTS = (
    Endpoint("POST", "/v1/invoices/{id}/add_lines", AddLines, add_lines),
    Endpoint("POST", "/v1/invoiceitems", CreateInvoiceItem, create_invoice_item),
    Endpoint("GET", "/v1/invoiceitems", ListInvoiceItems, list_invoice_items),
    Endpoint("GET", "/v1/invoiceitems/{id}", Params, retrieve_invoice_item),
    Endpoint("DELETE", "/v1/invoiceitems/{id}", Params, delete_invoice_item),
)
