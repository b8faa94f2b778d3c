"""Each seat costs the same in each period: teams, who know how many they are but not how much they sign."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Self

from pydantic import model_validator

from inkmeter import BillingModel, Line, Problem, Proration, Rate, StripePriceSpec, Units, Usage, hookimpl, invalid


class PerSeat(BillingModel):
    """Every seat costs the same in a period and may bring units along, shared by the whole team."""

    code = "per-seat"

    seat_price: Rate
    """Price of one seat for a period."""
    minimum_seats: Units = 0
    """Seats that are billed at least."""
    included_per_seat: Units | None = None
    """Units that each billed seat includes. Without it a seat includes any number."""
    overage_price: Rate | None = None
    """Price of one unit beyond the included ones. Without it they cost nothing: the plan's limit policy
    decides.
    """
    seat_proration: Proration = Proration.SECOND
    """How seats that change inside a period are charged. SECOND: by exact time; DAY: by local days, the day of the
    change as new; NONE: from the next period.
    """

    @model_validator(mode="after")
    def _overage_is_beyond_something(self) -> Self:
        if self.overage_price is not None and self.included_per_seat is None:
            raise invalid(Problem(("includedPerSeat",), "is needed where there is an overagePrice"))
        return self

    def fees(self, seats: int) -> Iterable[Line]:
        if billed := self._billed(seats):
            minimum = f", minimum of {billed:,}" if billed > seats else ""
            yield Line(f"Per seat{minimum}", Decimal(billed), self.seat_price)

    def seat_changes(self) -> Proration:
        return self.seat_proration

    def rate(self, usage: Usage) -> Iterable[Line]:
        included = self.allowance(usage.seats)
        if included is None or self.overage_price is None:
            return
        if overage := usage.beyond(included):
            yield Line(f"Per {usage.unit}, beyond {included:,} included", overage, self.overage_price)

    def allowance(self, seats: int) -> Decimal | None:
        return None if self.included_per_seat is None else Decimal(self.included_per_seat * self._billed(seats))

    def stripe_price(self) -> StripePriceSpec | None:
        """Stripe bills seats as a quantity, but knows no minimum of them, nor tiers that move with them."""
        if self.minimum_seats or self.overage_price is not None:
            return None
        return StripePriceSpec(unit_price=self.seat_price, per_seat=True)

    def _billed(self, seats: int) -> int:
        return max(seats, self.minimum_seats)


@hookimpl
def register_billing_models() -> list[type[BillingModel]]:
    return [PerSeat]
