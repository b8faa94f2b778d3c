"""Plans: versioned sets of prices with quotas. A version never changes; other content is another version."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson

from inkmeter.billing_model import BillingModel
from inkmeter.errors import InvalidConfig, NextPlan, NotFound, Problem, Refused
from inkmeter.money import to_money
from inkmeter.periods import Interval
from services import limits, meters
from services.expressing import check_metered
from services.limits import NewAutoTopUp as NewAutoTopUp
from services.limits import NewPack as NewPack
from services.limits import NewQuota as NewQuota
from services.limits import TopUpPayment as TopUpPayment
from services.measures import LEVELS, MeterBook
from services.platform import Platform
from services.problems import Problems
from services.tenants import check_currency
from services.terms import PlanTerms, revive
from storage.database import insert_new, transaction
from storage.plans import DunningEnd as DunningEnd
from storage.plans import FeesDue as FeesDue
from storage.plans import LimitPolicy as LimitPolicy
from storage.plans import Plan as Plan
from storage.plans import Price as Price
from storage.plans import Quota as Quota
from storage.plans import StripeMode as StripeMode

MAX_PRICES: Final = 20
MAX_DUNNING_DAYS: Final = 365


@dataclass(frozen=True, slots=True)
class NewPrice:
    """A price to be: a meter, the code of a billing model, and its configuration."""

    meter: str
    model: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NewDunning:
    """What becomes of those who do not pay; None leaves the days to the setting and the default. A downgrade goes to
    a plan that exists before.
    """

    grace_days: int | None = None
    restricted_days: int | None = None
    end: DunningEnd = DunningEnd.RESTRICT
    downgrade_plan_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class CreatePlan:
    """All of a plan's terms; `minimum_commitment` is of a whole period, in major units. The successor must exist
    before, so that plans cannot follow each other in a ring.
    """

    code: str
    name: str
    currency: str
    prices: Sequence[NewPrice]
    quotas: Sequence[NewQuota] = ()
    interval: Interval = Interval.MONTH
    fees: FeesDue = FeesDue.ARREARS
    minimum_commitment: Decimal | None = None
    successor_id: UUID | None = None
    stripe_mode: StripeMode = StripeMode.COMPUTED
    dunning: NewDunning | None = None


async def create_plan(platform: Platform, command: CreatePlan) -> PlanTerms:
    """Create a plan, or its next version if the code exists with other content.

    The same content again answers the version that stands. Raises InvalidInput and InvalidConfig, with every wrong
    path, and NotFound for the successor.
    """
    codes = {*(new.meter for new in command.prices), *(quota.meter for quota in command.quotas)}
    book = await meters.find_meters(platform, *codes)
    policy = command.dunning or NewDunning()
    target = await find_named(policy.downgrade_plan_id, "dunning", "downgradePlanId")
    models = _check(platform, command, await find_named(command.successor_id, "successorId"), target, book)
    quotas = _stored_quotas(command, models, book)
    minimum = command.minimum_commitment
    content: dict[str, Any] = {
        "name": command.name,
        "currency": command.currency,
        "interval": command.interval,
        "fees": command.fees,
        "minimum": None if minimum is None else to_money(minimum, command.currency).minor,
        "successor": str(command.successor_id) if command.successor_id else None,
        "prices": [[p.meter, p.model, m.model_dump(mode="json", by_alias=True)] for p, m in models],
        "quotas": sorted(quotas, key=lambda quota: str(quota["meter"])),
    }
    if command.stripe_mode is StripeMode.METERED:
        content["stripe_mode"] = command.stripe_mode
    if policy != NewDunning():  # one that says nothing is the content of a plan without
        target_id = str(policy.downgrade_plan_id) if policy.downgrade_plan_id else None
        content["dunning"] = [policy.grace_days, policy.restricted_days, policy.end, target_id]
    content_hash = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
    while True:
        latest = await Plan.filter(code=command.code).order_by("-version").first()
        if latest is not None and latest.content_hash == content_hash:
            return await load_terms(platform, latest.id)
        plan = Plan(
            code=command.code,
            version=latest.version + 1 if latest else 1,
            name=command.name,
            currency=command.currency,
            interval=command.interval,
            fees=command.fees,
            minimum_minor=content["minimum"],
            successor_id=command.successor_id,
            stripe_mode=command.stripe_mode,
            grace_days=policy.grace_days,
            restricted_days=policy.restricted_days,
            dunning_end=policy.end,
            downgrade_plan_id=policy.downgrade_plan_id,
            content_hash=content_hash,
            created_at=platform.clock.now(),
        )
        if await _insert(plan, models, quotas):
            return await load_terms(platform, plan.id)
        # Someone made this version at the same moment: look again.


async def _insert(
    plan: Plan, models: Sequence[tuple[NewPrice, BillingModel]], quotas: Sequence[Mapping[str, Any]]
) -> bool:
    async with transaction():
        if not await insert_new(plan, ["code", "version"]):
            return False
        for position, (new, model) in enumerate(models):
            await Price.create(
                plan_id=plan.id,
                position=position,
                meter=new.meter,
                model=new.model,
                config=model.model_dump(mode="json", by_alias=True),
            )
        for quota in quotas:
            await Quota.create(plan_id=plan.id, **quota)
    return True


async def find_named(plan_id: UUID | None, *path: str) -> Plan | None:
    """A plan that another names."""
    if plan_id is None:
        return None
    found = await Plan.get_or_none(id=plan_id)
    if found is None:
        raise NotFound("no such plan", path=path)
    return found


def _check(
    platform: Platform, command: CreatePlan, successor: Plan | None, target: Plan | None, book: MeterBook
) -> list[tuple[NewPrice, BillingModel]]:
    problems = Problems()
    problems.check_code(command.code, "code")
    problems.check_text(command.name, "name")
    check_currency(problems, command.currency)
    if command.minimum_commitment is not None:
        problems.check_amount(command.minimum_commitment, command.currency, "minimumCommitment")
    if successor is not None:
        is_alike = (successor.currency, successor.interval) == (command.currency, command.interval)
        problems.check(is_alike, "is a plan of the same currency and interval", "successorId")
        is_computed = StripeMode.METERED not in (command.stripe_mode, successor.stripe_mode)
        rule = "is no METERED plan's, nor METERED: who bills does not change inside a period"
        problems.check(is_computed, rule, "successorId")
    check_dunning(problems, command.dunning or NewDunning(), "dunning")
    if target is not None:
        is_alike = target.currency == command.currency
        problems.check(is_alike, "is a plan of the same currency", "dunning", "downgradePlanId")
    problems.check(1 <= len(command.prices) <= MAX_PRICES, f"needs 1 to {MAX_PRICES} prices", "prices")
    config_problems: list[Problem] = []
    models: list[tuple[NewPrice, BillingModel]] = []
    for index, new in enumerate(command.prices):
        path = ("prices", str(index))
        problems.check_meter(book, new.meter, *path, "meter")
        try:
            models.append((new, platform.plugins.billing_models.get(new.model).configure(new.config)))
        except InvalidConfig as error:
            config_problems += [Problem((*path, "config", *p.path), p.message) for p in error.problems]
        except Refused as error:
            problems.add(error.message, *path, "model")
    seen = [(new.meter, new.model) for new in command.prices]
    problems.check(len(set(seen)) == len(seen), "the same model stands twice for one meter", "prices")
    _check_quotas(problems, command, models, book)
    if command.stripe_mode is StripeMode.METERED and len(models) == len(command.prices):
        none = command.minimum_commitment is None
        problems.check(none, "METERED: Stripe knows no minimum", "minimumCommitment")
        priced = [(new.meter, model) for new, model in models]
        check_metered(problems, priced, book, command.currency, command.fees)
    problems.refuse()
    if config_problems:
        raise InvalidConfig(config_problems)
    return models


def check_dunning(problems: Problems, policy: NewDunning, *path: str) -> None:
    """Days that there are, and a plan for a downgrade and for nothing else."""
    rule = f"0 to {MAX_DUNNING_DAYS} days"
    for days, name in ((policy.grace_days, "graceDays"), (policy.restricted_days, "restrictedDays")):
        problems.check(days is None or 0 <= days <= MAX_DUNNING_DAYS, rule, *path, name)
    is_downgrade = policy.end is DunningEnd.DOWNGRADE
    rule = "is needed for a downgrade" if is_downgrade else "goes with a downgrade alone"
    problems.check((policy.downgrade_plan_id is not None) is is_downgrade, rule, *path, "downgradePlanId")


def _check_quotas(
    problems: Problems, command: CreatePlan, models: Sequence[tuple[NewPrice, BillingModel]], book: MeterBook
) -> None:
    codes = [quota.meter for quota in command.quotas]
    problems.check(len(set(codes)) == len(codes), "a meter has one quota at most", "quotas")
    for index, quota in enumerate(command.quotas):
        path = ("quotas", str(index))
        if problems.check_meter(book, quota.meter, *path, "meter"):
            kind = book[quota.meter].aggregation
            problems.check(kind not in LEVELS, f"{kind} meters take no quota: a level is not used up", *path, "meter")
        decimals = _decimals(quota.meter, book)
        if quota.units is None and len(models) == len(command.prices):
            allowed = _allowance(quota.meter, models)
            why = "is needed: no price of this meter has an allowance, whatever the seats"
            problems.check(allowed is not None and allowed * 10**decimals < 2**63, why, *path, "units")
        has_successor = command.successor_id is not None
        limits.check_quota(problems, quota, command.currency, decimals, path, has_successor=has_successor)


def _decimals(meter: str, book: MeterBook) -> int:
    return book[meter].decimals if meter in book else 0


def _stored_quotas(
    command: CreatePlan, models: Sequence[tuple[NewPrice, BillingModel]], book: MeterBook
) -> list[dict[str, Any]]:
    return [
        limits.stored_quota(quota, _units(quota, models), command.currency, _decimals(quota.meter, book))
        for quota in command.quotas
    ]


def _allowance(meter: str, models: Sequence[tuple[NewPrice, BillingModel]]) -> int | None:
    """What the first price of the meter that includes units includes; None if it depends on the seats."""
    for new, model in models:
        if new.meter == meter and (allowance := model.allowance(seats=1)) is not None:
            return int(allowance) if model.allowance(seats=2) == allowance else None
    return None


def _units(quota: NewQuota, models: Sequence[tuple[NewPrice, BillingModel]]) -> int:
    units = quota.units if quota.units is not None else _allowance(quota.meter, models)
    assert units is not None  # noqa: S101 - checked by _check_quotas
    return units


async def load_terms(platform: Platform, plan_id: UUID) -> PlanTerms:
    """A plan version with its prices. Raises NotFound for an unknown id."""
    plan = await Plan.get_or_none(id=plan_id)
    if plan is None:
        raise NotFound("no such plan", path=("planId",))
    prices = await Price.filter(plan_id=plan_id).order_by("position")
    quotas = await Quota.filter(plan_id=plan_id)
    codes = [*(price.meter for price in prices), *(quota.meter for quota in quotas)]
    book = await meters.find_meters(platform, *codes)
    return PlanTerms(
        plan=plan,
        prices=tuple((price, revive(platform.plugins, price)) for price in prices),
        quotas={quota.meter: quota for quota in quotas},
        meters={code: book[code] for code in codes},
        successor=await name_plan(plan.successor_id),
        downgrade=await name_plan(plan.downgrade_plan_id),
    )


async def name_plan(plan_id: UUID | None) -> NextPlan | None:
    """A plan as another thing names it."""
    plan = await Plan.get_or_none(id=plan_id) if plan_id is not None else None
    return NextPlan(str(plan.id), plan.code, plan.name) if plan is not None else None


async def list_plans(after: UUID | None, limit: int) -> Sequence[Plan]:
    """Plan versions in the order of their creation, after the given one."""
    query = Plan.all() if after is None else Plan.filter(id__gt=after)
    return await query.order_by("id").limit(limit)
