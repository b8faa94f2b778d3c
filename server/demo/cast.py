"""Who plays in the demo: five tenants, each on another billing model."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Character:
    """A tenant, its plan, and what it does in the month."""

    reference: str
    name: str
    plan: dict[str, Any]
    documents: int
    signers: int = 1
    seats: int = 1
    api_calls: int = 0
    is_card_declined: bool = False
    total: str = ""
    """What its invoice must come to, computed by hand."""
    meters: dict[str, int] = field(default_factory=dict)
    """What must have been counted, by hand."""


def _plan(code: str, name: str, prices: list[dict[str, Any]], quotas: list[dict[str, Any]]) -> dict[str, Any]:
    return {"code": code, "name": name, "currency": "USD", "prices": prices, "quotas": quotas}


def _price(meter: str, model: str, **config: Any) -> dict[str, Any]:
    return {"meter": meter, "model": model, "config": config}


CAST = (
    Character(
        reference="juniper",
        name="Juniper Notary",
        plan=_plan(
            "pay-per-document", "Pay per document", [_price("invites_sent", "per-document", unitPrice="3.50")], []
        ),
        documents=4,
        total="14.00",  # 4 × 3.50
        meters={"documents_created": 4, "invites_sent": 4, "signatures": 4, "documents_completed": 4, "downloads": 4},
    ),
    Character(
        reference="quartz",
        name="Quartz People",
        plan=_plan(
            "team",
            "Team",
            [_price("invites_sent", "per-seat", seatPrice="9.00", includedPerSeat=1, overagePrice="2.50")],
            [{"meter": "invites_sent", "policy": "SOFT", "units": 3}],
        ),
        documents=4,
        signers=2,
        seats=3,
        is_card_declined=True,
        total="29.50",  # 3 × 9.00 + 1 × 2.50
        meters={"documents_created": 4, "invites_sent": 4, "signatures": 8, "documents_completed": 4, "downloads": 4},
    ),
    Character(
        reference="tern",
        name="Tern Realty",
        plan=_plan(
            "growth",
            "Growth",
            [_price("invites_sent", "tiered", fee="49.00", included=3, overage={"unitPrice": "4.25"})],
            [{"meter": "invites_sent", "policy": "SOFT"}],
        ),
        documents=5,
        total="57.50",  # 49.00 + 2 × 4.25
        meters={"documents_created": 5, "invites_sent": 5, "signatures": 5, "documents_completed": 5, "downloads": 5},
    ),
    Character(
        reference="oriole",
        name="Oriole Health",
        plan=_plan(
            "usage",
            "Usage",
            [
                _price("documents_created", "metered", unitPrice="0.40"),
                _price("invites_sent", "metered", unitPrice="2.10"),
                _price("signatures", "metered", unitPrice="0.15"),
                _price("api_calls", "metered", unitPrice="0.0025", freeUnits=1000),
            ],
            [],
        ),
        documents=6,
        signers=2,
        api_calls=12_345,
        # documents 6 × 0.40 + invites 6 × 2.10 + signatures 12 × 0.15
        # + calls (12,345 reported + 6 × (1 upload + 4 invite + 1 download) - 1,000 free) × 0.0025 = 28.4525
        total="45.25",
        meters={"documents_created": 6, "invites_sent": 6, "signatures": 12, "documents_completed": 6, "downloads": 6},
    ),
    Character(
        reference="basalt",
        name="Basalt Legal",
        plan=_plan(
            "bundle",
            "Bundle",
            [_price("invites_sent", "flat", fee="199.00", fairUseLimit=3)],
            [{"meter": "invites_sent", "policy": "HARD"}],
        ),
        documents=4,  # the fourth is refused
        total="199.00",
        meters={"documents_created": 4, "invites_sent": 3, "signatures": 3, "documents_completed": 3, "downloads": 3},
    ),
)
