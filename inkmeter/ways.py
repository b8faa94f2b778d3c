"""What a refusal names as a way on."""

from dataclasses import dataclass

from inkmeter.money import Money


@dataclass(frozen=True, slots=True)
class TopUpPack:
    """Units that the plan offers to buy, all together for `price`."""

    units: int
    price: Money


@dataclass(frozen=True, slots=True)
class PendingTopUp:
    """Credits that were ordered by the plan's rule and are granted once they are paid. `id` is the order's UUID."""

    id: str
    units: int
    price: Money


@dataclass(frozen=True, slots=True)
class NextPlan:
    """The plan to go on with: the successor of the present one. `id` is its UUID."""

    id: str
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class UnpaidInvoice:
    """An invoice that is owed, and Stripe's page where it can be paid. `id` is its UUID; `due` is what is left to be
    paid, with taxes.
    """

    id: str
    total: Money
    hosted_url: str | None
    due: Money
