"""The items of a subscription: licensed ones have a quantity, metered ones have none."""

from typing import Literal

from integrations.stripe.sandbox.books import Books, Object
from integrations.stripe.sandbox.failures import StripeFailure

Proration = Literal["none", "create_prorations", "always_invoice"]


def new_item(
    books: Books,
    subscription: Object,
    price: Object,
    quantity: int | None,
    metadata: dict[str, str],
    period: tuple[int, int],
) -> Object:
    is_metered = price["recurring"]["usage_type"] == "metered"
    if is_metered and quantity is not None:
        raise StripeFailure("A metered item has no quantity.", param="items[0][quantity]")
    item = books.new(
        "subscription_item",
        created=books.now(),
        subscription=subscription["id"],
        price=price,
        metadata=metadata,
        current_period_start=period[0],
        current_period_end=period[1],
        billing_thresholds=None,
        discounts=[],
        tax_rates=[],
    )
    if not is_metered:
        item["quantity"] = 1 if quantity is None else quantity
    return item


def set_quantity(item: Object, quantity: int | None, proration: Proration) -> None:
    if quantity is None or quantity == item.get("quantity"):
        return
    if "quantity" not in item:
        raise StripeFailure("A metered item has no quantity.", param="items[0][quantity]")
    if proration != "none":
        raise StripeFailure(
            "The sandbox does not prorate: set `proration_behavior` to `none`.", param="proration_behavior"
        )
    item["quantity"] = quantity
