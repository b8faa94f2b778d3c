"""One fee per period, whatever is used: signing is part of the tenant's own subscription."""

from collections.abc import Iterable
from decimal import Decimal

from inkmeter import BillingModel, Line, Rate, StripePriceSpec, Units, hookimpl


class Flat(BillingModel):
    """One fee per period, whatever is used; a fair-use limit may bound it."""

    code = "flat"

    fee: Rate
    """The fee of a period."""
    fair_use_limit: Units | None = None
    """Units that the fee covers. Beyond them nothing is billed: the plan's limit policy decides what happens.
    Without it the fee covers any number."""

    def fees(self, seats: int) -> Iterable[Line]:
        yield Line("Flat fee", Decimal(1), self.fee)

    def allowance(self, seats: int) -> Decimal | None:
        return None if self.fair_use_limit is None else Decimal(self.fair_use_limit)

    def stripe_price(self) -> StripePriceSpec:
        return StripePriceSpec(unit_price=self.fee)


@hookimpl
def register_billing_models() -> list[type[BillingModel]]:
    return [Flat]
