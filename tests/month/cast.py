"""Who is billed in the random month: a tenant for each kind of limit, of fee and of meter, each on its own plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from inkmeter.usage import Aggregation
from services import alerts, counters, meters, plans, subscriptions
from services.limits import NewAutoTopUp, NewPack, NewQuota
from services.meters import CreateMeter, NewFilter
from services.plans import CreatePlan, FeesDue, LimitPolicy, NewPrice
from services.platform import Platform
from services.subscriptions import SubscribeTenant
from services.tenants import ProvisionTenant, provision_tenant

START: Final = datetime(2026, 1, 20, 12, tzinfo=UTC)
HARD_LIMITS: Final = {"hemlock": {"documents_created": 9, "downloads": 4}}
SPEND_CAPS: Final = {"sorrel": {"invites_sent": 2_000}}
BUYING_CAPS: Final = {"tansy": {"documents_created": 2_400}}
"""What automatic top-ups may cost in a period. All of tenants whose plan never changes."""


@dataclass(frozen=True, slots=True)
class Role:
    """A tenant: its plan, and what is done in its name. `counted` are the meters that it reports itself."""

    reference: str
    plan: str
    documents: int = 0
    """The most that are uploaded at once."""
    counted: tuple[str, ...] = ()
    credited: tuple[str, ...] = ()
    """Meters of which it is given credits."""
    packs: Mapping[str, tuple[int, ...]] | None = None
    """What it may buy."""
    plans: tuple[str, ...] = ()
    """Between which it moves."""
    is_discounted: bool = False
    is_leaving: bool = False
    """Whether it cancels, and comes back or changes its mind."""
    seats: int = 1
    zone: str = "UTC"
    anchor_on: date | None = None
    trial_days: int = 0
    has_bad_card: bool = False
    """Whether its card fails now and then."""


ROLES: Final = (
    Role("hemlock", "hard", 3, ("api_calls",), ("downloads",), zone="Europe/Berlin", anchor_on=date(2026, 1, 5)),
    Role(
        "sorrel",
        "soft",
        2,
        ("signatures",),
        is_discounted=True,
        zone="America/New_York",
        anchor_on=date(2025, 12, 28),
        has_bad_card=True,
    ),
    Role(
        "tansy",
        "top-up",
        2,
        ("documents_created",),
        ("documents_created", "downloads"),
        {"documents_created": (5, 20), "downloads": (3,)},
    ),
    Role("ulmus", "small", 2, credited=("invites_sent",), is_discounted=True, anchor_on=date(2026, 1, 31 - 30)),
    Role("vetch", "team", 2, seats=3, plans=("team", "soft"), credited=("invites_sent",), zone="Asia/Tokyo"),
    Role("woad", "pages", 0, ("pages", "pages", "storage", "devices"), ("pages_users", "pages"), is_discounted=True),
    Role("yarrow", "team", 1, ("pages", "invites_sent"), seats=2, plans=("team", "small"), is_leaving=True),
    Role("zinnia", "team", 1, ("signatures",), seats=2, plans=("team", "soft"), trial_days=9, has_bad_card=True),
)


def price(meter: str, model: str, **config: Any) -> NewPrice:
    return NewPrice(meter, model, config)


def plans_of_the_month() -> list[CreatePlan]:
    """In the order in which they must be made, but for successors."""
    invites = price("invites_sent", "tiered", fee="49.00", included=3, overage={"unitPrice": "4.25"})
    seats = NewQuota("seats", LimitPolicy.HARD, 9)
    team = price("invites_sent", "per-seat", seatPrice="9.00", includedPerSeat=1, overagePrice="2.50")
    bought = [NewPack(5, Decimal("4.00")), NewPack(20, Decimal("14.00"))]
    return [
        CreatePlan(
            "hard",
            "Hard",
            "USD",
            [
                price("documents_created", "metered", unitPrice="0.40"),
                price("api_calls", "metered", unitPrice="0.0025"),
            ],
            [NewQuota(meter, LimitPolicy.HARD, units) for meter, units in HARD_LIMITS["hemlock"].items()],
        ),
        CreatePlan(
            "soft",
            "Soft",
            "USD",
            [invites, price("signatures", "metered", unitPrice="0.15")],
            [NewQuota("invites_sent", LimitPolicy.SOFT, spend_cap=Decimal("20.00")), seats],
        ),
        CreatePlan(
            "top-up",
            "Top-up",
            "USD",
            [price("documents_created", "per-document", unitPrice="1.00")],
            [
                NewQuota(
                    "documents_created",
                    LimitPolicy.TOP_UP,
                    4,
                    packs=bought,
                    auto_top_up=NewAutoTopUp(below=2, pack_units=5, monthly_cap=Decimal("24.00")),
                ),
                NewQuota("downloads", LimitPolicy.TOP_UP, 1, packs=[NewPack(3, Decimal("1.50"))]),
            ],
        ),
        CreatePlan("team", "Team", "USD", [team], [seats], fees=FeesDue.ADVANCE),
        CreatePlan(
            "pages",
            "Pages",
            "USD",
            [
                price("pages", "metered", unitPrice="0.015"),
                price("pages_users", "metered", unitPrice="1.10"),
                price("pages_largest", "metered", unitPrice="0.07"),
                price("storage", "metered", unitPrice="0.90"),
                price("devices", "metered", unitPrice="0.35"),
            ],
            [NewQuota("pages_users", LimitPolicy.SOFT, 2), NewQuota("pages", LimitPolicy.SOFT, 50)],
            minimum_commitment=Decimal("60.00"),
        ),
    ]


OWN_METERS: Final = (
    CreateMeter("pages", "page", "Pages that were read.", decimals=2),
    CreateMeter(
        "pages_users",
        "user",
        "Readers in Europe.",
        Aggregation.UNIQUE,
        source="pages",
        property="user",
        filters=[NewFilter("region", ["eu"])],
    ),
    CreateMeter("pages_largest", "page", "The longest text.", Aggregation.MAX, source="pages", decimals=2),
    CreateMeter("storage", "gigabyte", "What is kept.", Aggregation.TIME_WEIGHTED, decimals=3),
    CreateMeter("devices", "device", "What is connected.", Aggregation.LATEST),
)
LATER_METERS: Final = (
    CreateMeter(
        "pages_us", "page", "Pages in America.", source="pages", decimals=2, filters=[NewFilter("region", ["us"])]
    ),
    CreateMeter("calls_reported", "report", "Reports of calls.", Aggregation.COUNT, source="api_calls"),
    CreateMeter("pages_regions", "region", "Regions.", Aggregation.UNIQUE, source="pages", property="region"),
)
"""Made in the course of the month, while their events come in."""


async def assemble(platform: Platform) -> dict[str, UUID]:
    """Everybody with a subscription; the plans by code."""
    for meter in OWN_METERS:
        await meters.create_meter(platform, meter)
    made = {}
    for command in plans_of_the_month():
        made[command.code] = (await plans.create_plan(platform, command)).plan.id
    invites = {"included": 8, "overage": {"unitPrice": "2.00"}}
    for code, fee, limit, successor in (("large", "90.00", None, None), ("small", "20.00", 3, "large")):
        policy = LimitPolicy.AUTO_UPGRADE if successor else LimitPolicy.SOFT
        command = CreatePlan(
            code,
            code.title(),
            "USD",
            [price("invites_sent", "tiered", fee=fee, **invites)],
            [NewQuota("invites_sent", policy, limit), NewQuota("seats", LimitPolicy.HARD, 9)],
            fees=FeesDue.ADVANCE,
            successor_id=made[successor] if successor else None,
        )
        made[code] = (await plans.create_plan(platform, command)).plan.id
    for role in ROLES:
        who = ProvisionTenant(role.reference, role.reference.title(), f"billing@{role.reference}.test", "USD")
        tenant = await provision_tenant(platform, who)
        terms = SubscribeTenant(tenant, made[role.plan], role.seats, role.zone, role.anchor_on, role.trial_days)
        await subscriptions.subscribe_tenant(platform, terms)
        await alerts.set_budget(tenant, Decimal("25.00"))
    await counters.schedule_check(platform)
    return made
