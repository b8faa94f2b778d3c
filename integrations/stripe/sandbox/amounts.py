"""Amounts that Stripe refuses for their currency."""

from typing import Final

from integrations.stripe.sandbox.failures import StripeFailure

STEPS: Final = {**dict.fromkeys(("bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"), 10), "isk": 100}
"""Stripe's docs on currencies: the last of three digits is 0, and ISK has no fractions though it is told in hundredths.

They say so of payments and refunds. That an invoice item is refused, too, is our assumption, on the safe side: what it
comes to is charged in the end. Stripe's words for the refusal are not known.
"""


def check_step(amount: int, currency: str, param: str) -> None:
    """Raises StripeFailure for an amount that cannot be charged in its currency."""
    step = STEPS.get(currency, 1)
    if amount % step:
        raise StripeFailure(f"Invalid amount. In {currency} it must be divisible by {step}.", param=param)
