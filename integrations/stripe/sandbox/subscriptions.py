"""Subscriptions and their items."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from integrations.stripe.sandbox import collection
from integrations.stripe.sandbox.books import Books, Object, listed, paged
from integrations.stripe.sandbox.boundaries import next_boundary
from integrations.stripe.sandbox.cycles import bill_first_period
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import StripeFailure, missing
from integrations.stripe.sandbox.forms import Metadata, Page, Params, merged
from integrations.stripe.sandbox.items import Proration, new_item, set_quantity
from integrations.stripe.sandbox.taxes import AutomaticTax, setting


class NewItem(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    price: str
    quantity: int | None = Field(default=None, ge=0)
    metadata: Metadata = Field(default_factory=dict)


class CreateSubscription(Params):
    customer: str
    items: list[NewItem] = Field(min_length=1, max_length=20)
    billing_cycle_anchor: int | None = None
    proration_behavior: Proration = "create_prorations"
    payment_behavior: Literal["allow_incomplete"] = "allow_incomplete"
    automatic_tax: AutomaticTax | None = None
    description: str | None = None
    metadata: Metadata = Field(default_factory=dict)


class ChangedItem(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = None
    price: str | None = None
    deleted: bool = False
    quantity: int | None = Field(default=None, ge=0)
    metadata: Metadata = Field(default_factory=dict)


class PauseCollection(BaseModel):
    """Stripe's docs: invoices are made and stay drafts; the status does not change. Nothing else is known here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    behavior: Literal["keep_as_draft"]


class UpdateSubscription(Params):
    items: list[ChangedItem] = Field(default_factory=list)
    proration_behavior: Proration = "create_prorations"
    cancel_at_period_end: bool | None = None
    pause_collection: PauseCollection | Literal[""] | None = None
    description: str | None = None
    metadata: Metadata = Field(default_factory=dict)


class CancelSubscription(Params):
    invoice_now: bool = False
    prorate: bool = False


class ListSubscriptions(Page):
    customer: str | None = None
    price: str | None = None
    status: str | None = None


class ListItems(Page):
    subscription: str


class UpdateItem(Params):
    quantity: int | None = Field(default=None, ge=0)
    proration_behavior: Proration = "create_prorations"
    metadata: Metadata = Field(default_factory=dict)


def create_subscription(books: Books, params: CreateSubscription) -> Object:
    customer = books.get("customer", params.customer, "customer")
    prices = [books.get("price", item.price, "items[0][price]") for item in params.items]
    recurring = _common_cycle(prices)
    now = books.now()
    anchor, end = _first_cycle(params, recurring, now)
    subscription = books.new(
        "subscription",
        customer=customer["id"],
        currency=prices[0]["currency"],
        status="active",
        created=now,
        start_date=now,
        billing_cycle_anchor=anchor,
        description=params.description,
        metadata=params.metadata,
        automatic_tax=setting(params.automatic_tax is not None and params.automatic_tax.enabled),
        billing_cycle_anchor_config=None,
        billing_mode={"type": "flexible", "flexible": {"proration_discounts": "included"}},
        billing_schedules=[],
        cancel_at=None,
        cancel_at_period_end=False,
        canceled_at=None,
        cancellation_details={"comment": None, "feedback": None, "reason": None},
        collection_method="charge_automatically",
        default_payment_method=None,
        discounts=[],
        ended_at=None,
        invoice_settings={"account_tax_ids": None, "issuer": {"type": "self"}},
        latest_invoice=None,
        pause_collection=None,
        pending_setup_intent=None,
        pending_update=None,
        schedule=None,
        test_clock=None,
        trial_end=None,
        trial_start=None,
    )
    items = [
        new_item(books, subscription, price, item.quantity, item.metadata, (now, end))
        for item, price in zip(params.items, prices, strict=True)
    ]
    subscription["items"] = listed(items, f"/v1/subscription_items?subscription={subscription['id']}")
    books.emit("customer.subscription.created", subscription)
    # Stripe's docs: up to an anchor in the future the time is free, and there is no invoice of zero for it.
    if params.billing_cycle_anchor is None:
        bill_first_period(books, subscription)
    return books.shown(subscription)


def retrieve_subscription(books: Books, params: Params, subscription_id: str) -> Object:
    return books.shown(books.get("subscription", subscription_id))


def list_subscriptions(books: Books, params: ListSubscriptions) -> Object:
    """Stripe's docs: without a status, all that are not canceled."""
    found = books.all("subscription", customer=params.customer)
    match params.status:
        case None:
            found = [s for s in found if s["status"] != "canceled"]
        case "all":
            pass
        case "ended":
            found = [s for s in found if s["status"] in ("canceled", "incomplete_expired")]
        case status:
            found = [s for s in found if s["status"] == status]
    if params.price is not None:
        found = [s for s in found if any(i["price"]["id"] == params.price for i in s["items"]["data"])]
    return paged(found, params, "/v1/subscriptions")


