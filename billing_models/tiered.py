"""A fee with a quota, then overage: the predictable plan that most tenants buy."""

from collections.abc import Iterable
from decimal import Decimal

from billing_models.charges import Charge
from inkmeter import BillingModel, Line, Rate, StripePriceSpec, Units, Usage, hookimpl


class Tiered(BillingModel):
    """A fee per period includes a quota of units; what is used beyond it is charged as overage."""

    code = "tiered"

    fee: Rate
    """The fee of a period, due whether anything is used or not."""
    included: Units
    """Units that the fee includes in each period."""
    overage: Charge
    """What the units beyond the included ones cost. Tiers count from the first unit of overage."""

    def fees(self, seats: int) -> Iterable[Line]:
        yield Line("Fee", Decimal(1), self.fee)

    def rate(self, usage: Usage) -> Iterable[Line]:
        if used := usage.within(self.included):
            yield Line(f"Per {usage.unit}, of {self.included:,} included", used, Decimal(0))
        yield from self.overage.lines(usage.beyond(self.included), f"Overage per {usage.unit}")

    def allowance(self, seats: int) -> Decimal:
        return Decimal(self.included)

    def stripe_price(self) -> StripePriceSpec | None:
        return self.overage.at_stripe(self.included, self.fee)


@hookimpl
def register_billing_models() -> list[type[BillingModel]]:
    return [Tiered]
