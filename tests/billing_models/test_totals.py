"""Numbers computed by hand, at and around every boundary."""

from collections.abc import Callable
from typing import Any

import pytest

from inkmeter import RatedPrice

Bill = Callable[..., RatedPrice]

LADDER = [{"upTo": 100, "unitPrice": "0.10"}, {"upTo": 500, "unitPrice": "0.08"}, {"unitPrice": "0.05"}]
STAIRS = [{"upTo": 10, "flatFee": "5.00"}, {"upTo": 20, "unitPrice": "0.30", "flatFee": "2.00"}, {"unitPrice": "0.20"}]
CENTS = {"unitPrice": "0.000000000001"}
HUGE = str(2**63)


@pytest.mark.parametrize(
    ("code", "config", "totals"),
    [
        ("flat", {"fee": "99.00"}, {"0": "99.00", "1": "99.00", HUGE: "99.00"}),
        ("flat", {"fee": "0.005", "fairUseLimit": 10}, {"0": "0.01", "11": "0.01"}),
        (
            "per-document",
            {"unitPrice": "0.45"},
            {"0": "0.00", "1": "0.45", "0.5": "0.23", "0.01": "0.00", "3": "1.35", "1000": "450.00"},
        ),
        (
            "per-document",
            {"unitPrice": "0.45", "freeUnits": 10},
            {"0": "0.00", "9": "0.00", "10": "0.00", "10.5": "0.23", "11": "0.45", "110": "45.00"},
        ),
        (
            "per-document",
            CENTS,
            {"1": "0.00", "4999999999": "0.00", "5000000000": "0.01", "14999999999": "0.01", HUGE: "9223372.04"},
        ),
        (
            "tiered",
            {"fee": "49.00", "included": 100, "overage": {"unitPrice": "0.40"}},
            {"0": "49.00", "99": "49.00", "100": "49.00", "100.5": "49.20", "101": "49.40", "150": "69.00"},
        ),
        (
            "tiered",
            {"fee": "49.00", "included": 100, "overage": {"tiers": LADDER}},
            {"100": "49.00", "101": "49.10", "200": "59.00", "201": "59.08", "600": "91.00", "601": "91.05"},
        ),
        (
            "tiered",
            {"fee": "49.00", "included": 100, "overage": {"tiers": LADDER, "tiersMode": "VOLUME"}},
            {"100": "49.00", "101": "49.10", "200": "59.00", "201": "57.08", "600": "89.00", "601": "74.05"},
        ),
        (
            "tiered",
            {"fee": "10", "included": 5, "overage": {"tiers": STAIRS}},
            {"0": "10.00", "5": "10.00", "5.001": "15.00", "15": "15.00", "16": "17.30", "25": "20.00", "26": "20.20"},
        ),
        (
            "tiered",
            {"fee": "10", "included": 0, "overage": {"pack": {"size": 10, "price": "3"}}},
            {"0": "10.00", "1": "13.00", "10": "13.00", "11": "16.00"},
        ),
        (
            "metered",
            {"tiers": LADDER},
            {"0": "0.00", "1": "0.10", "100": "10.00", "100.5": "10.04", "101": "10.08", "501": "42.05"},
        ),
        (
            "metered",
            {"tiers": LADDER, "tiersMode": "VOLUME"},
            {"0": "0.00", "1": "0.10", "100": "10.00", "100.5": "8.04", "101": "8.08", "500": "40.00", "501": "25.05"},
        ),
        (
            "metered",
            {"tiers": LADDER, "freeUnits": 50},
            {"50": "0.00", "51": "0.10", "150": "10.00", "151": "10.08", "550": "42.00", "551": "42.05"},
        ),
        (
            "metered",
            {"tiers": LADDER, "tiersMode": "VOLUME", "freeUnits": 50},
            {"50": "0.00", "150": "10.00", "151": "8.08"},
        ),
        ("metered", {"tiers": STAIRS}, {"0": "5.00", "10": "5.00", "11": "7.30", "20": "10.00", "21": "10.20"}),
        ("metered", {"tiers": STAIRS, "flatFeeWhenUnused": False}, {"0": "0.00", "0.001": "5.00", "10": "5.00"}),
        (
            "metered",
            {"tiers": STAIRS, "tiersMode": "VOLUME"},
            {"0": "5.00", "10": "5.00", "10.5": "5.15", "11": "5.30", "20": "8.00", "21": "4.20"},
        ),
        ("metered", {"tiers": STAIRS, "freeUnits": 3}, {"0": "5.00", "3": "5.00", "13": "5.00", "14": "7.30"}),
        (
            "metered",
            {"pack": {"size": 50, "price": "4.00"}},
            {"0": "0.00", "0.1": "4.00", "1": "4.00", "50": "4.00", "50.01": "8.00", "51": "8.00", "101": "12.00"},
        ),
        (
            "metered",
            {"pack": {"size": 50, "price": "4.00", "rounding": "DOWN"}},
            {"0": "0.00", "49.99": "0.00", "50": "4.00", "99": "4.00", "100": "8.00"},
        ),
        (
            "metered",
            {"pack": {"size": 100, "price": "5.00"}, "freeUnits": 100},
            {"100": "0.00", "101": "5.00", "200": "5.00", "201": "10.00"},
        ),
        (
            "metered",
            {"unitPrice": "0.10", "minimumSpend": "5.00", "maximumSpend": "20.00"},
            {"0": "5.00", "49": "5.00", "50": "5.00", "51": "5.10", "200": "20.00", "201": "20.00", "100000": "20.00"},
        ),
        ("metered", {"unitPrice": "0", "maximumSpend": "0"}, {"0": "0.00", "5": "0.00"}),
        (
            "metered",
            {"percentage": "2.9"},
            {"0": "0.00", "100": "2.90", "0.17": "0.00", "0.18": "0.01", "17.24": "0.50", "1234567.89": "35802.47"},
        ),
        ("metered", {"percentage": "2.9", "freeUnits": 500}, {"500": "0.00", "500.01": "0.00", "550": "1.45"}),
        (
            "metered",
            {"percentage": "1", "minimumSpend": "0.50", "maximumSpend": "25.00"},
            {"0": "0.50", "50": "0.50", "50.5": "0.51", "2500": "25.00", "2500.5": "25.00"},
        ),
        ("metered", {"percentage": "0.000000000001"}, {"499999999999": "0.00", "5e11": "0.01", HUGE: "92233.72"}),
        ("metered", {"percentage": "250"}, {"2": "5.00"}),
        ("tiered", {"fee": "10", "included": 100, "overage": {"percentage": "2.5"}}, {"100": "10.00", "142": "11.05"}),
        (
            "metered",
            {"tiers": [{"upTo": 2**62, "unitPrice": "0.000000000001"}, {"unitPrice": "0"}]},
            {HUGE: "4611686.02", str(2**62): "4611686.02"},
        ),
        ("metered", {"pack": {"size": 2**63 - 1, "price": "1"}}, {str(2**63 - 1): "1.00", HUGE: "2.00"}),
    ],
)  # fmt: skip
def test_totals(bill: Bill, code: str, config: dict[str, Any], totals: dict[str, str]) -> None:
    found = {quantity: str(bill(code, config, quantity).total) for quantity in totals}
    assert found == {quantity: f"{total} USD" for quantity, total in totals.items()}


