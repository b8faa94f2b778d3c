"""The limits of a plan: what happens at each quota, the top-ups on offer, and when to alert."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from inkmeter.money import to_money
from services.problems import Problems
from services.rating import SEATS
from storage.plans import LimitPolicy
from storage.plans import TopUpPayment as TopUpPayment

MAX_PACKS: Final = 20
MAX_ALERTS: Final = 20
ALERTS_AT: Final = (50, 80, 100)
MAX_PERCENT: Final = 1_000
MAX_CREDITS: Final = 10**12
SMALLEST_CHARGE: Final = {"USD": Decimal("0.50")}
"""Stripe's docs: less is not charged, the invoice counts as paid and the customer's balance owes it. Other currencies
have sums of their own, which are not known here.
"""


@dataclass(frozen=True, slots=True)
class NewPack:
    """A top-up on offer: so many whole units, all together for `price` in major units."""

    units: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class NewAutoTopUp:
    """Buy the pack of `pack_units` whenever fewer credits than `below` are left, for at most `monthly_cap`."""

    below: int
    pack_units: int
    monthly_cap: Decimal
    payment: TopUpPayment = TopUpPayment.NEXT_INVOICE


@dataclass(frozen=True, slots=True)
class NewQuota:
    """A quota to be, in whole units; without `units` the allowance of the meter's price is the limit."""

    meter: str
    policy: LimitPolicy
    units: int | None = None
    spend_cap: Decimal | None = None
    packs: Sequence[NewPack] = ()
    auto_top_up: NewAutoTopUp | None = None
    alerts_at: Sequence[int] = ALERTS_AT


def most_credits(decimals: int) -> int:
    """The most whole units of a meter that are granted or bought at once."""
    return int(min(MAX_CREDITS, 1_000 * MAX_CREDITS // 10**decimals))


def check_quota(
    problems: Problems, quota: NewQuota, currency: str, decimals: int, path: Sequence[str], *, has_successor: bool
) -> None:
    """Find everything that is wrong with a quota of a meter with so many decimals, besides its meter itself."""
    if quota.units is not None:
        most = (2**63 - 1) // 10**decimals
        problems.check(0 <= quota.units <= most, f"is a number of units, zero to {most}", *path, "units")
    if quota.meter == SEATS:
        is_counted = quota.policy in (LimitPolicy.SOFT, LimitPolicy.HARD)
        problems.check(is_counted, "seats are counted by the subscription: SOFT or HARD", *path, "policy")
        problems.check(not quota.packs, "seats are not topped up; change the subscription", *path, "topUpPacks")
    if quota.policy is LimitPolicy.AUTO_UPGRADE:
        problems.check(has_successor, "AUTO_UPGRADE needs the plan's successorId", *path, "policy")
    if quota.policy is LimitPolicy.TOP_UP:
        problems.check(bool(quota.packs), "TOP_UP needs a pack to buy", *path, "topUpPacks")
    if quota.spend_cap is not None:
        problems.check(
            quota.policy is LimitPolicy.SOFT, "only SOFT bills overage that could be capped", *path, "spendCap"
        )
        problems.check_amount(quota.spend_cap, currency, *path, "spendCap")
    _check_packs(problems, quota.packs, currency, most_credits(decimals), path)
    if quota.auto_top_up is not None:
        _check_auto_top_up(problems, quota.auto_top_up, quota.packs, currency, most_credits(decimals), path)
        if quota.auto_top_up.payment is TopUpPayment.FIRST:
            _check_is_charged(problems, quota.auto_top_up, quota.packs, currency, path)
            waits = quota.policy in (LimitPolicy.SOFT, LimitPolicy.TOP_UP)
            problems.check(waits, "FIRST goes with TOP_UP, which waits, or SOFT", *path, "autoTopUp", "payment")
    check_percentages(problems, quota.alerts_at, *path, "alertsAt")


def _check_packs(problems: Problems, packs: Sequence[NewPack], currency: str, most: int, path: Sequence[str]) -> None:
    problems.check(len(packs) <= MAX_PACKS, f"at most {MAX_PACKS} packs", *path, "topUpPacks")
    rule = f"is a number of units, one to {most}"
    sizes = [pack.units for pack in packs]
    problems.check(len(set(sizes)) == len(sizes), "packs differ in their units", *path, "topUpPacks")
    for index, pack in enumerate(packs):
        problems.check(1 <= pack.units <= most, rule, *path, "topUpPacks", str(index), "units")
        problems.check_amount(pack.price, currency, *path, "topUpPacks", str(index), "price", least=1)


def _check_auto_top_up(
    problems: Problems, rule: NewAutoTopUp, packs: Sequence[NewPack], currency: str, most: int, path: Sequence[str]
) -> None:
    path = (*path, "autoTopUp")
    problems.check(1 <= rule.below <= most, f"is a number of units, one to {most}", *path, "below")
    pack = next((pack for pack in packs if pack.units == rule.pack_units), None)
    problems.check(pack is not None, "is the units of one of topUpPacks", *path, "packUnits")
    if problems.check_amount(rule.monthly_cap, currency, *path, "monthlyCap") and pack is not None:
        problems.check(rule.monthly_cap >= pack.price, "would not pay for a single pack", *path, "monthlyCap")


def _check_is_charged(
    problems: Problems, rule: NewAutoTopUp, packs: Sequence[NewPack], currency: str, path: Sequence[str]
) -> None:
    """What is paid first must be paid: credits would be granted for an invoice that moves no money."""
    least = SMALLEST_CHARGE.get(currency, Decimal(0))
    for index, pack in enumerate(packs):
        if pack.units == rule.pack_units:
            message = f"is below Stripe's smallest charge of {least} {currency}, and would not be paid first"
            problems.check(pack.price >= least, message, *path, "topUpPacks", str(index), "price")


def check_percentages(problems: Problems, percentages: Sequence[int], *path: str) -> None:
    """At which percentages to alert: ascending, each once."""
    problems.check(
        len(percentages) <= MAX_ALERTS
        and all(1 <= percent <= MAX_PERCENT for percent in percentages)
        and list(percentages) == sorted(set(percentages)),
        f"up to {MAX_ALERTS} whole percentages from 1 to {MAX_PERCENT}, ascending",
        *path,
    )


def stored_quota(quota: NewQuota, units: int, currency: str, decimals: int) -> dict[str, Any]:
    """The columns of a quota that was checked: its units in 10^-decimals, those of credits whole, money in minor
    units.
    """
    rule = quota.auto_top_up
    return {
        "meter": quota.meter,
        "units": units * 10**decimals,
        "policy": quota.policy,
        "spend_cap_minor": _minor(quota.spend_cap, currency),
        "packs": [{"units": p.units, "price_minor": _minor(p.price, currency)} for p in quota.packs],
        "auto_top_up": None
        if rule is None
        else {
            "below": rule.below,
            "pack": [pack.units for pack in quota.packs].index(rule.pack_units),
            "monthly_cap_minor": _minor(rule.monthly_cap, currency),
            # Left out where it is the default: the same content is the same version of a plan, as it was before.
            **({"payment": rule.payment} if rule.payment is TopUpPayment.FIRST else {}),
        },
        "alerts_at": list(quota.alerts_at),
    }


def _minor(amount: Decimal | None, currency: str) -> int | None:
    return None if amount is None else to_money(amount, currency).minor
