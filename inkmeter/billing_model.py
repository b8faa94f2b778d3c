"""A price is a value: a frozen, validated configuration that can rate usage. No I/O, no clock, no float.

A model yields lines; the total is their sum, so the explanation and the bill cannot differ.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from inkmeter.errors import InvalidConfig, Problem
from inkmeter.money import WIDE, Money, currency_digits, to_money
from inkmeter.periods import Proration
from inkmeter.usage import Rounding, Usage

MAX_PLACES: Final = 12
"""Digits after the point that a unit price may have; Stripe's `unit_amount_decimal` allows as many."""


def _exact(value: object) -> Decimal:
    if isinstance(value, Decimal):
        amount = value
    elif isinstance(value, str):
        try:
            amount = Decimal(value)
        except ArithmeticError:
            raise ValueError(f'"{value}" is not a decimal number; write it like "0.45"') from None
    elif isinstance(value, int) and not isinstance(value, bool):
        amount = Decimal(value)
    else:
        raise ValueError('write amounts as strings like "0.45", so that no digit is lost')
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError("an amount is a finite number")
    if exponent < -MAX_PLACES:
        raise ValueError(f"at most {MAX_PLACES} digits after the point")
    if amount.adjusted() >= 15:
        raise ValueError("at most 15 digits before the point")
    if amount < 0:
        raise ValueError("must not be negative")
    return amount


Rate = Annotated[
    Decimal,
    BeforeValidator(_exact),
    PlainSerializer(lambda rate: format(rate, "f"), return_type=str),
    WithJsonSchema({"type": "string", "format": "decimal", "pattern": r"^[0-9]{1,15}(\.[0-9]{1,12})?$"}),
]
"""An amount of money per something, in major units: not negative, at most 12 digits after the point.

Written as a string ("0.45"); floats are refused, since 0.1 is not a tenth in binary.
"""

Units = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
"""A whole number of units, seats or the like. Written as an integer; "100" and 100.0 are refused."""


class Config(BaseModel):
    """Base of everything configurable: frozen, closed to unknown keys, camelCase outside."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        validate_default=True,
        use_attribute_docstrings=True,
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
    )


def invalid(*problems: Problem) -> PydanticCustomError:
    """What a validator raises to name several places at once; their paths start at the value it was given."""
    message = "; ".join(f"{'.'.join(problem.path)}: {problem.message}" for problem in problems)
    return PydanticCustomError("invalid", "{message}", {"message": message, "problems": problems})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill: `quantity` × `unit_price`, in major units. Not rounded yet."""

    label: str
    quantity: Decimal
    unit_price: Decimal

    @property
    def amount(self) -> Decimal:
        """Exact, whatever the decimal context."""
        return WIDE.multiply(self.quantity, self.unit_price)


@dataclass(frozen=True, slots=True)
class StripeTier:
    """One tier of a Stripe price; `up_to` is inclusive, None is the last tier. Amounts are in major units."""

    up_to: int | None
    unit_price: Decimal = Decimal(0)
    flat_price: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class StripePackage:
    """Units that are sold together: Stripe's `transform_quantity`, with the price of one package."""

    size: int
    price: Decimal
    rounding: Rounding = Rounding.UP


@dataclass(frozen=True, slots=True)
class StripePriceSpec:
    """How Stripe would express a price: a licensed `unit_price` per period or seat, and `tiers` or a `package` over
    metered usage. Amounts are in major units.
    """

    unit_price: Decimal | None = None
    per_seat: bool = False
    tiers: tuple[StripeTier, ...] = ()
    tiers_mode: str = "graduated"
    package: StripePackage | None = None


