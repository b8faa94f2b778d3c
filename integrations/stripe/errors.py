"""What Stripe's package raises, in the words of `inkmeter.errors`."""

from collections.abc import Iterator
from contextlib import contextmanager

import stripe

from inkmeter.errors import InkmeterError, PaymentRefused, UpstreamRateLimited, UpstreamTimeout


class RememberedFailure(UpstreamTimeout):
    """Stripe repeated a failure that it remembers: for a day the idempotency key gets no other answer.

    Stripe's docs on idempotent requests: the first answer is kept, those with status 500 included.
    """


@contextmanager
def inkmeter_errors() -> Iterator[None]:
    """Turn whatever the package raises inside into an InkmeterError."""
    try:
        yield
    except stripe.StripeError as error:
        raise translated(error) from error


def translated(error: stripe.StripeError) -> InkmeterError:
    """The error of ours that says the same.

    A 409 means that another request with the same key is still running, so it counts as an unknown outcome,
    like no answer at all, a 5xx or an answer that is not JSON.
    """
    status = error.http_status
    message = error.user_message or str(error)
    if isinstance(error, stripe.IdempotencyError):
        return PaymentRefused(message, upstream_code="idempotency_error")
    if isinstance(error, stripe.RateLimitError):
        return UpstreamRateLimited(message, retry_after=_seconds(error))
    if status is None or status < 400 or status == 409 or status >= 500:
        replayed = (error.headers or {}).get("idempotent-replayed") == "true"
        unknown = RememberedFailure if replayed else UpstreamTimeout
        return unknown(f"Stripe gave no usable answer: {message}")
    code = (error.error.code or error.error.type) if error.error else None
    return PaymentRefused(message, upstream_code=code or f"http_{status}")


def _seconds(error: stripe.StripeError) -> float | None:
    value = (error.headers or {}).get("retry-after", "")
    return float(value) if value.isdigit() else None
