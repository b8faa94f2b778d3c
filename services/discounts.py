"""Discounts: something off a subscription's fees and usage, for so many periods from the current one."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from inkmeter.errors import Conflict, NotFound
from inkmeter.money import Money, collected_digits, to_money
from services import billing, metered_terms, periods
from services.platform import Platform
from services.problems import Problems
from storage.database import insert_new, transaction
from storage.discounts import Discount as Discount
from storage.subscriptions import Period, Subscription, enter_period, starts_before
from storage.tenants import Tenant

MAX_PERIODS: Final = 1_200
PERCENT_PLACES: Final = 4
MAX_AMOUNT: Final = Decimal(10**12)


@dataclass(frozen=True, slots=True)
class ApplyDiscount:
    """Either `percent`, up to 100, or `amount` in major units of the plan's currency; without `periods` for good."""

    tenant: Tenant
    idempotency_key: str
    label: str
    percent: Decimal | None = None
    amount: Decimal | None = None
    periods: int | None = None


async def apply_discount(platform: Platform, command: ApplyDiscount) -> Discount:
    """Discount the running period and those after it; a trial is free and does not count.

    The same key again answers the first discount. Raises InvalidInput, SubscriptionInactive, and Conflict for a key
    that stands for another discount.
    """
    tenant = command.tenant
    amount_minor = _check(command)
    now = platform.clock.now()
    existing = await Discount.get_or_none(tenant_id=tenant.id, idempotency_key=command.idempotency_key)
    if existing is None:
        current = await periods.ensure_period(platform, tenant.id, now)
        subscription = await Subscription.get(tenant_id=tenant.id, id=current.subscription_id)
        await metered_terms.check_discount(platform, subscription)
        made = Discount(
            tenant_id=tenant.id,
            idempotency_key=command.idempotency_key,
            subscription_id=current.subscription_id,
            label=command.label,
            percent=command.percent,
            amount_minor=amount_minor,
            periods=command.periods,
            starts_at=current.starts_at,
            created_at=now,
        )
        async with transaction():
            # Held, so that the discount is known to the close of the period in which it begins.
            await enter_period(tenant.id, now, strength="UPDATE")
            await insert_new(made, ["tenant_id", "idempotency_key"])
        existing = await Discount.get(tenant_id=tenant.id, idempotency_key=command.idempotency_key)
    same = (existing.label, existing.percent, existing.amount_minor, existing.periods)
    if same != (command.label, command.percent, amount_minor, command.periods):
        raise Conflict("this idempotency key was used for another discount", path=("idempotencyKey",))
    return existing


def _check(command: ApplyDiscount) -> int | None:
    """The amount in minor units, if it is one."""
    problems = Problems()
    problems.check_key(command.idempotency_key, "idempotencyKey")
    problems.check_text(command.label, "label")
    problems.check((command.percent is None) != (command.amount is None), "give either a percent or an amount")
    if command.percent is not None:
        problems.check(
            command.percent.is_finite()
            and 0 < command.percent <= 100
            and command.percent == round(command.percent, PERCENT_PLACES),
            f"is more than 0, at most 100, with at most {PERCENT_PLACES} digits after the point",
            "percent",
        )
    currency = command.tenant.currency
    if command.amount is not None:
        problems.check(
            command.amount.is_finite()
            and 0 < command.amount <= MAX_AMOUNT
            and to_money(command.amount, currency).amount == command.amount,
            f"is more than 0, with at most {collected_digits(currency)} digits after the point",
            "amount",
        )
    if command.periods is not None:
        problems.check(1 <= command.periods <= MAX_PERIODS, f"is 1 to {MAX_PERIODS}, or left out", "periods")
    problems.refuse()
    return to_money(command.amount, currency).minor if command.amount is not None else None


async def end_discount(platform: Platform, tenant: Tenant, discount_id: UUID) -> Discount:
    """End a discount: periods that are over keep it, the running one goes without. Repeating it changes nothing.

    Raises NotFound, also for another tenant's.
    """
    now = platform.clock.now()
    await find_discount(tenant.id, discount_id)
    async with transaction():
        await enter_period(tenant.id, now, strength="UPDATE")
        await Discount.filter(tenant_id=tenant.id, id=discount_id, ended_at=None).update(ended_at=now)
    return await Discount.get(tenant_id=tenant.id, id=discount_id)


async def find_discount(tenant_id: int | None, discount_id: UUID) -> Discount:
    """The discount, of that tenant unless None. Raises NotFound, also for another tenant's."""
    discount = await Discount.get_or_none(id=discount_id)
    if discount is None or tenant_id not in (None, discount.tenant_id):
        raise NotFound("no such discount", path=("discountId",))
    return discount


async def discounts_of(subscriptions: Sequence[Subscription]) -> Mapping[UUID, Sequence[Discount]]:
    """All discounts of a few hundred subscriptions, by subscription, in the order in which they are taken off."""
    found: dict[UUID, list[Discount]] = {subscription.id: [] for subscription in subscriptions}
    owners = {subscription.tenant_id for subscription in subscriptions}
    for discount in await Discount.filter(tenant_id__in=owners).order_by("created_at", "id") if owners else []:
        if discount.subscription_id in found:
            found[discount.subscription_id].append(discount)
    return found


async def discounts_in(
    asked: Sequence[tuple[Subscription, Period]], currencies: Mapping[UUID, str]
) -> dict[UUID, tuple[billing.Discount, ...]]:
    """The discounts that hold in each period, as billing takes them, in two queries; of a few hundred periods at a
    time. `currencies` are those of the subscriptions' plans.
    """
    subscriptions = {subscription.id: subscription for subscription, _ in asked}
    own = await discounts_of([*subscriptions.values()])
    discounted = [subscriptions[subscription_id] for subscription_id, found in own.items() if found]
    starts = await starts_before(discounted, max(period.starts_at for _, period in asked)) if discounted else {}
    return {
        period.id: tuple(
            billing.Discount(
                discount.label,
                discount.percent,
                Money(discount.amount_minor, currencies[subscription.id])
                if discount.amount_minor is not None
                else None,
            )
            for discount in ([] if period.is_trial else own[subscription.id])
            if _holds(discount, period, starts[subscription.id])
        )
        for subscription, period in asked
    }


def _holds(discount: Discount, period: Period, starts: Sequence[datetime]) -> bool:
    """Whether a period is one of those that a discount is for; `starts` are those of the periods that are billed."""
    if period.starts_at < discount.starts_at:
        return False
    if discount.ended_at is not None and discount.ended_at < period.ends_at:
        return False
    if discount.periods is None:
        return True
    count = bisect_left(starts, period.starts_at) - bisect_left(starts, discount.starts_at)
    return count < int(discount.periods)