@pytest.mark.parametrize(
    ("config", "seats", "quantity", "total"),
    [
        ({"seatPrice": "12.00"}, 0, "1000", "0.00"),
        ({"seatPrice": "12.00"}, 1, "1000", "12.00"),
        ({"seatPrice": "12.00"}, 7, "0", "84.00"),
        ({"seatPrice": "12.00", "minimumSeats": 5}, 0, "0", "60.00"),
        ({"seatPrice": "12.00", "minimumSeats": 5}, 4, "0", "60.00"),
        ({"seatPrice": "12.00", "minimumSeats": 5}, 5, "0", "60.00"),
        ({"seatPrice": "12.00", "minimumSeats": 5}, 6, "0", "72.00"),
        ({"seatPrice": "12.00", "includedPerSeat": 20}, 5, "1000", "60.00"),
        ({"seatPrice": "12.00", "includedPerSeat": 20, "overagePrice": "0.40"}, 5, "100", "60.00"),
        ({"seatPrice": "12.00", "includedPerSeat": 20, "overagePrice": "0.40"}, 5, "101", "60.40"),
        ({"seatPrice": "12.00", "includedPerSeat": 0, "overagePrice": "0.40"}, 5, "1", "60.40"),
        ({"seatPrice": "12", "minimumSeats": 5, "includedPerSeat": 20, "overagePrice": "0.40"}, 2, "101", "60.40"),
    ],
)
def test_seats(bill: Bill, config: dict[str, Any], seats: int, quantity: str, total: str) -> None:
    assert str(bill("per-seat", config, quantity, seats=seats).total) == f"{total} USD"


