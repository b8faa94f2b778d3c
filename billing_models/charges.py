"""What a quantity costs: at one price, by the pack, in tiers, or a percentage of it.

Both metered usage and overage use it.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from billing_models.tiers import Tiers, TiersMode, graduated, volume
from inkmeter import (
    WIDE,
    Config,
    Line,
    Problem,
    Rate,
    Rounding,
    StripePackage,
    StripePriceSpec,
    StripeTier,
    Units,
    invalid,
    packs,
)


class Pack(Config):
    """Units that are sold together."""

    size: Annotated[Units, Field(gt=0)]
    """Units in one pack."""
    price: Rate
    """Price of one pack."""
    rounding: Rounding = Rounding.UP
    """UP bills a pack that is begun; DOWN bills only full ones."""


class Charge(Config):
    """Exactly one of `unitPrice`, `pack`, `tiers` and `percentage`."""

    unit_price: Rate | None = None
    """Price of one unit."""
    pack: Pack | None = None
    """Packs instead of single units."""
    tiers: Tiers | None = None
    """Tiers instead of one price."""
    tiers_mode: TiersMode = TiersMode.GRADUATED
    """GRADUATED: each unit costs what its own tier says. VOLUME: the total picks one tier for all units."""
    percentage: Rate | None = None
    """Part of a quantity that is itself an amount of money, in major units: "2.9" takes 2.9 % of it."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = {"unitPrice": self.unit_price, "pack": self.pack, "tiers": self.tiers, "percentage": self.percentage}
        chosen = [name for name, value in given.items() if value is not None]
        if len(chosen) != 1:
            message = "exactly one of unitPrice, pack, tiers and percentage is needed"
            raise invalid(*(Problem((name,), message) for name in chosen or given))
        return self

    def lines(self, quantity: Decimal, label: str) -> Iterator[Line]:
        """The lines for a quantity; nothing for zero."""
        if self.tiers:
            split = volume if self.tiers_mode is TiersMode.VOLUME else graduated
            yield from split(self.tiers, quantity, label)
        elif self.pack:
            if count := packs(quantity, self.pack.size, self.pack.rounding):
                yield Line(f"{label}, in packs of {self.pack.size:,}", Decimal(count), self.pack.price)
        elif self.percentage is not None and quantity:
            yield Line(f"{label}, {self.percentage:f} %", quantity, self.percentage.scaleb(-2, WIDE))
        elif self.unit_price is not None and quantity:
            yield Line(label, quantity, self.unit_price)

    def at_stripe(self, included: int, fee: Decimal | None = None) -> StripePriceSpec | None:
        """How Stripe would charge it after `included` free units, beside a fee; None where it cannot.

        Stripe has no tiers over packs, so no packs after free units, and no percentages. It picks the volume tier by
        the total, included units and all, where we pick it by what is billed. And we do not rely on what it does with
        a flat fee in the very first tier when nothing is used.
        """
        is_volume = self.tiers is not None and self.tiers_mode is TiersMode.VOLUME
        if self.pack and not included:
            return StripePriceSpec(fee, package=StripePackage(self.pack.size, self.pack.price, self.pack.rounding))
        if self.pack or self.percentage is not None or (is_volume and included):
            return None
        tiers = [StripeTier(included)] if included else []
        if self.unit_price is not None:
            tiers.append(StripeTier(None, self.unit_price))
        for tier in self.tiers or ():
            up_to = None if tier.up_to is None else tier.up_to + included
            tiers.append(StripeTier(up_to, tier.unit_price, tier.flat_fee))
        if tiers[0].flat_price:
            return None
        return StripePriceSpec(fee, tiers=tuple(tiers), tiers_mode="volume" if is_volume else "graduated")
