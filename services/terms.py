"""A plan made alive: what rating and quota decisions work with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inkmeter.billing_model import BillingModel
from inkmeter.errors import NextPlan
from inkmeter.usage import METERS, Meter
from storage.plans import Plan, Price, Quota


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """A plan version with its prices made alive: each a billing model that can rate."""

    plan: Plan
    prices: tuple[tuple[Price, BillingModel], ...]
    quotas: Mapping[str, Quota]
    meters: Mapping[str, Meter] = field(default_factory=lambda: METERS)
    """Of its prices and quotas, by code."""
    successor: NextPlan | None = None
