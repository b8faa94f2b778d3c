"""Collecting everything that is wrong with an input, to say it all at once."""

import re
from decimal import Decimal
from typing import Final

from inkmeter.errors import InvalidInput, Problem
from inkmeter.money import CURRENCY_DIGITS, WIDE, collected_digits, currency_digits
from services.measures import MeterBook

_EMAIL: Final = re.compile(r"[^@\s<>,;\x00-\x1f]{1,64}@[^@\s<>,;\x00-\x1f]{1,190}")
_CODE: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
MAX_CODE: Final = 100
MAX_KEY: Final = 200
MAX_NAME: Final = 200


class Problems:
    """`check` what must hold, then `refuse` if something did not."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, message: str, *path: str) -> None:
        self._found.append(Problem(path, message))

    def check(self, holds: bool, message: str, *path: str) -> bool:
        if not holds:
            self.add(message, *path)
        return holds

    def check_text(self, text: str, *path: str, longest: int = MAX_NAME) -> bool:
        """Not blank, not longer than `longest` characters, and without control characters."""
        return self.check(
            bool(text.strip()) and len(text) <= longest and text.isprintable(),
            f"needs 1 to {longest} printable characters",
            *path,
        )

    def check_key(self, key: str, *path: str) -> bool:
        """An idempotency key or a reference."""
        return self.check_text(key, *path, longest=MAX_KEY)

    def check_email(self, email: str, *path: str) -> bool:
        return self.check(bool(_EMAIL.fullmatch(email)) and email.isprintable(), "is not an e-mail address", *path)

    def check_code(self, code: str, *path: str) -> bool:
        """A name for programs: it goes into keys and headers of other services, which take ASCII alone."""
        rule = f"needs 1 to {MAX_CODE} letters, digits, dots, hyphens or underscores"
        return self.check(bool(_CODE.fullmatch(code)), rule, *path)

    def check_meter(self, book: MeterBook, meter: str, *path: str) -> bool:
        """A meter that exists; `book` was made with `meters.find_meters` for it."""
        if meter in book:
            return True
        self.add(f"no such meter; there are {', '.join(sorted(book.meters))}", *path)
        return False

    def check_amount(
        self, amount: Decimal, currency: str, *path: str, least: int = 0, is_collected: bool = True
    ) -> bool:
        """Money of at least so many minor units, without more digits after the point than can be collected, or, if it
        is not, than the currency has.
        """
        if currency not in CURRENCY_DIGITS:  # which is a problem of its own
            return False
        digits = collected_digits(currency) if is_collected else currency_digits(currency)
        minor = amount.scaleb(digits, WIDE)
        size = " above zero" if least > 0 else " of zero or more" if least == 0 else ""
        rule = f"is an amount{size}, with at most {digits} digits after the point"
        return self.check(minor == minor.to_integral_value() and least <= minor < 2**63, rule, *path)

    @property
    def found(self) -> tuple[Problem, ...]:
        """Everything so far."""
        return tuple(self._found)

    def refuse(self) -> None:
        """Raise InvalidInput if anything was found."""
        if self._found:
            raise InvalidInput(self._found)
