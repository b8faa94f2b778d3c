"""What differs at Stripe from what we made there, and putting it right where that is safe."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import partial

from inkmeter.errors import PaymentRefused
from integrations.protocols import StripePriceTerms
from services import phases, stripe_catalog
from services.platform import Platform
from storage.plans import Plan, StripeMode
from storage.usage_reports import StripeMeter


class DriftKind(StrEnum):
    """What of an object at Stripe is not as we made it."""

    PRODUCT_NAME = "PRODUCT_NAME"
    PRODUCT_INACTIVE = "PRODUCT_INACTIVE"
    PRICE_INACTIVE = "PRICE_INACTIVE"
    PRICE_LOOKUP_KEY = "PRICE_LOOKUP_KEY"
    PRICE_TERMS = "PRICE_TERMS"
    METER_INACTIVE = "METER_INACTIVE"
    METER_SETTINGS = "METER_SETTINGS"
    MISSING = "MISSING"


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference; `subject` is the code of a plan or a meter. Without a `repair` somebody has to decide."""

    kind: DriftKind
    subject: str
    stripe_id: str
    expected: str
    found: str
    repair: Callable[[], Awaitable[None]] | None = field(default=None, compare=False)

    @property
    def is_repairable(self) -> bool:
        return self.repair is not None


async def find_drift(platform: Platform, plan_code: str | None = None) -> list[Drift]:
    """Look at everything that was mirrored, of one plan or of all. Raises what the gateway raises."""
    query = Plan.filter(stripe_price_id__not_isnull=True)
    if plan_code is not None:
        query = query.filter(code=plan_code)
    found: list[Drift] = []
    codes = set[str]()
    for plan in await query.order_by("id"):
        found += await _price_drift(platform, plan)
        if plan.code not in codes:
            codes.add(plan.code)
            found += await _product_drift(platform, plan)
    if plan_code is None:
        for meter in await StripeMeter.all().order_by("code"):
            found += await _meter_drift(platform, meter)
    return found


async def repair_mirror(platform: Platform, plan_code: str | None = None) -> tuple[list[Drift], list[Drift]]:
    """Put right what can be; answers what was repaired, and what is left."""
    found = await find_drift(platform, plan_code)
    for drift in found:
        if drift.repair is not None:
            await drift.repair()
    left = await find_drift(platform, plan_code) if found else []
    return [drift for drift in found if drift not in left], left


async def _product_drift(platform: Platform, plan: Plan) -> list[Drift]:
    name, product_id = await stripe_catalog.newest_name(plan.code), plan.stripe_product_id
    try:
        product = await platform.stripe.product(product_id)
    except PaymentRefused as refusal:
        return [Drift(DriftKind.MISSING, plan.code, product_id, name, refusal.message)]
    mend = partial(platform.stripe.mend_product, product_id, name=name)
    found = []
    if product.name != name:
        found.append(Drift(DriftKind.PRODUCT_NAME, plan.code, product_id, name, product.name, mend))
    if not product.is_active:
        found.append(Drift(DriftKind.PRODUCT_INACTIVE, plan.code, product_id, "active", "inactive", mend))
    return found


async def _price_drift(platform: Platform, plan: Plan) -> list[Drift]:
    base = StripePriceTerms(plan.stripe_product_id, plan.currency, plan.interval.lower(), Decimal(0))
    wanted = [(plan.stripe_price_id, stripe_catalog.base_lookup_key(plan), base)]
    if plan.stripe_mode is StripeMode.METERED:
        terms = await phases.load_terms(platform, plan.id)
        wanted += [
            (mirrored.stripe_id, mirrored.lookup_key, mirrored.terms)
            for mirrored in await stripe_catalog.mirrored_prices(platform, terms, plan)
            if mirrored.stripe_id is not None
        ]
    found = []
    for price_id, lookup_key, expected in wanted:
        found += await _one_price_drift(platform, plan, price_id, lookup_key, expected)
    return found


async def _one_price_drift(
    platform: Platform, plan: Plan, price_id: str, lookup_key: str, expected: StripePriceTerms
) -> list[Drift]:
    try:
        price = await platform.stripe.price(price_id)
    except PaymentRefused as refusal:
        return [Drift(DriftKind.MISSING, plan.code, price_id, lookup_key, refusal.message)]
    mend = partial(platform.stripe.mend_price, price_id, lookup_key=lookup_key)
    found = []
    if price.terms != expected:
        # Amounts of a price never change, so it is not the one that we made: whoever put it there must say why.
        found.append(Drift(DriftKind.PRICE_TERMS, plan.code, price_id, str(expected), str(price.terms)))
    if not price.is_active:
        found.append(Drift(DriftKind.PRICE_INACTIVE, plan.code, price_id, "active", "inactive", mend))
    if price.lookup_key != lookup_key:
        kind = DriftKind.PRICE_LOOKUP_KEY
        found.append(Drift(kind, plan.code, price_id, lookup_key, price.lookup_key or "none", mend))
    return found


async def _meter_drift(platform: Platform, stored: StripeMeter) -> list[Drift]:
    """Stripe's docs: only a meter's display name can be changed; it can be deactivated and reactivated."""
    meter = await platform.stripe.find_meter(stored.event_name)
    if meter is None or meter.id != stored.stripe_meter_id:
        other = meter.id if meter is not None else "none"
        return [Drift(DriftKind.MISSING, stored.code, stored.stripe_meter_id, stored.event_name, other)]
    found = []
    if (meter.formula, meter.payload_keys) != stripe_catalog.METER_SETTINGS:
        expected, settings = str(stripe_catalog.METER_SETTINGS), str((meter.formula, meter.payload_keys))
        found.append(Drift(DriftKind.METER_SETTINGS, stored.code, meter.id, expected, settings))
    if not meter.is_active:
        mend = partial(platform.stripe.reactivate_meter, meter.id)
        found.append(Drift(DriftKind.METER_INACTIVE, stored.code, meter.id, "active", "inactive", mend))
    return found
