"""Tiers of units with a price each, and the two ways to read them: graduated and volume.

A tier ends at `upTo`, inclusive, and starts where the one before it ended: no fraction falls between two.
"""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from inkmeter import WIDE, Config, Line, Problem, Rate, Units, invalid

MOST_TIERS: Final = 100


class TiersMode(StrEnum):
    """Graduated: each unit costs what its own tier says. Volume: the total picks one tier for all units."""

    GRADUATED = "GRADUATED"
    VOLUME = "VOLUME"


class Tier(Config):
    """A span of units with one price."""

    up_to: Annotated[Units, Field(gt=0)] | None = None
    """The last unit of the tier, inclusive. Left out in the last tier, which is open."""
    unit_price: Rate = Decimal(0)
    """Price of one unit in this tier."""
    flat_fee: Rate = Decimal(0)
    """Charged once when the tier is reached, on top of the units."""


def _in_order(tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
    if not tiers:
        raise ValueError("at least one tier is needed")
    problems, bound = [], 0
    for index, tier in enumerate(tiers):
        here, is_last = (str(index), "upTo"), index == len(tiers) - 1
        if is_last and tier.up_to is not None:
            problems.append(Problem(here, "must be left out: the last tier is open"))
        elif not is_last and tier.up_to is None:
            problems.append(Problem(here, "is needed: only the last tier is open"))
        elif not is_last and tier.up_to is not None and tier.up_to <= bound:
            problems.append(Problem(here, f"must be more than the {bound:,} of the tier before"))
        bound = tier.up_to or bound
    if problems:
        raise invalid(*problems)
    return tiers


Tiers = Annotated[
    tuple[Tier, ...],
    # min_length would also complain of a list whose only tier is wrong
    Field(max_length=MOST_TIERS, json_schema_extra={"minItems": 1}),
    AfterValidator(_in_order),
]
"""At least one tier, in ascending order; the last is open."""


def graduated(tiers: tuple[Tier, ...], quantity: Decimal, label: str) -> Iterator[Line]:
    """Lines for the part of the quantity in each tier; nothing for zero."""
    start = 0
    for tier in tiers:
        if quantity <= start:
            return
        end = quantity if tier.up_to is None else min(quantity, Decimal(tier.up_to))
        yield from _lines(tier, WIDE.subtract(end, start), label + _span(start, tier.up_to))
        start = tier.up_to or start


def volume(tiers: tuple[Tier, ...], quantity: Decimal, label: str) -> Iterator[Line]:
    """Lines for the whole quantity at the price of the tier that it ends in; nothing for zero."""
    start = 0
    for tier in tiers:
        if quantity > 0 and (tier.up_to is None or quantity <= tier.up_to):
            yield from _lines(tier, quantity, label + _span(start, tier.up_to))
            return
        start = tier.up_to or start


def _lines(tier: Tier, quantity: Decimal, label: str) -> Iterator[Line]:
    yield Line(label, quantity, tier.unit_price)
    if tier.flat_fee:
        yield Line(f"{label}: flat fee", Decimal(1), tier.flat_fee)


def _span(start: int, up_to: int | None) -> str:
    words = [f"over {start:,}"] if start else []
    words += [f"up to {up_to:,}"] if up_to is not None else []
    return f", tier {' '.join(words)}" if words else ""
