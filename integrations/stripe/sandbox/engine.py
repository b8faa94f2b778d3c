"""What happens by itself as time passes: cycles end, drafts finalize, charges are retried, first payments lapse."""

import contextlib
from typing import Final

from integrations.stripe.sandbox import checkout, collection, meters
from integrations.stripe.sandbox.books import Books, Object, moment
from integrations.stripe.sandbox.cycles import rate_usage, roll_over
from integrations.stripe.sandbox.failures import StripeFailure

FIRST_PAYMENT_WITHIN: Final = 23 * collection.HOUR
"""Stripe's docs: an incomplete subscription expires after 23 hours."""


def catch_up(books: Books) -> None:
    """Let everything happen that is due by the clock's present, in the order in which it was due."""
    present = int(books.clock.now().timestamp())
    meters.process(books)
    for draft in books.all("invoice", status="draft"):
        rate_usage(books, draft)
    try:
        while waiting := _waiting(books, present):
            earliest = min(at for at, _ in waiting)
            books.replaying_at = moment(earliest)
            for at, stored in waiting:
                if at == earliest == _due_at(stored):  # an action before may have changed it
                    _act(books, stored)
    finally:
        books.replaying_at = None


def _waiting(books: Books, present: int) -> list[tuple[int, Object]]:
    candidates = [*books.all("subscription"), *books.all("invoice"), *books.all("checkout.session", status="open")]
    due = ((_due_at(stored), stored) for stored in candidates)
    return [(at, stored) for at, stored in due if at is not None and at <= present]


def _due_at(stored: Object) -> int | None:
    match stored:
        case {"object": "subscription", "status": "incomplete", "created": int(created)}:
            return created + FIRST_PAYMENT_WITHIN
        case {"object": "subscription", "status": "paused"}:
            return None
        case {"object": "subscription", "ended_at": None}:
            return int(stored["items"]["data"][0]["current_period_end"])
        case {"object": "checkout.session", "expires_at": int(at)}:
            return at
        case {"status": "draft", "auto_advance": True, "automatically_finalizes_at": int(at)}:
            return at
        case {"status": "open", "auto_advance": True, "next_payment_attempt": int(at)}:
            return at
    return None


def _act(books: Books, stored: Object) -> None:
    match stored["object"], stored["status"]:
        case "subscription", "incomplete":
            _expire(books, stored)
        case "checkout.session", _:
            checkout.expire(books, stored)
        case "subscription", _:
            roll_over(books, stored)
        case "invoice", "draft":
            with contextlib.suppress(StripeFailure):  # of which `invoice.finalization_failed` has told
                collection.finalize(books, stored, is_advancing=True)
            if stored["status"] == "open":
                collection.collect(books, stored)
        case _:
            collection.collect(books, stored)


def _expire(books: Books, subscription: Object) -> None:
    books.change(subscription, status="incomplete_expired", ended_at=books.now())
    for invoice in collection.invoices_of(books, subscription):
        if invoice["status"] == "open":
            collection.retire(books, invoice, "void", "voided_at")