class BillingModel(Config):
    """A kind of price: subclass it with a `code`, a docstring and fields, and say in `rate` what usage costs, in
    `fees` what a period costs whether anything is used or not, or both.

    A class that breaks this does not load (TypeError). `class Base(BillingModel, abstract=True)` is let off:
    it is for other models to build on.
    """

    code: ClassVar[str]
    """Unique kebab-case name, e.g. "per-document". It is stored with every price: never change it."""

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if abstract:
            return
        code = cls.__dict__.get("code")
        if not isinstance(code, str) or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", code):
            raise TypeError(f'{cls.__name__} needs a class attribute `code` in kebab-case, e.g. "per-document"')
        if not (cls.__doc__ or "").strip():
            raise TypeError(f"{cls.__name__} needs a docstring: it is what customers of the API read about the model")
        if cls.rate is BillingModel.rate and cls.fees is BillingModel.fees:
            raise TypeError(
                f"{cls.__name__} needs a method `rate(self, usage) -> Iterable[Line]` for what usage costs, "
                "or `fees(self, seats) -> Iterable[Line]` for what a period costs"
            )

    @classmethod
    def configure(cls, config: object) -> Self:
        """Make a price from a mapping, as JSON gives it. Raises InvalidConfig that names every wrong path.

        A float is wrong wherever it stands, whatever the field would make of it: 0.1 is not a tenth in binary.
        """
        problems = {path: Problem(path, "a float is not exact; write it as a string") for path in _float_paths(config)}
        try:
            model = cls.model_validate(dict(config) if isinstance(config, Mapping) else config)
        except ValidationError as error:
            others = [problem for e in error.errors() for problem in _problems(e)]
            raise InvalidConfig([*problems.values(), *(p for p in others if p.path not in problems)]) from None
        if problems:
            raise InvalidConfig([*problems.values()])
        return model

    def fees(self, seats: int) -> Iterable[Line]:
        """What a whole period costs, used or not: known before it begins, so it may be billed in advance, and by
        the part of a period. Pure, and never negative.
        """
        return ()

    def rate(self, usage: Usage) -> Iterable[Line]:
        """The lines that this usage costs, beside the fees. Pure: the same usage gives the same lines.

        A fee among them is due in full, however short the period.
        """
        return ()

    @classmethod
    def rates_usage(cls) -> bool:
        """Whether usage costs anything: a model that does not override `rate` has fees alone."""
        return cls.rate is not BillingModel.rate

    def seat_changes(self) -> Proration:
        """How fees follow a change of seats inside a period; NONE bills them from the next period."""
        return Proration.SECOND

    def allowance(self, seats: int) -> Decimal | None:
        """Units of the meter that the price includes in a period; None is without limit.

        Up to them usage costs nothing beside the fees: quota decisions rely on it.
        """
        return None

    def spend_bounds(self) -> tuple[Decimal | None, Decimal | None]:
        """The least and the most that a period costs, in major units; None is open.

        `price` adds the line that leads there: only it knows the sum to the last cent.
        """
        return None, None

    def stripe_price(self) -> StripePriceSpec | None:
        """How Stripe itself would express this price; None where it cannot, so that only we can rate it.

        Stripe must come to the same integer for every quantity. A plan with `stripeMode: METERED` asks.
        """
        return None


def _float_paths(value: object) -> Iterator[tuple[str, ...]]:
    """Where floats stand in a JSON value, in order."""
    stack: list[tuple[tuple[str, ...], object]] = [((), value)]
    while stack:
        path, inner = stack.pop()
        if isinstance(inner, float):
            yield path
        elif isinstance(inner, Mapping | list | tuple):
            children = inner.items() if isinstance(inner, Mapping) else enumerate(inner)
            stack.extend(reversed([((*path, str(key)), child) for key, child in children]))


def _problems(error: Any) -> Iterable[Problem]:
    path = tuple(str(part) for part in error["loc"])
    if error["type"] == "invalid":
        return [Problem(path + problem.path, problem.message) for problem in error["ctx"]["problems"]]
    message = str(error["msg"]).removeprefix("Value error, ")
    known = {"extra_forbidden": "no such setting", "missing": "is needed"}
    return [Problem(path, known.get(error["type"], message))]


@dataclass(frozen=True, slots=True)
class RatedLine:
    """A line with its money: rounded once, here and nowhere else."""

    label: str
    quantity: Decimal
    unit_price: Decimal
    total: Money


@dataclass(frozen=True, slots=True)
class RatedPrice:
    """What usage costs, line by line; `total` is the sum of the lines' integers."""

    lines: tuple[RatedLine, ...]
    total: Money


def price(model: BillingModel, usage: Usage, currency: str) -> RatedPrice:
    """Rate a whole period, fees and usage: each line is rounded once, half away from zero, and the total is their sum.

    The invoice, the explanation and the simulation all come from here. Raises what the model raises,
    UnknownCurrency, and OverflowError for an amount past 64 bits.
    """
    currency_digits(currency)
    with localcontext(WIDE):
        lines = [*model.fees(usage.seats), *model.rate(usage)]
        return bounded(rated(lines, currency), *model.spend_bounds())


def rated(lines: Iterable[Line], currency: str) -> RatedPrice:
    """Turn lines into money."""
    done = tuple(
        RatedLine(line.label, line.quantity, line.unit_price, to_money(line.amount, currency)) for line in lines
    )
    return RatedPrice(done, Money(sum(line.total.minor for line in done), currency))


def bounded(bill: RatedPrice, least: Decimal | Fraction | None, most: Decimal | Fraction | None) -> RatedPrice:
    """The same bill, with one more line if it costs less than `least` or more than `most`, in major units."""
    currency = bill.total.currency
    if least is not None and (lowest := to_money(least, currency)).minor > bill.total.minor:
        return _brought_to(lowest, "Minimum spend", bill)
    if most is not None and (highest := to_money(most, currency)).minor < bill.total.minor:
        return _brought_to(highest, "Maximum spend", bill)
    return bill


def _brought_to(total: Money, label: str, bill: RatedPrice) -> RatedPrice:
    difference = total - bill.total
    return RatedPrice((*bill.lines, RatedLine(label, Decimal(1), difference.amount, difference)), total)
