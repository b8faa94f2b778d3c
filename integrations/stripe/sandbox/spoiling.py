"""Spoiling the books: what another system, a person or a bug may do to an account, for tests of a reconciliation.

No rule of Stripe's is kept here: a finalized invoice changes, too. An invoice's sums follow its lines unless they are
what is spoiled.
"""

from typing import Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from integrations.stripe.sandbox import collection
from integrations.stripe.sandbox.account import Account
from integrations.stripe.sandbox.books import Books, Object
from integrations.stripe.sandbox.control import Order, read_order
from integrations.stripe.sandbox.invoice_items import bill


class LineOrder(Order):
    """Change one line of an invoice, take it away, double it, or add one of another system's."""

    do: Literal["change", "remove", "double", "add"]
    position: int = Field(default=0, ge=0)
    amount: int | None = None
    currency: str | None = None
    period: dict[Literal["start", "end"], int] | None = None
    description: str = "By another system"


class SumsOrder(Order):
    """Set an invoice's sums or status, whatever its lines say."""

    subtotal: int | None = None
    total: int | None = None
    status: Literal["draft", "open", "paid", "void", "uncollectible"] | None = None


class ForeignOrder(Order):
    """An invoice that another system made for a customer; `metadata` may claim to be ours."""

    amount: int
    currency: str = "usd"
    metadata: dict[str, str] = Field(default_factory=dict)


class TaxOrder(Order):
    """The percentage of automatic tax."""

    percent: int = Field(ge=0, le=100)


def routes(account: Account) -> list[Route]:
    """Under `/_sandbox/`, for POST."""

    async def line(request: Request) -> Response:
        order, invoice = await read_order(request, LineOrder), _invoice(account, request)
        _spoil_line(account.books, invoice, order)
        return JSONResponse(account.books.shown(invoice))

    async def sums(request: Request) -> Response:
        order, invoice = await read_order(request, SumsOrder), _invoice(account, request)
        invoice.update(order.model_dump(exclude_none=True))
        return JSONResponse(account.books.shown(invoice))

    async def forget(request: Request) -> Response:
        invoice = _invoice(account, request)
        del account.books.tables["invoice"][invoice["id"]]
        return JSONResponse({"id": invoice["id"], "object": "invoice", "deleted": True})

    async def foreign(request: Request) -> Response:
        order, books = await read_order(request, ForeignOrder), account.books
        customer = books.get("customer", request.path_params["id"])
        made = collection.draft(
            books,
            customer,
            currency=order.currency,
            is_advancing=False,
            billing_reason="manual",
            metadata=order.metadata,
        )
        _add(books, made, order.amount, "By another system")
        return JSONResponse(books.shown(made))

    async def tax(request: Request) -> Response:
        order = await read_order(request, TaxOrder)
        account.books.tax_percent = order.percent
        return JSONResponse(order.model_dump())

    return [
        Route("/_sandbox/invoices/{id}/line", line, methods=["POST"]),
        Route("/_sandbox/invoices/{id}/sums", sums, methods=["POST"]),
        Route("/_sandbox/invoices/{id}/forget", forget, methods=["POST"]),
        Route("/_sandbox/customers/{id}/invoice", foreign, methods=["POST"]),
        Route("/_sandbox/tax", tax, methods=["POST"]),
    ]


def _invoice(account: Account, request: Request) -> Object:
    return account.books.get("invoice", request.path_params["id"])


def _spoil_line(books: Books, invoice: Object, order: LineOrder) -> None:
    if order.do == "add":
        _add(books, invoice, order.amount or 0, order.description)
        return
    with_items = [line for line in books.lines_of(invoice) if line["parent"]["invoice_item_details"]]
    line = with_items[order.position]
    if order.do == "remove":
        collection.remove_line(books, invoice, line)
    elif order.do == "double":
        item = books.get("invoiceitem", line["parent"]["invoice_item_details"]["invoice_item"])
        _add(books, invoice, line["amount"], line["description"], item["metadata"], line["period"])
    else:
        changes = order.model_dump(include={"amount", "currency", "period"}, exclude_none=True)
        line.update(changes)
        collection.retotal(books, invoice)


def _add(
    books: Books,
    invoice: Object,
    amount: int,
    description: str,
    metadata: dict[str, str] | None = None,
    period: Object | None = None,
) -> None:
    """An item with its line, on an invoice of any status."""
    now = books.now()
    item = books.new(
        "invoiceitem",
        customer=invoice["customer"],
        amount=amount,
        net_amount=amount,
        currency=invoice["currency"],
        date=now,
        description=description,
        discountable=True,
        discounts=[],
        invoice=None,
        metadata=metadata or {},
        parent=None,
        period=period or {"start": now, "end": now},
        pricing=None,
        proration=False,
        quantity=1,
        quantity_decimal="1",
        tax_rates=[],
        test_clock=None,
    )
    bill(books, item, invoice)
