from decimal import Decimal
from typing import Any

import pytest

from inkmeter import StripePriceSpec, StripeTier
from plugins.registry import BillingModels

TIERS = [{"upTo": 100, "unitPrice": "0.10"}, {"unitPrice": "0.05", "flatFee": "3"}]
FLAT_FIRST = [{"upTo": 100, "flatFee": "5"}, {"unitPrice": "0.05"}]
TENTH, TWENTIETH = Decimal("0.10"), Decimal("0.05")


@pytest.mark.parametrize(
    ("code", "config", "spec"),
    [
        ("flat", {"fee": "99"}, StripePriceSpec(unit_price=Decimal(99))),
        ("per-document", {"unitPrice": "0.10"}, StripePriceSpec(tiers=(StripeTier(None, TENTH),))),
        (
            "per-document",
            {"unitPrice": "0.10", "freeUnits": 5},
            StripePriceSpec(tiers=(StripeTier(5), StripeTier(None, TENTH))),
        ),
        ("per-seat", {"seatPrice": "9", "includedPerSeat": 5}, StripePriceSpec(Decimal(9), per_seat=True)),
        ("per-seat", {"seatPrice": "9", "minimumSeats": 2}, None),
        ("per-seat", {"seatPrice": "9", "includedPerSeat": 5, "overagePrice": "1"}, None),
        (
            "tiered",
            {"fee": "9", "included": 50, "overage": {"tiers": TIERS}},
            StripePriceSpec(
                Decimal(9),
                tiers=(StripeTier(50), StripeTier(150, TENTH), StripeTier(None, TWENTIETH, Decimal(3))),
            ),
        ),
        (
            "tiered",
            {"fee": "9", "included": 50, "overage": {"tiers": FLAT_FIRST}},
            StripePriceSpec(
                Decimal(9),
                tiers=(StripeTier(50), StripeTier(150, Decimal(0), Decimal(5)), StripeTier(None, TWENTIETH)),
            ),
        ),
        ("tiered", {"fee": "9", "included": 50, "overage": {"tiers": TIERS, "tiersMode": "VOLUME"}}, None),
        ("tiered", {"fee": "9", "included": 50, "overage": {"pack": {"size": 5, "price": "1"}}}, None),
        (
            "metered",
            {"tiers": TIERS, "tiersMode": "VOLUME"},
            StripePriceSpec(
                tiers=(StripeTier(100, TENTH), StripeTier(None, TWENTIETH, Decimal(3))), tiers_mode="volume"
            ),
        ),
        ("metered", {"tiers": TIERS, "tiersMode": "VOLUME", "freeUnits": 1}, None),
        ("metered", {"tiers": FLAT_FIRST}, None),
        ("metered", {"pack": {"size": 5, "price": "1"}}, None),
        ("metered", {"percentage": "2.9"}, None),
        ("tiered", {"fee": "9", "included": 50, "overage": {"percentage": "2.9"}}, None),
        ("metered", {"unitPrice": "1", "minimumSpend": "1"}, None),
        ("metered", {"unitPrice": "1", "maximumSpend": "1"}, None),
    ],
)
def test_stripe_price(models: BillingModels, code: str, config: dict[str, Any], spec: StripePriceSpec | None) -> None:
    assert models.get(code).configure(config).stripe_price() == spec
