"""Usage as it comes, per meter: high and variable volumes."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from billing_models.charges import Charge
from inkmeter import BillingModel, Line, Problem, Rate, StripePriceSpec, Units, Usage, hookimpl, invalid


class Metered(Charge, BillingModel):
    """Actual usage, charged per unit, by the pack or in tiers, with free units and bounds on the spend."""

    code = "metered"

    free_units: Units = 0
    """Units of each period that cost nothing. They come first: packs and tiers count from the unit after
    them.
    """
    flat_fee_when_unused: Annotated[bool, Field(strict=True)] = True
    """Whether the flat fee of the first tier is due in a period without billed units."""
    minimum_spend: Rate | None = None
    """The least that a period costs, used or not."""
    maximum_spend: Rate | None = None
    """The most that a period costs."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        least, most = self.spend_bounds()
        if least is not None and most is not None and most < least:
            raise invalid(Problem(("maximumSpend",), "must not be less than minimumSpend"))
        return self

    def rate(self, usage: Usage) -> Iterable[Line]:
        if free := usage.within(self.free_units):
            yield Line(f"Per {usage.unit}, free", free, Decimal(0))
        billed = usage.beyond(self.free_units)
        yield from self.lines(billed, f"Per {usage.unit}")
        if not billed and self.tiers and self.flat_fee_when_unused and (fee := self.tiers[0].flat_fee):
            yield Line("First tier: flat fee", Decimal(1), fee)

    def spend_bounds(self) -> tuple[Decimal | None, Decimal | None]:
        return self.minimum_spend, self.maximum_spend

    def allowance(self, seats: int) -> Decimal:
        return Decimal(self.free_units)

    def stripe_price(self) -> StripePriceSpec | None:
        """Stripe's prices know no least and no most, and charge no flat fee of a tier that is not reached."""
        is_due_unused = self.tiers and self.tiers[0].flat_fee and self.flat_fee_when_unused
        if self.spend_bounds() != (None, None) or is_due_unused:
            return None
        return self.at_stripe(self.free_units)


@hookimpl
def register_billing_models() -> list[type[BillingModel]]:
    return [Metered]
