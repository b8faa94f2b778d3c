"""Products and prices."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from integrations.stripe.sandbox.books import Books, Object, paged
from integrations.stripe.sandbox.endpoint import Endpoint
from integrations.stripe.sandbox.failures import StripeFailure
from integrations.stripe.sandbox.forms import Currency, Metadata, Page, Params, merged

UnitAmount = Annotated[Decimal, Field(ge=0, decimal_places=12)]


class UpdateProduct(Params):
    name: str | None = None
    active: bool = True
    description: str | None = None
    unit_label: str | None = None
    metadata: Metadata = Field(default_factory=dict)


class CreateProduct(UpdateProduct):
    name: str


class ListProducts(Page):
    active: bool | None = None
    ids: list[str] | None = None


class Recurring(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    interval: Literal["day", "week", "month", "year"]
    interval_count: int = Field(default=1, ge=1)
    usage_type: Literal["licensed", "metered"] = "licensed"
    meter: str | None = None


class Transform(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    divide_by: int = Field(ge=1)
    round: Literal["up", "down"]


class Tier(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    up_to: int | Literal["inf"]
    unit_amount: int | None = None
    unit_amount_decimal: UnitAmount | None = None
    flat_amount: int | None = None
    flat_amount_decimal: UnitAmount | None = None


class UpdatePrice(Params):
    active: bool = True
    nickname: str | None = None
    lookup_key: str | None = None
    transfer_lookup_key: bool = False
    metadata: Metadata = Field(default_factory=dict)


class CreatePrice(UpdatePrice):
    currency: Currency
    product: str
    recurring: Recurring | None = None
    unit_amount: int | None = None
    unit_amount_decimal: UnitAmount | None = None
    billing_scheme: Literal["per_unit", "tiered"] = "per_unit"
    tiers_mode: Literal["graduated", "volume"] | None = None
    tiers: list[Tier] = Field(default_factory=list)
    transform_quantity: Transform | None = None


class ListPrices(Page):
    active: bool | None = None
    product: str | None = None
    currency: Currency | None = None
    type: Literal["one_time", "recurring"] | None = None
    lookup_keys: list[str] | None = None


def create_product(books: Books, params: CreateProduct) -> Object:
    product = books.new(
        "product",
        created=books.now(),
        updated=books.now(),
        name=params.name,
        active=params.active,
        description=params.description,
        metadata=params.metadata,
        unit_label=params.unit_label,
        default_price=None,
        images=[],
        marketing_features=[],
        package_dimensions=None,
        shippable=None,
        statement_descriptor=None,
        tax_code=None,
        url=None,
    )
    books.emit("product.created", product)
    return books.shown(product)


def update_product(books: Books, params: UpdateProduct, product_id: str) -> Object:
    product = books.get("product", product_id)
    changes = params.model_dump(include=params.model_fields_set - {"metadata", "expand"})
    metadata = merged(product["metadata"], params.metadata)
    books.change(product, **changes, metadata=metadata, updated=books.now())
    return books.shown(product)


def retrieve_product(books: Books, params: Params, product_id: str) -> Object:
    return books.shown(books.get("product", product_id))


def list_products(books: Books, params: ListProducts) -> Object:
    found = books.all("product", active=params.active)
    return paged([p for p in found if params.ids is None or p["id"] in params.ids], params, "/v1/products")


def create_price(books: Books, params: CreatePrice) -> Object:
    books.get("product", params.product, "product")
    if params.recurring is not None:
        _check_meter(books, params.recurring)
    _check_amounts(params)
    _take_lookup_key(books, params, owner=None)
    exact = params.unit_amount_decimal if params.unit_amount is None else Decimal(params.unit_amount)
    price = books.new(
        "price",
        created=books.now(),
        active=params.active,
        currency=params.currency,
        product=params.product,
        nickname=params.nickname,
        lookup_key=params.lookup_key,
        metadata=params.metadata,
        type="recurring" if params.recurring else "one_time",
        recurring=params.recurring.model_dump() if params.recurring else None,
        billing_scheme=params.billing_scheme,
        unit_amount=_whole(exact),
        unit_amount_decimal=_plain(exact),
        tiers_mode=params.tiers_mode,
        custom_unit_amount=None,
        tax_behavior="unspecified",
        transform_quantity=params.transform_quantity.model_dump() if params.transform_quantity else None,
    )
    if params.tiers:
        price["tiers"] = [_tier(tier) for tier in params.tiers]
    books.emit("price.created", price)
    return books.shown(price)


def update_price(books: Books, params: UpdatePrice, price_id: str) -> Object:
    price = books.get("price", price_id)
    _take_lookup_key(books, params, owner=price)
    changes = params.model_dump(include=params.model_fields_set & {"active", "nickname", "lookup_key"})
    books.change(price, **changes, metadata=merged(price["metadata"], params.metadata))
    return books.shown(price)


def retrieve_price(books: Books, params: Params, price_id: str) -> Object:
    return books.shown(books.get("price", price_id))


def list_prices(books: Books, params: ListPrices) -> Object:
    found = books.all("price", active=params.active, product=params.product, currency=params.currency, type=params.type)
    keys = params.lookup_keys
    return paged([p for p in found if keys is None or p["lookup_key"] in keys], params, "/v1/prices")


def amount_for(price: Object, quantity: Decimal | int) -> int:
    """What a quantity costs in minor units, rounded half up once."""
    units = Decimal(quantity)
    if transform := price["transform_quantity"]:
        rounding = ROUND_CEILING if transform["round"] == "up" else ROUND_FLOOR
        units = (units / transform["divide_by"]).to_integral_value(rounding)
    exact = Decimal(price["unit_amount_decimal"] or 0) * units
    if price["billing_scheme"] == "tiered":
        exact = _tiered(price["tiers"], units, price["tiers_mode"] == "volume")
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def _tiered(tiers: list[Object], quantity: Decimal, is_volume: bool) -> Decimal:
    total, below = Decimal(0), Decimal(0)
    for tier in tiers:
        within = quantity if tier["up_to"] is None else min(quantity, Decimal(tier["up_to"]))
        unit, flat = Decimal(tier["unit_amount_decimal"] or 0), Decimal(tier["flat_amount_decimal"] or 0)
        if is_volume and within == quantity:
            return unit * quantity + flat
        if not is_volume and within > below:
            total += unit * (within - below) + flat
        below = within
    return total


def _check_meter(books: Books, recurring: Recurring) -> None:
    if recurring.usage_type == "licensed":
        if recurring.meter is not None:
            raise StripeFailure("Licensed prices have no meter.", param="recurring[meter]")
    elif recurring.meter is None:
        raise StripeFailure("Starting with Stripe version `2025-03-31.basil`, metered prices must be backed by meters.")
    elif books.get("billing.meter", recurring.meter, "recurring[meter]")["status"] != "active":
        raise StripeFailure("The meter is not active.", param="recurring[meter]")


def _check_amounts(params: CreatePrice) -> None:
    amounts = [params.unit_amount, params.unit_amount_decimal]
    if params.billing_scheme == "tiered":
        if not params.tiers or params.tiers_mode is None:
            raise StripeFailure("Tiered prices need `tiers` and `tiers_mode`.", param="tiers")
        if params.tiers[-1].up_to != "inf":
            raise StripeFailure("The last tier must have `up_to` set to `inf`.", param="tiers")
        if params.transform_quantity is not None:
            raise StripeFailure("`transform_quantity` cannot be used with tiers.", param="transform_quantity")
        bounds = [tier.up_to for tier in params.tiers[:-1]]
        if "inf" in bounds or any(after <= before for before, after in pairwise(bounds)):  # type: ignore[operator]
            raise StripeFailure("Tiers must be in ascending order.", param="tiers")
        if amounts != [None, None]:
            raise StripeFailure("`unit_amount` cannot be used with tiers.", param="unit_amount")
    elif amounts.count(None) != 1:
        raise StripeFailure("Specify exactly one of `unit_amount` and `unit_amount_decimal`.", param="unit_amount")


def _take_lookup_key(books: Books, params: UpdatePrice, owner: Object | None) -> None:
    if params.lookup_key is None:
        return
    for holder in books.all("price", lookup_key=params.lookup_key):
        if holder is owner:
            continue
        if not params.transfer_lookup_key:
            raise StripeFailure(f"A price ({holder['id']}) already uses that lookup key.", param="lookup_key")
        books.change(holder, lookup_key=None)


def _tier(tier: Tier) -> Object:
    unit = tier.unit_amount_decimal if tier.unit_amount is None else Decimal(tier.unit_amount)
    flat = tier.flat_amount_decimal if tier.flat_amount is None else Decimal(tier.flat_amount)
    return {
        "up_to": None if tier.up_to == "inf" else tier.up_to,
        "unit_amount": _whole(unit),
        "unit_amount_decimal": _plain(unit),
        "flat_amount": _whole(flat),
        "flat_amount_decimal": _plain(flat),
    }


def _whole(exact: Decimal | None) -> int | None:
    return int(exact) if exact is not None and exact == int(exact) else None


def _plain(exact: Decimal | None) -> str | None:
    return None if exact is None else format(exact.normalize(), "f")


ENDPOINTS = (
    Endpoint("POST", "/v1/products", CreateProduct, create_product),
    Endpoint("GET", "/v1/products", ListProducts, list_products),
    Endpoint("GET", "/v1/products/{id}", Params, retrieve_product),
    Endpoint("POST", "/v1/products/{id}", UpdateProduct, update_product),
    Endpoint("POST", "/v1/prices", CreatePrice, create_price),
    Endpoint("GET", "/v1/prices", ListPrices, list_prices),
    Endpoint("GET", "/v1/prices/{id}", Params, retrieve_price),
    Endpoint("POST", "/v1/prices/{id}", UpdatePrice, update_price),
)
