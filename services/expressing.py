"""Whether Stripe itself would bill a plan exactly as we do, and how its prices read there."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from inkmeter.billing_model import BillingModel, StripePriceSpec
from inkmeter.money import CURRENCY_DIGITS, WIDE, currency_digits
from inkmeter.periods import Proration
from inkmeter.usage import Aggregation, Meter
from integrations.protocols import StripePriceTerms
from services.measures import SEATS, MeterBook
from services.problems import Problems
from storage.plans import FeesDue

MOST_ITEMS: Final = 20
"""Prices that a subscription may have at Stripe."""
SUMMED: Final = (Aggregation.SUM, Aggregation.COUNT)


def check_metered(
    problems: Problems,
    models: Sequence[tuple[str, BillingModel]],
    book: MeterBook,
    currency: str,
    fees: FeesDue,
) -> None:
    """Say of each price why Stripe would not bill it as we do. `models` are (meter, model), in the plan's order.

    Quotas, spend caps and credits do not matter: they decide what may happen, and which units are reported.
    """
    digits = CURRENCY_DIGITS.get(currency, 2)
    problems.check(digits < 3, "METERED: Stripe rounds three-digit amounts in its own way", "currency")
    items, metered = 0, set[str]()
    for index, (code, model) in enumerate(models):
        path = ("prices", str(index))
        spec = model.stripe_price()
        if spec is None:
            problems.add("METERED: Stripe cannot express this configuration; COMPUTED can", *path, "config")
            continue
        for reason in _unequal(model, spec, digits):
            problems.add(f"METERED: {reason}", *path, "config")
        if spec.unit_price is not None:
            items += 1
            rule = "METERED: Stripe bills fees before their period; say ADVANCE"
            problems.check(fees is FeesDue.ADVANCE, rule, "fees")
        if _has_usage(spec):
            items += 1
            if code in book:
                problems.check(_is_summed(book[code]), f"METERED: {_SUMS}", *path, "meter")
            problems.check(code not in metered, "METERED: another price bills this meter's usage", *path, "meter")
            metered.add(code)
    problems.check(items <= MOST_ITEMS, f"METERED: at most {MOST_ITEMS} fees and usage prices", "prices")


_SUMS: Final = "usage is reported of SUM and COUNT meters in whole units; Stripe has no other of ours"


def _is_summed(meter: Meter) -> bool:
    return meter.aggregation in SUMMED and meter.decimals == 0 and SEATS not in (meter.code, meter.source)


def _has_usage(spec: StripePriceSpec) -> bool:
    return bool(spec.tiers) or spec.package is not None


def _unequal(model: BillingModel, spec: StripePriceSpec, digits: int) -> Iterator[str]:
    """Why an expressible price would still come to another integer."""
    for seats in (1, 3):
        ours = sum((line.amount for line in model.fees(seats)), Decimal(0))
        theirs = WIDE.multiply(spec.unit_price or Decimal(0), seats if spec.per_seat else 1)
        if ours != theirs:
            yield "stripe_price() says another fee than fees()"
            break
    if spec.per_seat and model.seat_changes() is not Proration.NONE:
        yield "seats must be billed from the next period on: seatProration NONE"
    # We round each tier's line, and Stripe maybe the sum: the same where one amount at most has a part of a minor unit.
    parts = [[_is_part(tier.unit_price, digits), _is_part(tier.flat_price, digits)] for tier in spec.tiers]
    together = parts if spec.tiers_mode == "volume" else [[part for tier in parts for part in tier]]
    if any(sum(tier) > 1 for tier in together):
        yield "more than one amount has a part of a minor unit, and Stripe may round their sum"


def _is_part(amount: Decimal, digits: int) -> bool:
    minor = amount.scaleb(digits, WIDE)
    return minor != minor.to_integral_value()


def fee_terms(spec: StripePriceSpec, product_id: str, currency: str, interval: str) -> StripePriceTerms | None:
    """The licensed price of a fee; None without one."""
    if spec.unit_price is None:
        return None
    return StripePriceTerms(product_id, currency, interval, _minor(spec.unit_price, currency))


def usage_terms(
    spec: StripePriceSpec, product_id: str, currency: str, interval: str, meter_id: str
) -> StripePriceTerms | None:
    """The metered price of usage; None if usage costs nothing."""
    if spec.package is not None:
        rounding = spec.package.rounding.value.lower()
        amount, package = _minor(spec.package.price, currency), (spec.package.size, rounding)
        return StripePriceTerms(product_id, currency, interval, amount, meter_id, package=package)
    if not spec.tiers:
        return None
    if len(spec.tiers) == 1 and not spec.tiers[0].flat_price:
        return StripePriceTerms(product_id, currency, interval, _minor(spec.tiers[0].unit_price, currency), meter_id)
    tiers = tuple((t.up_to, _minor(t.unit_price, currency), _minor(t.flat_price, currency)) for t in spec.tiers)
    return StripePriceTerms(product_id, currency, interval, None, meter_id, tiers, spec.tiers_mode)


def _minor(amount: Decimal, currency: str) -> Decimal:
    return amount.scaleb(currency_digits(currency), WIDE)
