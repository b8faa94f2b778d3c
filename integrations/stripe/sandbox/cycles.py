"""The cycles of a subscription: each ends in an invoice, and the items move on."""

from decimal import Decimal

from integrations.stripe.sandbox import collection, meters
from integrations.stripe.sandbox.books import Books, Object
from integrations.stripe.sandbox.boundaries import next_boundary
from integrations.stripe.sandbox.catalog import amount_for
from integrations.stripe.sandbox.invoice_items import bill


def roll_over(books: Books, subscription: Object) -> None:
    """The end of a cycle: a draft for the period that ended, with the next period's prices; items move on."""
    items = subscription["items"]["data"]
    start, end = items[0]["current_period_start"], items[0]["current_period_end"]
    if subscription["cancel_at_period_end"]:
        collection.end_subscription(books, subscription, "cancellation_requested", ended_at=end)
        return
    before = {"latest_invoice": subscription["latest_invoice"]}
    next_end = next_boundary(subscription["billing_cycle_anchor"], end, items[0]["price"]["recurring"])
    for item in items:
        item.update(current_period_start=end, current_period_end=next_end)
    invoice = _draft(books, subscription, "subscription_cycle", start, end)
    _take_pending_items(books, invoice, subscription)
    collection.announce(books, invoice)
    books.emit("customer.subscription.updated", subscription, before)


def resume(books: Books, subscription: Object) -> None:
    """A paused subscription goes on in the cycle that it would be in; those that were missed are not made up for."""
    for item in subscription["items"]["data"]:
        while item["current_period_end"] <= books.now():
            start = item["current_period_end"]
            end = next_boundary(subscription["billing_cycle_anchor"], start, item["price"]["recurring"])
            item.update(current_period_start=start, current_period_end=end)
    subscription.update(status="active", status_details=None)
    books.emit("customer.subscription.resumed", subscription)


def bill_first_period(books: Books, subscription: Object) -> None:
    """The invoice of a new subscription is finalized and charged at once: there is no draft window."""
    now = books.now()
    invoice = _draft(books, subscription, "subscription_create", now, now)
    books.emit("invoice.created", invoice)
    collection.finalize(books, invoice, is_advancing=True)
    if invoice["status"] == "open":
        subscription["status"] = "incomplete"
        collection.collect(books, invoice)


def _take_pending_items(books: Books, invoice: Object, subscription: Object) -> None:
    """Pending items join the next cycle's invoice; those that name a subscription wait for that one."""
    for item in books.all("invoiceitem", customer=invoice["customer"], currency=invoice["currency"]):
        owner = item["parent"]["subscription_details"]["subscription"] if item["parent"] else None
        if item["invoice"] is None and owner in (None, subscription["id"]):
            bill(books, item, invoice, at_end=False)


def _draft(books: Books, subscription: Object, reason: str, start: int, end: int) -> Object:
    invoice = collection.draft(
        books,
        books.get("customer", subscription["customer"]),
        currency=subscription["currency"],
        is_advancing=subscription["status"] != "unpaid" and subscription["pause_collection"] is None,
        is_taxed=subscription["automatic_tax"]["enabled"],
        billing_reason=reason,
        period_start=start,
        period_end=end,
        parent={
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {
                "subscription": subscription["id"],
                "metadata": dict(subscription["metadata"]),
            },
        },
    )
    for item in reversed(subscription["items"]["data"]):
        if item["price"]["recurring"]["usage_type"] == "licensed":
            period = (item["current_period_start"], item["current_period_end"])
            _add_item_line(books, invoice, subscription, item, Decimal(item["quantity"]), period)
        elif reason == "subscription_cycle":
            _add_item_line(books, invoice, subscription, item, Decimal(0), (start, end))
    rate_usage(books, invoice)
    subscription["latest_invoice"] = invoice["id"]
    return invoice


def rate_usage(books: Books, invoice: Object) -> None:
    """Bring a draft's metered lines up to what was reported for their period; negative usage is billed as zero.

    Stripe's docs: what is reported after the grace, an hour unless set otherwise, is not on the invoice.
    """
    for line in books.lines_of(invoice):
        price = books.get("price", line["pricing"]["price_details"]["price"]) if line["pricing"] else None
        details = line["parent"].get("subscription_item_details") if line["parent"] else None
        if price is None or not details or price["recurring"]["usage_type"] == "licensed":
            continue
        span = line["period"]["start"], line["period"]["end"]
        until = invoice["created"] + collection.DRAFT_WINDOW
        used = max(meters.usage(books, price["recurring"]["meter"], invoice["customer"], *span, until), Decimal(0))
        amount = amount_for(price, used)
        line.update(quantity=int(used), quantity_decimal=format(used, "f"), amount=amount, subtotal=amount)
    collection.retotal(books, invoice)


def _add_item_line(
    books: Books, invoice: Object, subscription: Object, item: Object, quantity: Decimal, period: tuple[int, int]
) -> None:
    price = item["price"]
    product = books.get("product", price["product"])
    collection.add_line(
        books,
        invoice,
        amount=amount_for(price, quantity),
        description=f"{quantity} × {product['name']}",
        quantity=int(quantity),
        metadata=dict(subscription["metadata"]),
        period={"start": period[0], "end": period[1]},
        pricing={
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
            "price_details": {"price": price["id"], "product": price["product"]},
        },
        parent={
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {
                "subscription": subscription["id"],
                "subscription_item": item["id"],
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
            },
        },
    )
