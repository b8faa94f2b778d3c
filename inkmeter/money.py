"""Money: an integer of minor units with its currency, and the one door through which a Decimal becomes money.

Digits after ISO 4217 (List One). A currency that is not in the table is refused rather than guessed. Stripe
has its own list of zero-decimal currencies; it agrees with this table for the currencies here, save the few
that `STRIPE_DIFFERS` names: Stripe wants those in other units, so they are refused until someone needs them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Final, Self

_TWO = """AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY
COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR
JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR
NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SYP SZL THB TJS TMT TOP
TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW"""
_ZERO = "BIF CLP DJF GNF JPY KMF KRW PYG RWF VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"

CURRENCY_DIGITS: Final[dict[str, int]] = {
    **dict.fromkeys(_TWO.split(), 2),
    **dict.fromkeys(_ZERO.split(), 0),
    **dict.fromkeys(_THREE.split(), 3),
}

STRIPE_DIFFERS: Final = frozenset({"ISK", "UGX", "MGA"})
"""Zero- or five-unit currencies that Stripe wants in other minor units than ISO says."""

COLLECTED_STEP: Final[dict[str, int]] = dict.fromkeys(_THREE.split(), 10)
"""Minor units of which what is collected is a multiple, where that is not one. Stripe's docs on currencies: the last of
three digits must be 0.
"""

_LARGEST = 2**63 - 1
"""Amounts are stored as signed 64-bit integers."""

WIDE: Final = Context(prec=100)
"""Arithmetic with room for a 64-bit quantity times a price of 27 digits; the usual 28 digits would round
it.
"""


class UnknownCurrency(ValueError):
    """The code is not in the table of currencies."""


def currency_digits(currency: str) -> int:
    """Digits after the point, e.g. 2 for USD, 0 for JPY, 3 for KWD. Raises UnknownCurrency."""
    try:
        return CURRENCY_DIGITS[currency]
    except KeyError:
        raise UnknownCurrency(f"unknown currency {currency!r}; use an ISO 4217 code such as USD") from None


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount: `Money(1250, "USD")` is 12.50 US dollars. Adding two currencies is an error, not a
    guess.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError(f"minor units are an int, not {type(self.minor).__name__}")
        if abs(self.minor) > _LARGEST:
            raise OverflowError("amount is larger than 64 bits")
        currency_digits(self.currency)

    @classmethod
    def zero(cls, currency: str) -> Self:
        return cls(0, currency)

    @classmethod
    def sum(cls, amounts: "Iterable[Money]", currency: str) -> "Money":
        """The sum of amounts that must all be in `currency`; zero for none."""
        total = cls(0, currency)
        for amount in amounts:
            total += amount
        return total

    @property
    def amount(self) -> Decimal:
        """In major units, with exactly the currency's digits: Decimal("12.50")."""
        return Decimal(self.minor).scaleb(-currency_digits(self.currency))

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def _same(self, other: "Money") -> int:
        if not isinstance(other, Money):
            raise TypeError(f"money and {type(other).__name__} do not add up")
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")
        return other.minor

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"


def collected_digits(currency: str) -> int:
    """Digits after the point that what is collected may have: 2 for KWD, whose third is always 0."""
    return currency_digits(currency) - (currency in COLLECTED_STEP)


def round_down(minor: int, currency: str) -> int:
    """The largest amount in minor units up to this one that can be collected."""
    step = COLLECTED_STEP.get(currency, 1)
    return minor // step * step


def to_money(amount: Decimal | Fraction, currency: str) -> Money:
    """Round an exact amount of major units to money that can be collected, half away from zero: 0.125 USD is 0.13,
    -0.125 USD is -0.13; 0.125 KWD is 0.130.

    The only place where money is rounded. A fraction is for what no decimal holds, such as a third of a fee.
    Raises TypeError for a float, UnknownCurrency, OverflowError past 64 bits, ValueError for NaN and infinity.
    """
    return _rounded(amount, currency, collected_digits(currency))


def booked_money(amount: Decimal, currency: str) -> Money:
    """The same for what somebody else charges, with all of the currency's digits."""
    return _rounded(amount, currency, currency_digits(currency))


def _rounded(amount: Decimal | Fraction, currency: str, digits: int) -> Money:
    if isinstance(amount, Fraction):
        return _scaled(_from_fraction(amount, digits), currency, digits)
    if not isinstance(amount, Decimal):
        raise TypeError(f"money is made from a Decimal, not {type(amount).__name__}")
    if not amount.is_finite():
        raise ValueError("money is a finite amount")
    if amount and amount.adjusted() > 19:
        raise OverflowError("amount is larger than 64 bits")
    return _scaled(int(amount.scaleb(digits, WIDE).quantize(Decimal(1), ROUND_HALF_UP, WIDE)), currency, digits)


def _from_fraction(amount: Fraction, digits: int) -> int:
    exact = abs(amount) * int(10**digits)
    rounded = (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
    return rounded if amount > 0 else -rounded


def _scaled(rounded: int, currency: str, digits: int) -> Money:
    return Money(rounded * 10 ** (currency_digits(currency) - digits), currency)
