"""What a billing period comes to as known now, and how that differs from what was billed for it.

Everything is rated by services/billing.py from the terms, seats and discounts of then. What was billed is the sum of
the lines of all invoices for that period, by (kind, price). So the same may be asked again at any time: what was
adjusted once is not adjusted again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from inkmeter.money import Money
from inkmeter.periods import load_zone
from services.billing import BillLine, PeriodFacts, bill_fees, bill_period
from services.drafting import NewLine, item_of, single
from services.period_facts import facts_of
from services.platform import Platform
from services.proration import peak_seats, stages_in_force
from services.rating import SEATS
from storage.invoices import LineItem, LineKind
from storage.late_usage import Late, count_late
from storage.subscriptions import Period, Subscription

RERATED: Final = (LineKind.FEE, LineKind.USAGE, LineKind.DISCOUNT, LineKind.COMMITMENT)
"""The kinds of lines that follow from a period's facts."""

Key = tuple[LineKind, UUID | None]


async def outstanding(
    platform: Platform,
    subscription: Subscription,
    period: Period,
    *,
    is_first: bool,
    reported: Mapping[str, int] | None = None,
) -> list[NewLine]:
    """What a period comes to as known now, less what was billed for it.

    With `is_first` it is billed for the first time, whatever was billed in advance: its lines are its own. Otherwise
    every difference is an ADJUSTMENT. With `reported` its usage is what Stripe was told, and an ADJUSTMENT is the rest.
    """
    facts = await facts_of(platform, subscription, period)
    if reported is not None:
        codes = {price.meter for stage in stages_in_force(facts) for price, _ in stage.terms.prices}
        units = {code: Decimal(reported.get(code, 0)) for code in codes - {SEATS}}
        told = replace(facts, units={**facts.units, **units})
        own = await _difference(_Rated(subscription, period, told, bill_period(told), is_first))
        return [*own, *await _beyond(_Rated(subscription, period, facts, bill_period(facts), is_first=False), own)]
    return await _difference(_Rated(subscription, period, facts, bill_period(facts), is_first))


async def fees_ahead(platform: Platform, subscription: Subscription, period: Period) -> list[NewLine]:
    """The fees of a period that begins, with the discounts on them, less what was billed of them already."""
    facts = await facts_of(platform, subscription, period)
    return await _difference(_Rated(subscription, period, facts, bill_fees(facts), is_first=True))


@dataclass(frozen=True, slots=True)
class _Rated:
    subscription: Subscription
    period: Period
    facts: PeriodFacts
    due: Sequence[BillLine]
    is_first: bool

    @property
    def days(self) -> str:
        """The period in local days."""
        zone = load_zone(self.subscription.zone)
        first, end = (at.astimezone(zone).date() for at in (self.period.starts_at, self.period.ends_at))
        return f"{first} to {end}"

    def source_of(self, meter: str) -> str:
        """The meter whose events are counted by this one."""
        found = next((s.terms.meters[meter] for s in self.facts.stages if meter in s.terms.meters), None)
        return found.source or meter if found is not None else meter

    def units(self, meter: str) -> Decimal:
        """The quantity of a meter that is rated."""
        if meter == SEATS and SEATS not in self.facts.units:
            return Decimal(peak_seats(stages_in_force(self.facts)))
        return self.facts.units.get(meter, Decimal(0))


async def _difference(rated: _Rated) -> list[NewLine]:
    tenant_id, period = rated.subscription.tenant_id, rated.period
    billed: dict[Key, list[LineItem]] = {}
    for item in await LineItem.filter(tenant_id=tenant_id, service_period_id=period.id).order_by("id"):
        kind = LineKind(item.adjusts) if item.adjusts else item.kind
        if kind in RERATED:
            billed.setdefault((kind, item.price_id), []).append(item)
    due: dict[Key, list[BillLine]] = {}
    for entry in rated.due:
        due.setdefault((entry.kind, entry.price_id), []).append(entry)
    late = await count_late(tenant_id, period.span) if billed else {}
    lines: list[NewLine] = []
    for key in [*due, *(key for key in billed if key not in due)]:
        if rated.is_first and key not in billed:
            lines += [_own(rated, entry) for entry in due[key]]
        elif (changed := _changed(rated, key, due.get(key, []), billed.get(key, []), late)) is not None:
            lines.append(changed)
    return lines


