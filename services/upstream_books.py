"""SignNow's own books, as far as it shows them: invites used and invoices, stored once, corrected by newer versions.

SignNow has no documented API for either; they are read off its dashboard or its invoices, by hand or from a CSV.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, TypeVar

from tortoise.models import Model

from inkmeter.money import CURRENCY_DIGITS, booked_money
from services.platform import Platform
from services.problems import Problems
from services.upstream_costs import next_month
from storage.database import insert_new, transaction
from storage.upstream import UnitKind as UnitKind
from storage.upstream import UpstreamBill as UpstreamBill
from storage.upstream import UpstreamFigure as UpstreamFigure

MAX_RECORDS: Final = 10_000
MAX_BILL: Final = 10**15
"""The largest bill in minor units: what many come to still fits 64 bits."""
_MONTH: Final = re.compile(r"\d{4}-\d{2}", re.ASCII)
_FIGURE_KEY: Final = ("source", "starts_on", "ends_on", "kind", "folder", "account")
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class NewFigure:
    """Invites that SignNow says were used in a period; of all kinds, folders and users where none is named."""

    period: str
    invites: int
    kind: UnitKind | None = None
    folder: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class NewBill:
    """An invoice of SignNow's for a period; negative if it gives money back."""

    period: str
    number: str
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class NewRecord:
    """One of them, and where it stands in the input: problems are told with that path."""

    path: tuple[str, ...]
    what: NewFigure | NewBill


@dataclass(slots=True)
class Recorded:
    """How many were new, took the place of an earlier version, or were known already."""

    new: int = 0
    corrected: int = 0
    unchanged: int = 0


def read_days(text: str) -> tuple[date, date]:
    """The days [start, end) of "2026-03", "2026-03-05" or "2026-03-01/2027-03-01". Raises ValueError."""
    if _MONTH.fullmatch(text):
        first = date.fromisoformat(f"{text}-01")
        return first, date.fromisoformat(f"{next_month(text)}-01")
    start, slash, end = text.partition("/")
    first = date.fromisoformat(start)
    last = date.fromisoformat(end) if slash else first + timedelta(days=1)
    if not first < last:
        raise ValueError("a period ends after it starts")
    return first, last


async def record(platform: Platform, records: Sequence[NewRecord], source: str) -> Recorded:
    """Store what SignNow says, all or nothing; what is stored already is left alone. Raises InvalidInput."""
    _check(records, source)
    recorded = Recorded()
    async with transaction():
        for entry in records:
            first, end = (day.isoformat() for day in read_days(entry.what.period))
            if isinstance(entry.what, NewBill):
                bill = UpstreamBill(
                    number=entry.what.number,
                    starts_on=first,
                    ends_on=end,
                    amount_minor=booked_money(entry.what.amount, entry.what.currency).minor,
                    currency=entry.what.currency,
                    source=source,
                    recorded_at=platform.clock.now(),
                )
                await _store(bill, ("number",), ("starts_on", "ends_on", "amount_minor", "currency"), recorded)
            else:
                figure = UpstreamFigure(
                    source=source,
                    starts_on=first,
                    ends_on=end,
                    kind=entry.what.kind or "",
                    folder=entry.what.folder or "",
                    account=entry.what.user or "",
                    units=entry.what.invites,
                    recorded_at=platform.clock.now(),
                )
                await _store(figure, _FIGURE_KEY, ("units",), recorded)
    return recorded


async def store_figure(figure: UpstreamFigure) -> None:
    """Store what a source says as its next version, unless it has said the same before."""
    await _store(figure, _FIGURE_KEY, ("units",), Recorded())


async def _store(
    new: UpstreamBill | UpstreamFigure, key: tuple[str, ...], content: tuple[str, ...], so_far: Recorded
) -> None:
    """Store the next version, unless the newest says the same; again if someone else has just stored one."""
    while True:
        known = await type(new).filter(**{name: getattr(new, name) for name in key}).order_by("-version").first()
        if known is not None and all(getattr(known, name) == getattr(new, name) for name in content):
            so_far.unchanged += 1
            return
        new.version = 1 if known is None else known.version + 1
        if await insert_new(new, [*key, "version"]):
            so_far.new += known is None
            so_far.corrected += known is not None
            return


def _check(records: Sequence[NewRecord], source: str) -> None:
    problems = Problems()
    problems.check_code(source, "source")
    problems.check(1 <= len(records) <= MAX_RECORDS, f"needs 1 to {MAX_RECORDS} records")
    seen: set[object] = set()
    for entry in records:
        what, path = entry.what, entry.path
        try:
            days = read_days(what.period)
        except (ValueError, OverflowError):
            problems.add("is a month 2026-03, a day 2026-03-05, or 2026-03-01/2027-03-01", *path, "period")
            continue
        problems.check(days[0].year >= 1970 and days[1].year < 9000, "is from 1970 to 8999", *path, "period")
        key: object
        if isinstance(what, NewBill):
            problems.check_text(what.number, *path, "number")
            problems.check(what.currency in CURRENCY_DIGITS, "is not an ISO 4217 currency code", *path, "currency")
            if problems.check_amount(what.amount, what.currency, *path, "amount", least=-(2**63), is_collected=False):
                minor = abs(booked_money(what.amount, what.currency).minor)
                problems.check(minor <= MAX_BILL, "is more than any bill", *path, "amount")
            key = what.number
        else:
            problems.check(0 <= what.invites < 2**53, "is a number from 0 to 2^53 - 1", *path, "invites")
            for name, text in (("folder", what.folder), ("user", what.user)):
                if text is not None:
                    problems.check_text(text, *path, name)
            key = (*days, what.kind, what.folder, what.user)
        problems.check(key not in seen, "stands there twice", *path)
        seen.add(key)
    problems.refuse()


async def list_bills() -> Sequence[UpstreamBill]:
    """SignNow's invoices, the newest version of each, by number."""
    newest = {bill.number: bill for bill in await UpstreamBill.all().order_by("version")}
    return [newest[number] for number in sorted(newest)]


async def list_figures() -> Sequence[UpstreamFigure]:
    """SignNow's usage figures, the newest version of each, in order of time."""
    newest = {
        tuple(getattr(f, name) for name in _FIGURE_KEY): f for f in await UpstreamFigure.all().order_by("version")
    }
    return sorted(newest.values(), key=lambda f: (f.starts_on, f.ends_on, f.source, f.kind, f.folder, f.account))
