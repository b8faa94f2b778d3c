"""An amount of money in the API."""

from decimal import Decimal
from typing import Self

import strawberry

from inkmeter import money
from schema.scalars import CurrencyCode


@strawberry.type(description="An exact amount with its currency.")
class Money:
    amount: Decimal = strawberry.field(
        description="In major units, always with the currency's digits: `12.50` for USD, `1250` for JPY."
    )
    currency: CurrencyCode = strawberry.field(description="The currency of the amount.")

    @classmethod
    def of(cls, amount: money.Money) -> Self:
        """The same amount as the API shows it."""
        return cls(amount=amount.amount, currency=CurrencyCode(amount.currency))
