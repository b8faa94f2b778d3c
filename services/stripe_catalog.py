"""A plan's mirror at Stripe: its product, its prices, and the meters of their usage. Each is made once."""

from dataclasses import dataclass
from typing import Final

from inkmeter.usage import Meter
from integrations.protocols import StripePriceTerms
from services.expressing import fee_terms, usage_terms
from services.platform import Platform
from services.terms import PlanTerms
from storage.database import insert_new
from storage.plans import Plan, Price, StripeMode
from storage.usage_reports import StripeMeter

EVENT_PREFIX: Final = "inkmeter_"
METER_SETTINGS: Final = ("sum", ("stripe_customer_id", "value"))
"""How every meter of ours reads its events."""


@dataclass(frozen=True, slots=True)
class MirroredPrice:
    """One price at Stripe that stands for a part of one of ours: its `stripe_fee_id` or its `stripe_usage_id`."""

    price: Price
    part: str
    terms: StripePriceTerms

    @property
    def lookup_key(self) -> str:
        return f"inkmeter:{self.price.id}:{self.part}"

    @property
    def key(self) -> str:
        return f"price:{self.price.id}:{self.part}"

    @property
    def column(self) -> str:
        return f"stripe_{self.part}_id"

    @property
    def stripe_id(self) -> str | None:
        found: str | None = getattr(self.price, self.column)
        return found

    async def remember(self, stripe_id: str) -> None:
        """Store what it is called at Stripe."""
        await Price.filter(id=self.price.id).update(**{self.column: stripe_id})
        setattr(self.price, self.column, stripe_id)


def base_lookup_key(plan: Plan) -> str:
    """Of the price of zero that makes Stripe run the cycle."""
    return f"inkmeter:{plan.id}:base"


async def ensure_plan(platform: Platform, terms: PlanTerms) -> Plan:
    """Make what is missing of a plan's mirror, and answer the plan with its ids there."""
    plan = await Plan.get(id=terms.plan.id)
    if plan.stripe_price_id is None:
        product_id = await platform.stripe.ensure_product(
            key=f"plan:{plan.code}:product", is_retry=True, name=plan.name, metadata={"plan_code": plan.code}
        )
        # All versions of a plan are one product, and it is called what the newest is called.
        if (await platform.stripe.product(product_id)).name != (name := await newest_name(plan.code)):
            await platform.stripe.mend_product(product_id, name=name)
        price_id = await platform.stripe.ensure_base_price(
            key=f"plan:{plan.id}:base",
            product_id=product_id,
            currency=plan.currency,
            interval=plan.interval.lower(),
            lookup_key=base_lookup_key(plan),
        )
        await Plan.filter(id=plan.id).update(stripe_product_id=product_id, stripe_price_id=price_id)
        plan = await Plan.get(id=plan.id)
    if plan.stripe_mode is StripeMode.METERED:
        for mirrored in await mirrored_prices(platform, terms, plan):
            if mirrored.stripe_id is None:
                wanted = {"key": mirrored.key, "lookup_key": mirrored.lookup_key}
                made = await platform.stripe.ensure_price(terms=mirrored.terms, **wanted)
                if not made.is_active or made.terms != mirrored.terms:  # not of our making; nobody has it yet
                    made = await platform.stripe.replace_price(terms=mirrored.terms, **wanted)
                await mirrored.remember(made.id)
    return plan


async def newest_name(code: str) -> str:
    """What the newest version of a plan is called."""
    newest = await Plan.filter(code=code).order_by("-version").first()
    assert newest is not None  # noqa: S101 - asked of a plan that there is
    return newest.name


async def mirrored_prices(platform: Platform, terms: PlanTerms, plan: Plan) -> list[MirroredPrice]:
    """What a METERED plan's prices shall be at Stripe; their meters are made where they are missing."""
    rows = {price.id: price for price in await Price.filter(plan_id=plan.id)}
    found = []
    for price, model in terms.prices:
        spec = model.stripe_price()
        assert spec is not None and plan.stripe_product_id is not None  # noqa: S101, PT018 - checked with the plan
        where = (plan.stripe_product_id, plan.currency, plan.interval.lower())
        if (fee := fee_terms(spec, *where)) is not None:
            found.append(MirroredPrice(rows[price.id], "fee", fee))
        if spec.tiers or spec.package:
            meter = await ensure_meter(platform, terms.meters[price.meter])
            usage = usage_terms(spec, *where, meter.stripe_meter_id)
            assert usage is not None  # noqa: S101 - it has usage
            found.append(MirroredPrice(rows[price.id], "usage", usage))
    return found


async def ensure_meter(platform: Platform, meter: Meter) -> StripeMeter:
    """Our meter at Stripe. It sums what we report, whatever ours does with events."""
    found = await StripeMeter.get_or_none(code=meter.code)
    if found is not None:
        return found
    event_name = f"{EVENT_PREFIX}{meter.code}"
    made = await platform.stripe.ensure_meter(
        key=f"meter:{meter.code}", event_name=event_name, display_name=meter.description[:250]
    )
    await insert_new(StripeMeter(code=meter.code, event_name=event_name, stripe_meter_id=made.id), ["code"])
    return await StripeMeter.get(code=meter.code)


async def metered_items(terms: PlanTerms, seats: int) -> dict[str, int | None]:
    """What Stripe's subscription to a METERED plan bills: the quantity of each price, None where usage is reported."""
    items: dict[str, int | None] = {}
    rows = {price.id: price for price in await Price.filter(plan_id=terms.plan.id)}
    for price, model in terms.prices:
        spec, row = model.stripe_price(), rows[price.id]
        if row.stripe_fee_id is not None:
            items[row.stripe_fee_id] = seats if spec is not None and spec.per_seat else 1
        if row.stripe_usage_id is not None:
            items[row.stripe_usage_id] = None
    return items