def update_subscription(books: Books, params: UpdateSubscription, subscription_id: str) -> Object:
    subscription = _running(books, subscription_id)
    for change in sorted(params.items, key=lambda change: change.deleted):  # what stays carries the period
        _change_item(books, subscription, change, params.proration_behavior)
    if not subscription["items"]["data"]:
        raise StripeFailure("A subscription must have at least one active item.", param="items")
    if params.items:
        books.emit("customer.subscription.updated", subscription, {})
    changes = params.model_dump(include=params.model_fields_set & {"description", "cancel_at_period_end"})
    if params.pause_collection is not None:
        paused = params.pause_collection
        changes["pause_collection"] = {"behavior": paused.behavior, "resumes_at": None} if paused else None
    if params.cancel_at_period_end is not None:
        changes["canceled_at"] = books.now() if params.cancel_at_period_end else None
    books.change(subscription, **changes, metadata=merged(subscription["metadata"], params.metadata))
    return books.shown(subscription)


def _change_item(books: Books, subscription: Object, change: ChangedItem, proration: Proration) -> None:
    """Stripe's docs: an entry without the id of an item adds one; a subscription has each price once."""
    items = subscription["items"]["data"]
    price = books.get("price", change.price, "items[0][price]") if change.price else None
    if (change.id is None or change.deleted or price) and proration != "none":
        raise StripeFailure(
            "The sandbox does not prorate: set `proration_behavior` to `none`.", param="proration_behavior"
        )
    if price is not None:
        _common_cycle([price, *(item["price"] for item in items)])
        if any(item["price"]["id"] == price["id"] and item["id"] != change.id for item in items):
            raise StripeFailure("A subscription has each price once.", param="items[0][price]")
    if change.id is None:
        if price is None:
            raise StripeFailure("Missing required param: items[0][price].", code="parameter_missing")
        now = (items[0]["current_period_start"], items[0]["current_period_end"])
        items.append(new_item(books, subscription, price, change.quantity, change.metadata, now))
        return
    item = books.get("subscription_item", change.id, "items[0][id]")
    if change.deleted:
        items.remove(item)
        del books.tables["subscription_item"][item["id"]]
        return
    if price is not None:
        item["price"] = price
    set_quantity(item, change.quantity, proration)
    item["metadata"] = merged(item["metadata"], change.metadata)


def cancel_subscription(books: Books, params: CancelSubscription, subscription_id: str) -> Object:
    if params.invoice_now or params.prorate:
        raise StripeFailure("The sandbox makes no invoice for a cancellation.", param="invoice_now")
    subscription = _running(books, subscription_id)
    collection.end_subscription(books, subscription, reason="cancellation_requested")
    return books.shown(subscription)


def list_items(books: Books, params: ListItems) -> Object:
    return paged(books.all("subscription_item", subscription=params.subscription), params, "/v1/subscription_items")


def retrieve_item(books: Books, params: Params, item_id: str) -> Object:
    return books.shown(books.get("subscription_item", item_id))


def update_item(books: Books, params: UpdateItem, item_id: str) -> Object:
    item = books.get("subscription_item", item_id)
    set_quantity(item, params.quantity, params.proration_behavior)
    item["metadata"] = merged(item["metadata"], params.metadata)
    books.emit("customer.subscription.updated", books.get("subscription", item["subscription"]), {})
    return books.shown(item)


def _common_cycle(prices: list[Object]) -> Object:
    cycles = [price["recurring"] for price in prices]
    if None in cycles:
        raise StripeFailure("The price specified is not recurring.", param="items[0][price]")
    first: Object = cycles[0]
    if any((c["interval"], c["interval_count"]) != (first["interval"], first["interval_count"]) for c in cycles):
        raise StripeFailure("All prices of a subscription must have the same interval.", param="items")
    if len({price["currency"] for price in prices}) > 1:
        raise StripeFailure("All prices of a subscription must have the same currency.", param="items")
    return first


def _first_cycle(params: CreateSubscription, recurring: Object, now: int) -> tuple[int, int]:
    """The anchor and the end of the first period."""
    anchor, natural_end = params.billing_cycle_anchor, next_boundary(now, now, recurring)
    if anchor is None:
        return now, natural_end
    if anchor <= now:
        raise StripeFailure("billing_cycle_anchor must be in the future.", param="billing_cycle_anchor")
    if anchor > natural_end:
        raise StripeFailure(
            f"billing_cycle_anchor cannot be later than next natural billing date ({natural_end}) for plan",
            param="billing_cycle_anchor",
        )
    if params.proration_behavior != "none":
        raise StripeFailure(
            "The sandbox does not prorate: set `proration_behavior` to `none`.", param="proration_behavior"
        )
    return anchor, anchor


def _running(books: Books, subscription_id: str) -> Object:
    subscription = books.get("subscription", subscription_id)
    if subscription["ended_at"] is not None:
        raise missing("subscription", subscription_id, "id")
    return subscription


ENDPOINTS = (
    Endpoint("POST", "/v1/subscriptions", CreateSubscription, create_subscription),
    Endpoint("GET", "/v1/subscriptions", ListSubscriptions, list_subscriptions),
    Endpoint("GET", "/v1/subscriptions/{id}", Params, retrieve_subscription),
    Endpoint("POST", "/v1/subscriptions/{id}", UpdateSubscription, update_subscription),
    Endpoint("DELETE", "/v1/subscriptions/{id}", CancelSubscription, cancel_subscription),
    Endpoint("GET", "/v1/subscription_items", ListItems, list_items),
    Endpoint("GET", "/v1/subscription_items/{id}", Params, retrieve_item),
    Endpoint("POST", "/v1/subscription_items/{id}", UpdateItem, update_item),
)
