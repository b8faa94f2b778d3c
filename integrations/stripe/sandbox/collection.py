"""How an invoice becomes money: draft, finalized, charged, paid or failed, retried.

The traps are Stripe's: a total below the smallest charge or below zero moves the customer's balance instead
of money.
"""

from typing import Any, Final

from integrations.stripe.sandbox import taxes
from integrations.stripe.sandbox.books import Books, Object
from integrations.stripe.sandbox.cards import can_pay
from integrations.stripe.sandbox.failures import StripeFailure
from integrations.stripe.sandbox.payments import pay_for

DAY: Final = 86_400
HOUR: Final = 3_600
DRAFT_WINDOW: Final = HOUR
LONGEST_DRAFT: Final = 72 * HOUR
"""How long a draft waits when `invoice.created` cannot be delivered."""

SMALLEST_CHARGE: Final = {"jpy": 50, "gbp": 30}
"""In minor units; 50 for every other currency, which is right for USD and too low for some."""


def draft(
    books: Books, customer: Object, *, currency: str, is_advancing: bool, is_taxed: bool = False, **fields: Any
) -> Object:
    """A new draft without lines. Once the lines are there, `announce` it."""
    now = books.now()
    return books.new(
        "invoice",
        customer=customer["id"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        currency=currency,
        status="draft",
        created=now,
        lines=[],
        auto_advance=is_advancing,
        amount_due=0,
        amount_overpaid=0,
        amount_paid=0,
        amount_paid_off_stripe=0,
        amount_remaining=0,
        amount_shipping=0,
        attempt_count=0,
        attempted=False,
        automatic_tax=taxes.state(is_taxed),
        automatically_finalizes_at=None,
        collection_method="charge_automatically",
        default_tax_rates=[],
        discounts=[],
        ending_balance=None,
        hosted_invoice_url=None,
        invoice_pdf=None,
        last_finalization_error=None,
        issuer={"type": "self"},
        next_payment_attempt=None,
        number=None,
        payment_settings={"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        post_payment_credit_notes_amount=0,
        pre_payment_credit_notes_amount=0,
        starting_balance=customer["balance"],
        status_transitions={
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        subtotal=0,
        total=0,
        total_taxes=[],
        webhooks_delivered_at=None,
        **{"description": None, "metadata": {}, "parent": None, "period_start": now, "period_end": now, **fields},
    )


def add_line(books: Books, invoice: Object, *, amount: int, at_end: bool = True, **fields: Any) -> None:
    """Put a line on a draft: items that were pending come first, those added later last."""
    line = books.new(
        "line_item",
        invoice=invoice["id"],
        amount=amount,
        subtotal=amount,
        currency=invoice["currency"],
        discountable=True,
        discounts=[],
        discount_amounts=[],
        taxes=[],
        subscription=None,
        **{"pricing": None, "quantity": 1, "metadata": {}, **fields},
    )
    invoice["lines"].insert(len(invoice["lines"]) if at_end else 0, line["id"])
    retotal(books, invoice)


def remove_line(books: Books, invoice: Object, line: Object) -> None:
    invoice["lines"].remove(line["id"])
    del books.tables["line_item"][line["id"]]
    retotal(books, invoice)


def retotal(books: Books, invoice: Object) -> None:
    """A draft's sums, with the customer's balance as it is now."""
    subtotal = sum(line["amount"] for line in books.lines_of(invoice))
    total_taxes = taxes.taxes_on(books, invoice, subtotal)
    total = subtotal + sum(tax["amount"] for tax in total_taxes)
    balance = books.get("customer", invoice["customer"])["balance"]
    due = max(total + balance, 0)
    invoice.update(
        subtotal=subtotal,
        total=total,
        total_taxes=total_taxes,
        starting_balance=balance,
        amount_due=due,
        amount_remaining=due,
    )


def announce(books: Books, invoice: Object) -> None:
    """Tell that the draft is there; an advancing one finalizes an hour after every endpoint has answered."""
    waiting = books.emit("invoice.created", invoice)["id"] in books.undelivered
    if not waiting:
        invoice["webhooks_delivered_at"] = books.now()
    if invoice["auto_advance"]:
        # Deliveries happen at the clock's present, even when the engine is catching up on the past.
        present = int(books.clock.now().timestamp())
        invoice["automatically_finalizes_at"] = present + LONGEST_DRAFT if waiting else books.now() + DRAFT_WINDOW


def created_was_delivered(books: Books, invoice: Object) -> None:
    """Every endpoint has answered `invoice.created`: the draft window of an hour begins."""
    now = int(books.clock.now().timestamp())
    invoice["webhooks_delivered_at"] = now
    if invoice["automatically_finalizes_at"] is not None:
        invoice["automatically_finalizes_at"] = now + DRAFT_WINDOW


def finalize(books: Books, invoice: Object, *, is_advancing: bool) -> None:
    """Freeze the lines and decide what is due. What is nothing is paid at once. Raises StripeFailure for a customer
    that cannot be taxed.
    """
    taxes.require_location(books, invoice)
    customer = books.get("customer", invoice["customer"])
    retotal(books, invoice)
    owed = invoice["total"] + customer["balance"]
    is_charged = owed >= SMALLEST_CHARGE.get(invoice["currency"], 50)
    invoice.update(
        status="open",
        auto_advance=is_advancing,
        automatically_finalizes_at=None,
        number=f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}",
        amount_due=owed if is_charged else 0,
        amount_remaining=owed if is_charged else 0,
        ending_balance=0 if is_charged else owed,
        hosted_invoice_url=f"https://invoice.sandbox.invalid/{invoice['id']}",
        invoice_pdf=f"https://invoice.sandbox.invalid/{invoice['id']}/pdf",
    )
    invoice["status_transitions"]["finalized_at"] = books.now()
    customer["next_invoice_sequence"] += 1
    customer["currency"] = customer["currency"] or invoice["currency"]
    books.change(customer, balance=invoice["ending_balance"])
    books.emit("invoice.finalized", invoice)
    if not is_charged:
        _mark_paid(books, invoice)


def collect(books: Books, invoice: Object) -> bool:
    """Try to charge an open invoice; a failure plans the next attempt, the last one ends the retries."""
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    if can_pay(books, books.get("customer", invoice["customer"])):
        invoice["amount_paid"] = invoice["amount_due"]
        pay_for(books, invoice, has_paid=True)
        _mark_paid(books, invoice)
        return True
    pay_for(books, invoice, has_paid=False)
    attempts, subscription = invoice["attempt_count"], subscription_of(books, invoice)
    is_new = subscription is not None and subscription["status"] == "incomplete"
    is_retried = invoice["auto_advance"] and attempts <= len(books.retry_days) and not is_new
    pause = books.retry_days[attempts - 1] * DAY if is_retried else 0
    invoice["next_payment_attempt"] = books.now() + pause if is_retried else None
    books.emit("invoice.payment_failed", invoice)
    if subscription and subscription["status"] in ("active", "past_due"):
        books.change(subscription, status="past_due")
        if not is_retried:
            _give_up(books, subscription)
    if books.gives_up_invoices and not is_retried and not is_new and invoice["status"] == "open":
        retire(books, invoice, "uncollectible", "marked_uncollectible_at", reason="max_payment_attempts")
    return False


def pay_out_of_band(books: Books, invoice: Object) -> None:
    """The customer has paid by other means."""
    invoice["amount_paid_off_stripe"] = invoice["amount_paid"] = invoice["amount_due"]
    _mark_paid(books, invoice)


def retire(books: Books, invoice: Object, status: str, transition: str, reason: str | None = None) -> None:
    """Void an invoice or mark it uncollectible: nothing is collected any more.

    The reason is told since API version 2026-10-28 (endive), by the package's types.
    """
    invoice.update(status=status, auto_advance=False, next_payment_attempt=None)
    invoice["status_details"] = {"uncollectible": {"reason": reason}} if reason else None
    invoice["status_transitions"][transition] = books.now()
    if status == "void":
        invoice.update(amount_remaining=0)
    books.emit("invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice)
    if reason != "max_payment_attempts":
        _follow(books, invoice)


def end_subscription(books: Books, subscription: Object, reason: str, ended_at: int | None = None) -> None:
    """Cancel now. Stripe then stops collecting its finalized invoices, and its drafts stay drafts."""
    for invoice in invoices_of(books, subscription):
        if invoice["status"] in ("draft", "open"):
            invoice.update(auto_advance=False, next_payment_attempt=None, automatically_finalizes_at=None)
    now = ended_at or books.now()
    subscription.update(
        status="canceled", canceled_at=subscription["canceled_at"] or now, ended_at=now, cancel_at_period_end=False
    )
    subscription["cancellation_details"]["reason"] = reason
    books.emit("customer.subscription.deleted", subscription)


def subscription_of(books: Books, invoice: Object) -> Object | None:
    """The subscription that an invoice bills, unless it is over."""
    if invoice["parent"] is None:
        return None
    subscription = books.get("subscription", invoice["parent"]["subscription_details"]["subscription"])
    return None if subscription["ended_at"] is not None else subscription


def invoices_of(books: Books, subscription: Object) -> list[Object]:
    """The invoices of a subscription, oldest first."""
    return [
        invoice
        for invoice in books.all("invoice")
        if invoice["parent"] and invoice["parent"]["subscription_details"]["subscription"] == subscription["id"]
    ]


def require_status(invoice: Object, *allowed: str) -> None:
    """Raises StripeFailure unless the invoice is in one of these states."""
    if invoice["status"] not in allowed:
        raise StripeFailure(
            f"This invoice is {invoice['status']}; it would have to be {' or '.join(allowed)}.",
            code="invoice_not_editable" if allowed == ("draft",) else None,
        )


def _mark_paid(books: Books, invoice: Object) -> None:
    invoice.update(status="paid", amount_remaining=0, attempted=True, auto_advance=False, next_payment_attempt=None)
    invoice["status_transitions"]["paid_at"] = books.now()
    books.emit("invoice.paid", invoice)
    books.emit("invoice.payment_succeeded", invoice)
    _follow(books, invoice)


def _follow(books: Books, invoice: Object) -> None:
    """A subscription is well again when none of its invoices is open after a failed attempt."""
    subscription = subscription_of(books, invoice)
    if subscription is None or subscription["status"] not in ("past_due", "unpaid", "incomplete"):
        return
    if not any(other["status"] == "open" and other["attempted"] for other in invoices_of(books, subscription)):
        books.change(subscription, status="active")


def _give_up(books: Books, subscription: Object) -> None:
    """After the last retry: what the account's settings say."""
    if books.after_retries == "cancel":
        end_subscription(books, subscription, reason="payment_failed")
    elif books.after_retries == "unpaid":
        books.change(subscription, status="unpaid")
    elif books.after_retries == "pause":
        pause_subscription(books, subscription, "final_payment_failure")


def pause_subscription(books: Books, subscription: Object, reason: str) -> None:
    """Pause: no invoices are made until it is resumed. The reason is told since API version 2026-10-28 (endive)."""
    paused = {"subscription": {"type": reason}, "transitioned_at": books.now(), "type": "subscription"}
    subscription.update(status="paused", status_details={"paused": paused})
    books.emit("customer.subscription.paused", subscription)
