"""A plan made alive: what rating and quota decisions work with."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from inkmeter.billing_model import BillingModel, Line
from inkmeter.errors import NextPlan, PluginError, Refused
from inkmeter.usage import METERS, Meter, Usage
from plugins.manager import Plugins
from storage.plans import Plan, Price, Quota

log = logging.getLogger("inkmeter.plans")


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """A plan version with its prices made alive: each a billing model that can rate."""

    plan: Plan
    prices: tuple[tuple[Price, BillingModel], ...]
    quotas: Mapping[str, Quota]
    meters: Mapping[str, Meter] = field(default_factory=lambda: METERS)
    """Of its prices and quotas, by code."""
    successor: NextPlan | None = None
    downgrade: NextPlan | None = None
    """Where those go who do not pay."""


class Unusable(BillingModel):
    """Stands for a price whose model is not installed any more, or takes its configuration no more.

    The plan can still be read; nothing can be decided or billed by it until the plugin is back.
    """

    code = "unusable"
    model: str
    reason: str

    def fees(self, seats: int) -> Iterable[Line]:
        raise self._error("fees")

    def rate(self, usage: Usage) -> Iterable[Line]:
        raise self._error("rate")

    def allowance(self, seats: int) -> Decimal | None:
        raise self._error("allowance")

    def _error(self, hook: str) -> PluginError:
        return PluginError(f"{self.reason}; install its plugin again", plugin=self.model, hook=hook)


def revive(plugins: Plugins, price: Price) -> BillingModel:
    """The billing model of a stored price, with its configuration."""
    try:
        return plugins.billing_models.get(price.model).configure(price.config)
    except Refused as refused:
        log.warning("a plan's price of %s cannot be used: %s", price.meter, refused.message)
        return Unusable(model=price.model, reason=refused.message)
