"""Which units a plan includes: beyond them credits pay, or a price does."""

from services.measures import scaled
from services.terms import PlanTerms


def included_units(terms: PlanTerms, meter: str, seats: int) -> int | None:
    """Units beyond which credits pay: the quota's, or without one what the meter's prices include; None is without
    end.
    """
    quota = terms.quotas.get(meter)
    if quota is not None:
        return int(quota.units)
    allowances = [model.allowance(seats) for entry, model in terms.prices if entry.meter == meter]
    known = [allowance for allowance in allowances if allowance is not None]
    return scaled(min(known), terms.meters[meter].decimals) if known and len(known) == len(allowances) else None


def needed_credits(included: int | None, before: int, after: int) -> int:
    """How many of the units between two totals lie beyond what is included."""
    return 0 if included is None else max(after - included, 0) - max(before - included, 0)