@pytest.mark.parametrize(
    ("currency", "unit_price", "quantity", "total"),
    [
        ("JPY", "45", "3", "135 JPY"),
        ("JPY", "0.5", "1", "1 JPY"),
        ("JPY", "0.5", "0.9", "0 JPY"),
        ("JPY", "1", str(2**63 - 1), f"{2**63 - 1} JPY"),
        ("KWD", "0.005", "1", "0.010 KWD"),
        ("KWD", "0.1234", "3", "0.370 KWD"),
        ("KWD", "0.0001", "12345678901284.5", "1234567890.130 KWD"),
    ],
)
def test_currencies(bill: Bill, currency: str, unit_price: str, quantity: str, total: str) -> None:
    assert str(bill("per-document", {"unitPrice": unit_price}, quantity, currency=currency).total) == total


def test_the_lines_explain_the_total(bill: Bill) -> None:
    config = {"fee": "49.00", "included": 100, "overage": {"tiers": STAIRS}}
    rated = bill("tiered", config, "125.5")
    assert [(line.label, str(line.quantity), str(line.unit_price), str(line.total)) for line in rated.lines] == [
        ("Fee", "1", "49.00", "49.00 USD"),
        ("Per document, of 100 included", "100", "0", "0.00 USD"),
        ("Overage per document, tier up to 10", "10", "0", "0.00 USD"),
        ("Overage per document, tier up to 10: flat fee", "1", "5.00", "5.00 USD"),
        ("Overage per document, tier over 10 up to 20", "10", "0.30", "3.00 USD"),
        ("Overage per document, tier over 10 up to 20: flat fee", "1", "2.00", "2.00 USD"),
        ("Overage per document, tier over 20", "5.5", "0.20", "1.10 USD"),
    ]


def test_a_maximum_is_a_line_of_its_own(bill: Bill) -> None:
    rated = bill("metered", {"unitPrice": "0.10", "maximumSpend": "20.00"}, "300")
    assert [(line.label, str(line.total)) for line in rated.lines] == [
        ("Per document", "30.00 USD"),
        ("Maximum spend", "-10.00 USD"),
    ]


@pytest.mark.parametrize(
    ("code", "config", "allowances"),
    [
        ("flat", {"fee": "9"}, {1: None}),
        ("flat", {"fee": "9", "fairUseLimit": 500}, {1: 500, 7: 500}),
        ("per-document", {"unitPrice": "1"}, {1: 0}),
        ("per-document", {"unitPrice": "1", "freeUnits": 3}, {1: 3}),
        ("per-seat", {"seatPrice": "9"}, {1: None}),
        ("per-seat", {"seatPrice": "9", "includedPerSeat": 20, "minimumSeats": 2}, {0: 40, 1: 40, 3: 60}),
        ("tiered", {"fee": "9", "included": 100, "overage": {"unitPrice": "1"}}, {1: 100, 9: 100}),
        ("metered", {"unitPrice": "1", "freeUnits": 3}, {1: 3}),
    ],
)
def test_allowance(models: Any, code: str, config: dict[str, Any], allowances: dict[int, int | None]) -> None:
    model = models.get(code).configure(config)
    assert {seats: model.allowance(seats) for seats in allowances} == allowances
