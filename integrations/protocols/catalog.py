"""Products, prices and meters as they stand at Stripe."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class StripeMeter:
    """A billing meter: `payload_keys` are those of the customer and of the value in its events."""

    id: str
    event_name: str
    is_active: bool
    formula: str
    payload_keys: tuple[str, str]


@dataclass(frozen=True, slots=True)
class StripePriceTerms:
    """What a recurring price of a product says, in minor units; with a meter it is metered, otherwise licensed.

    `tiers` are (last unit or None, price of a unit, flat price), read as `tiers_mode` says; `package` is (size,
    "up" or "down").
    """

    product_id: str
    currency: str
    interval: str
    unit_amount: Decimal | None = None
    meter_id: str | None = None
    tiers: tuple[tuple[int | None, Decimal, Decimal], ...] = ()
    tiers_mode: str | None = None
    package: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class StripePrice:
    """A price as it stands at Stripe."""

    id: str
    is_active: bool
    lookup_key: str | None
    terms: StripePriceTerms


@dataclass(frozen=True, slots=True)
class StripeProduct:
    """A product as it stands at Stripe."""

    id: str
    name: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class FailedReports:
    """Reports that Stripe has not counted: its code for what is wrong, by identifier, as far as it names them."""

    codes: Mapping[str, str]
    count: int
