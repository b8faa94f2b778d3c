from typing import Any

import pytest

from inkmeter import InvalidConfig
from inkmeter.testing import check_billing_model
from plugins.registry import BillingModels

TIERS = [{"upTo": 100, "unitPrice": "0.10"}, {"unitPrice": "0.05", "flatFee": "3"}]
PRICES: list[tuple[str, dict[str, Any]]] = [
    ("flat", {"fee": "99.00"}),
    ("flat", {"fee": "99.00", "fairUseLimit": 100}),
    ("per-document", {"unitPrice": "0.45"}),
    ("per-document", {"unitPrice": "0.45", "freeUnits": 10}),
    ("per-seat", {"seatPrice": "12.00", "minimumSeats": 3}),
    ("per-seat", {"seatPrice": "12.00", "includedPerSeat": 20, "overagePrice": "0.40"}),
    ("tiered", {"fee": "49.00", "included": 100, "overage": {"unitPrice": "0.40"}}),
    ("tiered", {"fee": "49.00", "included": 10, "overage": {"tiers": TIERS}}),
    ("tiered", {"fee": "49.00", "included": 10, "overage": {"pack": {"size": 50, "price": "4"}}}),
    ("metered", {"unitPrice": "0.0123", "freeUnits": 5}),
    ("metered", {"unitPrice": "0.01", "minimumSpend": "1.00", "maximumSpend": "2.00"}),
    ("metered", {"pack": {"size": 50, "price": "4.00", "rounding": "DOWN"}}),
    ("metered", {"tiers": TIERS, "flatFeeWhenUnused": False}),
    ("metered", {"percentage": "2.9", "freeUnits": 50, "minimumSpend": "1.00"}),
    ("tiered", {"fee": "49.00", "included": 10, "overage": {"percentage": "0.5"}}),
    ("per-seat", {"seatPrice": "12.00", "seatProration": "DAY"}),
]
ONE_OF = "exactly one of unitPrice, pack, tiers and percentage is needed"


@pytest.mark.parametrize(("code", "config"), PRICES)
def test_every_model_keeps_the_contract(models: BillingModels, code: str, config: dict[str, Any]) -> None:
    check_billing_model(models.get(code), config)


def test_volume_tiers_keep_it_too_but_fall(models: BillingModels) -> None:
    config = {"tiers": TIERS, "tiersMode": "VOLUME"}
    check_billing_model(models.get("metered"), config, monotone=False)


@pytest.mark.parametrize(
    ("code", "config", "paths"),
    [
        ("flat", {}, {"fee": "is needed"}),
        ("flat", {"fee": 9.5, "fairUseLimit": 1.5, "fees": 1}, {"fee", "fairUseLimit", "fees"}),
        ("per-document", {"unitPrice": "1", "freeUnits": "10"}, {"freeUnits"}),
        ("per-seat", {"seatPrice": "1", "minimumSeats": -1}, {"minimumSeats"}),
        ("per-seat", {"seatPrice": "1", "overagePrice": "1"}, {"includedPerSeat"}),
        ("tiered", {}, {"fee", "included", "overage"}),
        (
            "tiered",
            {"fee": 1.5, "included": 10, "overage": {"tiers": [{"upTo": 5, "unitPrice": 0.5}, {"unitPrise": "1"}]}},
            {"fee", "overage.tiers.0.unitPrice", "overage.tiers.1.unitPrise"},
        ),
        (
            "tiered",
            {"fee": "1", "included": 1, "overage": {"unitPrice": "1", "tiers": TIERS}},
            {"overage.unitPrice": ONE_OF, "overage.tiers": ONE_OF},
        ),
        ("metered", {}, {"unitPrice": ONE_OF, "pack": ONE_OF, "tiers": ONE_OF, "percentage": ONE_OF}),
        ("metered", {"percentage": "1", "unitPrice": "1"}, {"unitPrice": ONE_OF, "percentage": ONE_OF}),
        ("metered", {"percentage": 2.9}, {"percentage"}),
        ("metered", {"percentage": "2.9 %"}, {"percentage"}),
        ("metered", {"percentage": "-1"}, {"percentage"}),
        ("per-seat", {"seatPrice": "1", "seatProration": "second"}, {"seatProration"}),
        ("metered", {"tiers": []}, {"tiers"}),
        ("metered", {"tiers": [{"upTo": n + 1} for n in range(100)] + [{}]}, {"tiers"}),
        ("metered", {"tiers": [{"upTo": 10}]}, {"tiers.0.upTo": "must be left out: the last tier is open"}),
        (
            "metered",
            {"tiers": [{"upTo": 10}, {"upTo": 10}, {"upTo": 9}, {}, {"upTo": 20}]},
            {
                "tiers.1.upTo": "must be more than the 10 of the tier before",
                "tiers.2.upTo": "must be more than the 10 of the tier before",
                "tiers.3.upTo": "is needed: only the last tier is open",
                "tiers.4.upTo": "must be left out: the last tier is open",
            },
        ),
        ("metered", {"tiers": [{"upTo": 0}, {}]}, {"tiers.0.upTo"}),
        ("metered", {"tiers": TIERS, "tiersMode": "volume"}, {"tiersMode"}),
        ("metered", {"pack": {"size": 0, "price": 0.5, "rounding": "X"}}, {"pack.size", "pack.price", "pack.rounding"}),
        ("metered", {"unitPrice": "1", "flatFeeWhenUnused": 0}, {"flatFeeWhenUnused"}),
        ("metered", {"unitPrice": "1", "minimumSpend": "2", "maximumSpend": "1"}, {"maximumSpend"}),
    ],
)  # fmt: skip
def test_every_wrong_path_is_named(
    models: BillingModels, code: str, config: dict[str, Any], paths: set[str] | dict[str, str]
) -> None:
    with pytest.raises(InvalidConfig) as refused:
        models.get(code).configure(config)
    found = {".".join(problem.path): problem.message for problem in refused.value.problems}
    assert (found if isinstance(paths, dict) else found.keys()) == paths
    assert all(found.values())
