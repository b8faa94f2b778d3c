import pytest
import strawberry
from strawberry.schema.config import StrawberryConfig

from inkmeter import money
from schema.money import Money
from schema.scalars import SCALARS


@pytest.mark.parametrize(
    ("minor", "currency", "amount"),
    [
        (1250, "USD", "12.50"),
        (-5, "USD", "-0.05"),
        (0, "EUR", "0.00"),
        (1250, "JPY", "1250"),
        (1, "KWD", "0.001"),
        (2**63 - 1, "USD", "92233720368547758.07"),
    ],
)
def test_amounts_have_their_currencys_digits(minor: int, currency: str, amount: str) -> None:
    @strawberry.type
    class Query:
        @strawberry.field
        def price(self) -> Money:
            return Money.of(money.Money(minor, currency))

    schema = strawberry.Schema(Query, config=StrawberryConfig(scalar_map=SCALARS))
    result = schema.execute_sync("{ price { amount currency } }")
    assert result.data == {"price": {"amount": amount, "currency": currency}}
