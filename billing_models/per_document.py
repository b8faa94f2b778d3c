"""Each unit costs the same: pay as you go, for tenants who sign little."""

from collections.abc import Iterable
from decimal import Decimal

from inkmeter import BillingModel, Line, Rate, StripePriceSpec, StripeTier, Units, Usage, hookimpl


class PerDocument(BillingModel):
    """Every unit costs the same, after an optional number of free ones."""

    code = "per-document"

    unit_price: Rate
    """Price of one unit."""
    free_units: Units = 0
    """Units of each period that cost nothing."""

    def rate(self, usage: Usage) -> Iterable[Line]:
        if free := usage.within(self.free_units):
            yield Line(f"Per {usage.unit}, free", free, Decimal(0))
        if billed := usage.beyond(self.free_units):
            yield Line(f"Per {usage.unit}", billed, self.unit_price)

    def allowance(self, seats: int) -> Decimal:
        return Decimal(self.free_units)

    def stripe_price(self) -> StripePriceSpec:
        free = (StripeTier(self.free_units),) if self.free_units else ()
        return StripePriceSpec(tiers=(*free, StripeTier(None, self.unit_price)))


@hookimpl
def register_billing_models() -> list[type[BillingModel]]:
    return [PerDocument]
