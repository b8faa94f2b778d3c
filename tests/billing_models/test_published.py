"""What other billing products print as the price of an example, against ours: numbers that are not from our own code.

Where a product meters something else (blocks, transactions, seats), the setting that means the same is used. What the
products do differently stands in docs/billing-models.md, "Where the field disagrees".
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from inkmeter import BillingPeriod, Money, Proration, RatedPrice
from plugins.registry import BillingModels
from services.billing import PeriodFacts, Stage, bill_period
from services.terms import PlanTerms
from storage.plans import Plan, Price


def ladder(*tiers: tuple[int | None, str, str], mode: str = "GRADUATED", **more: Any) -> dict[str, Any]:
    """Tiers written as (last unit, price of a unit, flat fee)."""
    written = [
        {"unitPrice": unit, "flatFee": flat, **({} if up_to is None else {"upTo": up_to})}
        for up_to, unit, flat in tiers
    ]
    return {"tiers": written, "tiersMode": mode, **more}


def pack(size: int, cost: str, **more: Any) -> dict[str, Any]:
    return {"pack": {"size": size, "price": cost}, **more}


FONTS = ((5, "7", "0"), (10, "6.5", "0"), (None, "6", "0"))
LAGO = ((10, "10", "2"), (20, "5", "3"), (None, "5", "3"))
LAGO_VOLUME = ((100, "2", "10"), (200, "1", "0"), (None, "0.5", "50"))
LAGO_PERCENT = ((10, "0.01", "200"), (20, "0.02", "300"), (None, "0.03", "400"))
OPENMETER = ((5, "0", "100"), (10, "0", "50"), (15, "5", "0"), (None, "1", "0"))
OPENMETER_VOLUME = ((5, "0", "100"), (10, "0", "150"), (15, "10", "0"), (None, "5", "0"))
KILL_BILL = ((10, "1.5", "0"), (110, "1", "0"), (None, "0.5", "0"))
ZUPLO = ((1000, "0.10", "0"), (10000, "0.05", "0"), (None, "0.01", "0"))
SLABS = ((250, "0", "10"), (500, "0", "20"), (None, "0", "30"))
SLAB_UNITS = ((250, "1", "0"), (500, "2", "0"), (None, "3", "0"))

PUBLISHED: list[tuple[str, str, dict[str, Any], dict[str, str]]] = [
    ("Stripe: Set up tiered pricing, volume-based", "metered", ladder(*FONTS, mode="VOLUME"),
     {"1": "7", "5": "35", "6": "39", "20": "120", "25": "150"}),
    ("Stripe: Set up tiered pricing, graduated", "metered", ladder(*FONTS), {"5": "35"}),
    ("Stripe: Transform quantities", "metered", pack(60, "10"), {"150": "30"}),
    ("Stripe: Quantity transformation", "metered", pack(5, "10"),
     {"1": "10", "3": "10", "5": "10", "6": "20", "7": "20"}),
    ("Lago: Package", "metered", pack(100, "5", freeUnits=100), {"201": "10"}),
    ("Lago: tests of its package charge", "metered", pack(10, "100"), {"121": "1300"}),
    ("Lago: tests of its package charge, free units", "metered", pack(10, "100", freeUnits=10), {"121": "1200"}),
    ("Lago: tests of its package charge, all free", "metered", pack(10, "100", freeUnits=200), {"121": "0"}),
    ("Lago: Volume", "metered",
     ladder((10000, "0.0010", "10"), (50000, "0.0008", "10"), (100000, "0.0006", "10"), (None, "0.0004", "10"),
            mode="VOLUME"), {"65000": "49"}),
    ("Lago: tests of its volume charge", "metered", ladder(*LAGO_VOLUME, mode="VOLUME"),
     {"0": "10", "1": "12", "100": "210", "100.5": "100.50", "101": "101", "200": "200", "210": "155", "300": "200"}),
    ("Lago: tests of its graduated charge", "metered", ladder(*LAGO),
     {"0": "2", "1": "12", "10": "102", "11": "110", "12": "115", "21": "163"}),
    ("Lago: tests of its graduated charge, three ranges", "metered",
     ladder((5, "10", "100"), (15, "5", "50"), (None, "2", "0")), {"75": "370"}),
    ("Lago: tests of its graduated percentage charge", "metered", ladder(*LAGO_PERCENT, flatFeeWhenUnused=False),
     {"0": "0", "1": "200.01", "10": "200.10", "11": "500.12", "12": "500.14", "21": "900.33"}),
    # Its three transactions of 500, 550 and 4,000 cost 205, 306 and 80.
    ("Lago: Graduated percentage", "metered",
     ladder((1000, "0.01", "200"), (10000, "0.02", "300"), (None, "0.03", "400")),
     {"500": "205", "1050": "511", "5050": "591"}),
    # The fixed fee is a price of its own, on a meter that counts the transactions.
    ("Lago: tests of its percentage charge, the rate", "metered", {"percentage": "1.3", "freeUnits": 250},
     {"0": "0", "800": "7.15"}),
    ("Lago: tests of its percentage charge, the fixed fee", "per-document", {"unitPrice": "2.0", "freeUnits": 2},
     {"4": "4"}),
    ("Lago: tests of its percentage charge, nothing free", "metered", {"percentage": "1.3"}, {"800": "10.40"}),
    ("Lago: Spending minimums", "metered", {"unitPrice": "0.010", "minimumSpend": "100"}, {"5000": "100"}),
    ("OpenMeter: tests of its graduated tiers", "metered", ladder(*OPENMETER), {"12": "160", "22": "182"}),
    ("OpenMeter: tests of its graduated tiers, maximum", "metered", ladder(*OPENMETER, maximumSpend="170"),
     {"12": "160", "22": "170"}),
    ("OpenMeter: tests of its volume tiers", "metered", ladder(*OPENMETER_VOLUME, mode="VOLUME"),
     {"0": "100", "3": "100", "5": "100", "14": "140", "15": "150", "16": "80", "100": "500"}),
    ("OpenMeter: tests of its volume tiers, minimum", "metered",
     ladder(*OPENMETER_VOLUME, mode="VOLUME", minimumSpend="150"), {"0": "150", "5": "150", "100": "500"}),
    ("OpenMeter: tests of its packages", "metered", pack(10, "15"), {"0": "0", "5": "15", "10": "15", "22": "45"}),
    ("OpenMeter: tests of its packages, maximum", "metered", pack(10, "15", maximumSpend="100"),
     {"60": "90", "110": "100"}),
    ("OpenMeter: tests of its packages, minimum", "metered", pack(10, "15", minimumSpend="100"), {"0": "100"}),
    ("OpenMeter: tests of its dynamic price", "metered", {"percentage": "133.333"}, {"10": "13.33", "70": "93.33"}),
    ("OpenMeter: Pricing Models, per unit", "per-document", {"unitPrice": "0.01"}, {"10000": "100"}),
    ("Kill Bill: tests of consumables, ALL_TIERS", "metered", ladder(*KILL_BILL), {"111": "115.50"}),
    ("Kill Bill: tests of consumables, TOP_TIER", "metered", ladder(*KILL_BILL, mode="VOLUME"), {"111": "55.50"}),
    ("Kill Bill: tests of consumables, blocks of 100", "metered", pack(100, "1"), {"199": "2", "401": "5"}),
    ("Kill Bill: tests of consumables, blocks of 512", "metered", pack(512, "0.3"), {"30720": "18"}),
    ("Orb: Invoice calculation examples", "metered",
     ladder((10000, "0.001", "0"), (100000, "0.0008", "0"), (None, "0.0005", "0")), {"150000": "107"}),
    ("Chargebee: Package Pricing", "metered", pack(1_000_000, "1.25"),
     {"10": "1.25", "1000000": "1.25", "1500000": "2.50"}),
    ("Recurly: Quantity-based pricing", "metered", ladder((100, "1", "0"), (None, "0.50", "0")), {"150": "125"}),
    ("Zuora: Example, tiered pricing mode", "tiered", {"fee": "0", "included": 100, "overage": {"unitPrice": "2"}},
     {"130": "60"}),
    ("Zuora: Example, flat fee pricing model", "flat", {"fee": "99"}, {"160": "99"}),
    ("Zuplo: Pricing models, graduated", "metered", ladder(*ZUPLO), {"15000": "600"}),
    ("Zuplo: Pricing models, volume", "metered", ladder(*ZUPLO, mode="VOLUME"), {"15000": "150"}),
    ("Autumn: Graduated Pricing", "metered", ladder((1000, "0.01", "0"), (10000, "0.008", "0"), (None, "0.005", "0")),
     {"15000": "107"}),
    ("Oracle Banking: Tier Based Amount, slabs", "metered", ladder(*SLABS), {"1000": "60"}),
    ("Oracle Banking: Tier Based Amount, one slab", "metered", ladder(*SLABS, mode="VOLUME"), {"1000": "30"}),
    ("Oracle Banking: Tier Based Amount, slabs by unit", "metered", ladder(*SLAB_UNITS), {"1000": "2250"}),
    ("Oracle Banking: Tier Based Amount, one by unit", "metered", ladder(*SLAB_UNITS, mode="VOLUME"),
     {"1000": "3000"}),
    # Stairsteps are volume tiers of flat fees.
    ("Rebilly: Stairstep", "metered", ladder((1, "0", "5"), (5, "0", "13"), (None, "0", "30"), mode="VOLUME"),
     {"1": "5", "2": "13", "5": "13", "6": "30"}),
    ("Flexprice: Package", "metered",
     ladder((1000, "0", "50"), (5000, "0", "200"), (None, "0", "350"), mode="VOLUME"),
     {"1500": "200", "4500": "200"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "config", "totals"), [entry[1:] for entry in PUBLISHED], ids=[e[0] for e in PUBLISHED]
)
def test_a_published_price(
    bill: Callable[..., RatedPrice], code: str, config: dict[str, Any], totals: dict[str, str]
) -> None:
    found = {quantity: bill(code, config, quantity).total.amount for quantity in totals}
    assert found == {quantity: Decimal(total) for quantity, total in totals.items()}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


Course = tuple[str, tuple[str, str], list[dict[str, Any]], dict[str, Any], str]
JUNE = ("2026-06-01", "2026-07-01")
FEBRUARY = ("2024-02-01", "2024-03-01")
SEAT = {"per-seat": {"seatPrice": "10", "seatProration": "DAY"}}
ONE_EACH = {"per-document": {"unitPrice": "1"}}
FEE_AND_ONE_EACH = {"flat": {"fee": "100"}, **ONE_EACH}

COURSES: list[Course] = [
    # The credit for the old plan and the charge for the new one: 5 more than the 10 that were paid.
    ("Stripe: Prorations", JUNE,
     [{"on": "2026-06-01", "plan": {"flat": {"fee": "10"}}}, {"on": "2026-06-16", "plan": {"flat": {"fee": "20"}}}],
     {}, "15"),
    ("Autumn: Proration", JUNE,
     [{"on": "2026-06-01", "plan": {"flat": {"fee": "20"}}}, {"on": "2026-06-16", "plan": {"flat": {"fee": "50"}}}],
     {}, "35"),
    # Its number is that of a month of 30 days.
    ("Lago: Prorated vs Full", JUNE,
     [{"on": "2026-06-01", "plan": SEAT, "seats": 0}, {"on": "2026-06-09T15:00", "seats": 1}], {}, "7.33"),
    ("Lago: golden tests of proration, seats", ("2024-03-01", "2024-04-01"),
     [{"on": "2024-03-01", "plan": {"per-seat": {"seatPrice": "31", "seatProration": "DAY"}}, "seats": 0},
      {"on": "2024-03-11T10:00", "seats": 1}, {"on": "2024-03-22T10:00", "seats": 3}], {}, "41"),
    # There an end at midnight bills the day that begins; here the day before is the last.
    ("Lago: tests of a termination", ("2025-02-01", "2025-03-01"),
     [{"on": "2025-02-08", "plan": FEE_AND_ONE_EACH, "by": "DAY"}],
     {"ends": "2025-02-21T00:01", "units": "50"}, "100"),
    # Of the 75 that were paid 71.43 came back.
    ("Lago: tests of a termination on the first day", ("2025-02-01", "2025-03-01"),
     [{"on": "2025-02-08", "plan": {"flat": {"fee": "100"}}, "by": "DAY"}], {"ends": "2025-02-08T12:00"}, "3.57"),
    ("Lago: tests of an upgrade, a quarter", ("2024-04-01", "2024-07-01"),
     [{"on": "2024-05-20T10:00", "plan": {"flat": {"fee": "910"}}, "by": "DAY"}], {"ends": "2024-06-20T10:00"}, "320"),
    # A fee of 6.90, usage of 30.00, and what is missing.
    ("Lago: tests of minimum commitments, first month", FEBRUARY,
     [{"on": "2024-02-28T10:00", "plan": FEE_AND_ONE_EACH, "by": "DAY"}],
     {"units": "30", "minimum": "10000", "last": "652.76"}, "689.66"),
    ("Lago: tests of minimum commitments, second month", ("2024-03-01", "2024-04-01"),
     [{"on": "2024-02-28T10:00", "plan": FEE_AND_ONE_EACH, "by": "DAY"}],
     {"units": "10", "minimum": "10000", "last": "9890"}, "10000"),
    ("Lago: Negotiated contract billing, below", JUNE, [{"on": "2026-06-01", "plan": ONE_EACH}],
     {"units": "800", "minimum": "1000", "last": "200"}, "1000"),
    ("Lago: Negotiated contract billing, above", JUNE, [{"on": "2026-06-01", "plan": ONE_EACH}],
     {"units": "1300", "minimum": "1000"}, "1300"),
]  # fmt: skip


def plan(models: BillingModels, prices: dict[str, Any]) -> PlanTerms:
    row = Plan(code="p", version=1, name="P", currency="USD")
    made = [models.get(code).configure(config) for code, config in prices.items()]
    return PlanTerms(
        row, tuple((Price(plan_id=row.id, meter="signatures", model=model.code), model) for model in made), {}
    )


@pytest.mark.parametrize(("cycle", "written", "more", "total"), [c[1:] for c in COURSES], ids=[c[0] for c in COURSES])
def test_a_published_period(
    models: BillingModels, cycle: tuple[str, str], written: list[dict[str, Any]], more: dict[str, Any], total: str
) -> None:
    stages: list[Stage] = []
    for stage in written:
        terms = plan(models, stage["plan"]) if "plan" in stage else stages[-1].terms
        how = Proration(stage["by"]) if "by" in stage else None
        stages.append(Stage(at(stage["on"]), terms, stage.get("seats", 1), how))
    bill = bill_period(
        PeriodFacts(
            BillingPeriod(at(cycle[0]), at(cycle[1])),
            "UTC",
            tuple(stages),
            ends_at=at(more["ends"]) if "ends" in more else None,
            end_proration=Proration.DAY,
            units={"signatures": Decimal(more.get("units", 0))},
            minimum=Money(int(more["minimum"]) * 100, "USD") if "minimum" in more else None,
        )
    )
    assert Money.sum((entry.line.total for entry in bill), "USD").amount == Decimal(total)
    assert bill[-1].line.total.amount == Decimal(more.get("last", bill[-1].line.total.amount))
