"""Who is billed in the year: a tenant for each model and way to pay, with the habits of those who run it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from tests.services.steps import Customer, Json, make_plan, price, provision, quota
from tests.services.terms import FEE
from tests.world import World

START: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)
ADDRESS: Final = {"country": "DE", "postalCode": "10115"}
TRIES: Final = 8
"""How often a call is repeated whose answer was lost."""
EVERYBODY: Final = ("use", "use", "use", "use late", "correct")
"""What each tenant does in any month, in the mean once for each time that it stands here."""
INVITES: Final = "invites_sent"
DOCUMENTS: Final = "documents_created"


@dataclass(frozen=True, slots=True)
class Role:
    """A tenant: its first plan, the others that it may move to, its meters and its habits."""

    reference: str
    plan: str
    meters: tuple[str, ...]
    habits: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    terms: Mapping[str, Any] | None = None
    joins_on: int = 0
    """Days after the start."""


ROLES: Final = (
    Role(
        "amber",
        "mixed",
        (DOCUMENTS, "signatures", "api_calls"),
        ("card", "refund invoice", "dispute invoice", "spoil", "discount"),
        terms={"zone": "Europe/Berlin"},
    ),
    Role(
        "birch",
        "team",
        (INVITES,),
        ("seats", "seats", "change plan", "change plan", "card"),
        ("team", "suite"),
        {"zone": "America/New_York", "anchorOn": "2025-12-20", "seats": 3},
    ),
    Role(
        "cedar", "graded", (INVITES,), ("leave", "leave", "come back", "come back", "discount"), terms={"trialDays": 9}
    ),
    Role(
        "dogwood",
        "packs",
        (DOCUMENTS,),
        ("checkout", "checkout", "buy", "upload", "upload", "take back", "refund order", "dispute order", "card"),
        joins_on=15,
    ),
    Role(
        "elder",
        "metered",
        (DOCUMENTS, INVITES),
        ("seats", "card", "spoil", "change plan"),
        ("metered", "mixed"),
    ),
    Role("fir", "careful", (INVITES,), ("card", "card", "change plan", "come back"), ("careful", "free"), joins_on=3),
    Role("ginkgo", "strict", (INVITES,), ("card", "card", "come back", "come back"), ("strict",), joins_on=15),
    Role("hazel", "suite", (INVITES,), ("pause", "resume", "leave", "come back", "seats"), ("suite",), {"seats": 2}, 3),
    Role("ivy", "packed", (DOCUMENTS,), ("upload", "upload", "card", "buy"), joins_on=3),
)
PACKS: Final = [{"units": 5, "price": "4.50"}, {"units": 20, "price": "16.00"}]


async def make_plans(world: World) -> dict[str, str]:
    """The global ids of all plans, by code."""
    made: dict[str, str] = {}
    seats = price("seats", "per-seat", seatPrice="9.00")
    plain_seats = price("seats", "per-seat", seatPrice="9.00", seatProration="NONE")
    tiers = [{"upTo": 10, "unitPrice": "1.00"}, {"unitPrice": "0.75"}]
    packed = {**quota(DOCUMENTS, "TOP_UP", 2), "topUpPacks": PACKS}
    rule = {"below": 2, "packUnits": 5, "monthlyCap": "30.00"}

    async def make(code: str, *prices: Json, **more: Any) -> None:
        made[code] = await make_plan(world, *prices, code=code, name=code.title(), **more)

    await make("free", price(INVITES, "per-document", unitPrice="0.10"))
    await make(
        "mixed",
        price(DOCUMENTS, "metered", unitPrice="0.40", minimumSpend="5.00"),
        price("signatures", "per-document", unitPrice="0.15"),
        price("api_calls", "metered", unitPrice="0.0025", freeUnits=100),
        minimumCommitment="20.00",
    )
    await make("team", price(INVITES, "per-seat", seatPrice="12.00", includedPerSeat=2, overagePrice="2.50"))
    await make("suite", FEE, seats, fees="ADVANCE")
    await make("graded", price(INVITES, "metered", tiers=tiers, tiersMode="GRADUATED"))
    await make(
        "packs",
        price(DOCUMENTS, "tiered", fee="10.00", included=2, overage={"unitPrice": "0.35"}),
        quotas=[{**packed, "autoTopUp": {**rule, "payment": "FIRST"}}],
    )
    await make("packed", price(DOCUMENTS, "per-document", unitPrice="1.00"), quotas=[{**packed, "autoTopUp": rule}])
    reported = (
        price(DOCUMENTS, "tiered", fee="10.00", included=2, overage={"unitPrice": "1.50"}),
        price(INVITES, "per-document", unitPrice="0.25", freeUnits=3),
        plain_seats,
    )
    await make("metered", *reported, fees="ADVANCE", stripeMode="METERED")
    policy = {"graceDays": 3, "restrictedDays": 4}
    strict, careful = (
        {**policy, "then": "DEPROVISION"},
        {**policy, "then": "DOWNGRADE", "downgradePlanId": made["free"]},
    )
    usage = price(INVITES, "per-document", unitPrice="0.75")
    await make("strict", usage, plain_seats, fees="ADVANCE", stripeMode="METERED", dunning=strict)
    await make("careful", price(INVITES, "flat", fee="19.00"), dunning=careful)
    return made


async def join(world: World, role: Role) -> Customer:
    """A tenant that is provisioned, with an address."""
    for _ in range(TRIES):
        customer = await provision(world, role.reference)  # again, it goes on where it stopped
        moved = await customer.api.do("updateTenant", "tenant { id }", tenantId=customer.id, address=ADDRESS)
        if not moved["userErrors"]:
            break
    else:
        raise AssertionError(f"{role.reference} has no address")
    while await customer.state() != "ACTIVE":
        await world.work()
    return customer


def terms_of(role: Role, today: date) -> dict[str, Any]:
    """With which it subscribes today, for the first time or again."""
    given = dict(role.terms or {})
    if today != START.date():
        given.pop("anchorOn", None)
        given.pop("trialDays", None)
    return given
