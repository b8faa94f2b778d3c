"""Everything the sandbox knows: Stripe's objects as the JSON that is answered, by kind, in the order of their birth."""

import copy
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, Literal

import stripe

from inkmeter.clock import Clock
from integrations.stripe.sandbox.failures import StripeFailure, missing
from integrations.stripe.sandbox.forms import Page, Range

Object = dict[str, Any]

Card = Literal["success", "decline", "none"]
AfterRetries = Literal["past_due", "unpaid", "cancel", "pause"]

PREFIXES: Final = {
    "billing.meter": "mtr",
    "billing_portal.session": "bps",
    "charge": "ch",
    "checkout.session": "cs_test",
    "credit_note": "cn",
    "customer": "cus",
    "dispute": "du",
    "event": "evt",
    "invoice": "in",
    "invoice_payment": "inpay",
    "invoiceitem": "ii",
    "line_item": "il",
    "payment_intent": "pi",
    "payment_method": "pm",
    "price": "price",
    "product": "prod",
    "refund": "re",
    "subscription": "sub",
    "subscription_item": "si",
    "webhook_endpoint": "we",
}
RETRY_AFTER_DAYS: Final = (3, 5, 7)
"""Days from one failed attempt to the next. Stripe's own timing is adaptive and configurable."""
EMBEDDED_LINES: Final = 10
"""An invoice carries its first lines only; the rest is paged."""


class Books:
    """The state of one Stripe account. Nothing here waits, so each request sees and leaves it whole."""

    def __init__(
        self,
        clock: Clock,
        on_event: Callable[[Object], None],
        *,
        default_card: Card,
        after_retries: AfterRetries,
        on_thin_event: Callable[[Object], None] = lambda event: None,
    ) -> None:
        self.clock, self._on_event, self.on_thin_event = clock, on_event, on_thin_event
        self.default_card: Final = default_card
        self.retry_days: tuple[int, ...] = RETRY_AFTER_DAYS
        self.after_retries: AfterRetries = after_retries
        self.gives_up_invoices = False  # whether an invoice is marked as uncollectible after its last retry
        self.declines: dict[str, int] = {}  # by customer: how many charges are declined before the card works again
        self.tables: dict[str, dict[str, Object]] = {kind: {} for kind in PREFIXES}
        self.reported: list[Any] = []  # meter events, as `meters.Reported`, in the order in which they came
        self.thin_events: dict[str, Object] = {}
        self.endpoint_secrets: dict[str, str] = {}
        self.intent_metadata: dict[str, dict[str, str]] = {}  # of a Checkout session's payment intent that is to come
        self.base_url = ""  # as the last request has named this server
        self.undelivered: set[str] = set()  # ids of events that an endpoint has not yet answered with 2xx
        self.replaying_at: datetime | None = None  # the past moment that the cycle engine catches up on
        self.tax_percent = 0  # of automatic tax
        self.request: Object | None = None  # the API request that causes events now

    def now(self) -> int:
        """The present in unix time: the clock's, or the moment that the cycle engine is catching up on."""
        return int((self.replaying_at or self.clock.now()).timestamp())

    def new(self, kind: str, /, **fields: Any) -> Object:
        """Store a new object with an id like Stripe's."""
        made = {"id": f"{PREFIXES[kind]}_{secrets.token_hex(12)}", "object": kind, "livemode": False, **fields}
        self.tables[kind][made["id"]] = made
        return made

    def get(self, kind: str, object_id: str, param: str = "id") -> Object:
        """The object itself. Raises StripeFailure (resource_missing); a deleted object exists only in a path."""
        found = self.tables[kind].get(object_id)
        if found is None or (found.get("deleted") and param != "id"):
            raise missing(kind, object_id, param)
        return found

    def all(self, kind: str, **equal: Any) -> list[Object]:
        """The objects of a kind with these fields, oldest first, without deleted ones. None does not filter."""
        wanted = {name: value for name, value in equal.items() if value is not None}
        return [
            found
            for found in self.tables[kind].values()
            if not found.get("deleted") and all(found.get(name) == value for name, value in wanted.items())
        ]

    def lines_of(self, invoice: Object) -> list[Object]:
        """All lines of an invoice, in Stripe's order."""
        return [self.tables["line_item"][line_id] for line_id in invoice["lines"]]

    def shown(self, stored: Object) -> Object:
        """An object as Stripe shows it: a copy, an invoice with its first lines."""
        answer = copy.deepcopy(stored)
        if answer["object"] == "invoice" and not answer.get("deleted"):
            lines = self.lines_of(stored)
            url = f"/v1/invoices/{stored['id']}/lines"
            answer["lines"] = {**listed(lines[:EMBEDDED_LINES], url), "has_more": len(lines) > EMBEDDED_LINES}
        return answer

    def change(self, stored: Object, **changes: Any) -> None:
        """Set fields, and tell what they were before in an `….updated` event; silent if nothing differs."""
        previous = {name: stored[name] for name, value in changes.items() if stored[name] != value}
        if previous:
            stored.update(changes)
            self.emit(f"{event_noun(stored)}.updated", stored, previous)

    def emit(self, type: str, stored: Object, previous: Object | None = None) -> Object:
        """Record an event and hand it to the deliveries."""
        data = {"object": self.shown(stored)}
        if previous is not None:
            data["previous_attributes"] = copy.deepcopy(previous)
        event = self.new(
            "event",
            type=type,
            api_version=stripe.api_version,
            created=self.now(),
            data=data,
            pending_webhooks=0,
            request=self.request or {"id": None, "idempotency_key": None},
        )
        self._on_event(event)
        return event


def event_noun(stored: Object) -> str:
    """What the names of an object's events begin with."""
    return "customer.subscription" if stored["object"] == "subscription" else str(stored["object"])


def listed(data: Iterable[Object], url: str) -> Object:
    """Stripe's list, with everything on one page."""
    return {"object": "list", "data": list(data), "has_more": False, "url": url}


def paged(found: list[Object], page: Page, url: str, *, newest_first: bool = True) -> Object:
    """The page of a list that was asked for. `found` is oldest first."""
    ordered = found[::-1] if newest_first else found
    ids = [entry["id"] for entry in ordered]
    for cursor in (page.starting_after, page.ending_before):
        if cursor is not None and cursor not in ids:
            raise StripeFailure(f"No such object: '{cursor}'", code="resource_missing", param="starting_after")
    if page.ending_before is not None:
        rest = ordered[: ids.index(page.ending_before)]
        return {**listed(rest[-page.limit :], url), "has_more": len(rest) > page.limit}
    rest = ordered if page.starting_after is None else ordered[ids.index(page.starting_after) + 1 :]
    return {**listed(rest[: page.limit], url), "has_more": len(rest) > page.limit}


def created_in(stored: Object, wanted: Range | int | None) -> bool:
    """Whether an object was created within the range that a list asks for."""
    if wanted is None:
        return True
    return stored["created"] in wanted if isinstance(wanted, Range) else stored["created"] == wanted


def moment(timestamp: int) -> datetime:
    """A unix time as a datetime."""
    return datetime.fromtimestamp(timestamp, UTC)
