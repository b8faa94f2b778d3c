"""Quotes per second of each billing model against a bare multiplication: `python -m bench.rating`.

A quote is everything that `price` does: the model's lines, their rounding and their sum. The yardstick is one
Decimal multiplication and one quantize. Both are measured in turn, in many short rounds of one run, so that a
busy machine slows both alike; what counts is the ratio, not the seconds.
"""

import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from time import perf_counter_ns
from typing import Any

from inkmeter import BillingPeriod, Usage, price
from plugins.manager import load_plugins

ROUNDS = 40
SECONDS_PER_ROUND = 0.01
QUANTITY, PRICE, CENT = Decimal(7350), Decimal("0.45"), Decimal("0.01")
TIERS = [{"upTo": 1000, "unitPrice": "0.10"}, {"upTo": 5000, "unitPrice": "0.08"}, {"unitPrice": "0.05"}]
PRICES: list[tuple[str, str, dict[str, Any]]] = [
    ("flat", "", {"fee": "99.00"}),
    ("per-document", "", {"unitPrice": "0.45"}),
    ("per-document", "free units", {"unitPrice": "0.45", "freeUnits": 100}),
    ("per-seat", "overage", {"seatPrice": "12.00", "includedPerSeat": 20, "overagePrice": "0.40"}),
    ("tiered", "one overage price", {"fee": "49.00", "included": 100, "overage": {"unitPrice": "0.40"}}),
    ("tiered", "3 graduated tiers", {"fee": "49.00", "included": 100, "overage": {"tiers": TIERS}}),
    ("metered", "per unit", {"unitPrice": "0.01"}),
    ("metered", "packs", {"pack": {"size": 50, "price": "4.00"}}),
    ("metered", "3 graduated tiers", {"tiers": TIERS}),
    ("metered", "3 volume tiers", {"tiers": TIERS, "tiersMode": "VOLUME"}),
    ("metered", "3 tiers, capped", {"tiers": TIERS, "maximumSpend": "300.00"}),
]


def bare() -> Decimal:
    return (QUANTITY * PRICE).quantize(CENT)


def per_second(quote: Callable[[], object]) -> float:
    """How often `quote` runs in a second, from one short round."""
    start = perf_counter_ns()
    end = start + int(SECONDS_PER_ROUND * 1e9)
    for done in count(1):
        for _ in range(50):
            quote()
        if (now := perf_counter_ns()) >= end:
            return done * 50 / (now - start) * 1e9
    raise AssertionError("count does not end")


def main() -> None:
    billing_models = load_plugins().billing_models
    usage = Usage(QUANTITY, BillingPeriod(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)), 5)
    quotes: dict[str, Callable[[], object]] = {}
    for code, detail, config in PRICES:
        model = billing_models.get(code).configure(config)
        quotes[f"{code}, {detail}".rstrip(", ")] = lambda model=model: price(model, usage, "USD")  # type: ignore[misc]

    speeds: dict[str, list[float]] = {name: [] for name in quotes}
    ratios: dict[str, list[float]] = {name: [] for name in quotes}
    yardstick: list[float] = []
    for _ in range(ROUNDS):
        for name, quote in quotes.items():
            yardstick.append(per_second(bare))
            speeds[name].append(per_second(quote))
            ratios[name].append(yardstick[-1] / speeds[name][-1])

    print(f"bare multiplication and quantize: {statistics.median(yardstick):,.0f} per second")
    print(f"{'price()':28}{'quotes per second':>18}   bare multiplications per quote: median [min..max]")
    for name, values in ratios.items():
        spread = f"{statistics.median(values):5.1f} [{min(values):.1f}..{max(values):.1f}]"
        print(f"{name:28}{statistics.median(speeds[name]):18,.0f}   {spread}")


if __name__ == "__main__":
    main()