async def _beyond(rated: _Rated, own: Sequence[NewLine]) -> list[NewLine]:
    """The usage of a period beyond what stands in its own lines, or less than it."""
    billed: dict[Key, list[LineItem]] = {}
    due: dict[Key, list[BillLine]] = {}
    for line in own:
        if line.kind is LineKind.USAGE:
            billed.setdefault((line.kind, line.price_id), []).append(item_of(line))
    for entry in rated.due:
        if entry.kind is LineKind.USAGE:
            due.setdefault((entry.kind, entry.price_id), []).append(entry)
    late = await count_late(rated.subscription.tenant_id, rated.period.span)
    keys = [*due, *(key for key in billed if key not in due)]
    changed = [_changed(rated, key, due.get(key, []), billed.get(key, []), late) for key in keys]
    return [line for line in changed if line is not None]


def _own(rated: _Rated, entry: BillLine) -> NewLine:
    # A line's quantity may be packs; kept beside it are the units, for a later adjustment to start from.
    units = {"units": format(rated.units(entry.meter), "f")} if entry.kind is LineKind.USAGE else None
    return NewLine(entry.kind, rated.period, entry.line, entry.meter, entry.model, entry.price_id, explanation=units)


def _changed(
    rated: _Rated, key: Key, due: Sequence[BillLine], billed: Sequence[LineItem], late: Mapping[str, Late]
) -> NewLine | None:
    kind, price_id = key
    currency = rated.facts.currency
    before = sum(item.amount_minor for item in billed)
    after = sum(entry.line.total.minor for entry in due)
    if before == after:
        return None
    meter = due[0].meter if due else billed[0].meter
    model = due[0].model if due else billed[0].model
    amount = Money(after - before, currency)
    if rated.is_first and kind is LineKind.DISCOUNT:
        # The fees' part was taken off in advance; this is the rest of the same discounts, and corrects nothing.
        labels = ", ".join(dict.fromkeys(entry.line.label for entry in due)) or "Discount that has ended"
        return NewLine(kind, rated.period, single(labels, amount))
    known, seen = late.get(rated.source_of(meter), Late()), _last_explanation(billed)
    events = known.events - int(seen.get("seen_events", 0)) if kind is LineKind.USAGE else 0
    corrections = known.corrections - int(seen.get("seen_corrections", 0)) if kind is LineKind.USAGE else 0
    now_quantity = rated.units(meter) if kind is LineKind.USAGE else sum((e.line.quantity for e in due), Decimal(0))
    explanation = {
        "billed": {"quantity": format(_billed_quantity(billed), "f"), "amount_minor": before},
        "now": {"quantity": format(now_quantity, "f"), "amount_minor": after},
        "late_events": events,
        "corrections": corrections,
        "seen_events": known.events,
        "seen_corrections": known.corrections,
        "reason": _reason(kind, events, corrections),
    }
    label = f"Adjustment of {rated.days}: {_subject(kind, meter, events, corrections)}"
    return NewLine(
        LineKind.ADJUSTMENT, rated.period, single(label, amount), meter, model, price_id, kind.value, explanation
    )


def _last_explanation(billed: Sequence[LineItem]) -> Mapping[str, Any]:
    """Of the last adjustment; empty if there was none."""
    explained = [item.explanation for item in billed if item.kind is LineKind.ADJUSTMENT and item.explanation]
    return explained[-1] if explained else {}


def _billed_quantity(billed: Sequence[LineItem]) -> Decimal:
    last: Any = _last_explanation(billed)
    if last:
        return Decimal(str(last["now"]["quantity"]))
    for item in billed:
        if item.explanation and "units" in item.explanation:
            return Decimal(str(item.explanation["units"]))
    return sum((item.quantity for item in billed), Decimal(0))


def _subject(kind: LineKind, meter: str, events: int, corrections: int) -> str:
    if kind is not LineKind.USAGE:
        return {LineKind.FEE: "fees", LineKind.DISCOUNT: "discounts"}.get(kind, "commitment")
    if events:
        return f"late {meter}"
    return f"corrected {meter}" if corrections else meter


def _reason(kind: LineKind, events: int, corrections: int) -> str:
    match kind:
        case LineKind.FEE:
            return "the plan, the seats or the end of the subscription changed after the fees were billed"
        case LineKind.USAGE:
            parts = [f"{events} late events"] if events else []
            parts += [f"{corrections} corrections"] if corrections else []
            return " and ".join(parts) or "the units that are billed changed, for instance because credits came back"
    return "it follows from what is due for fees and usage now"
