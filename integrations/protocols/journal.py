"""The journal in which every call that changes Stripe is noted before it is made."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class CallState(StrEnum):
    """SENT until an answer is noted; CONFIRMED and REFUSED are certain, UNKNOWN is not (no answer, 409, 5xx)."""

    SENT = "SENT"
    CONFIRMED = "CONFIRMED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class StripeCall:
    """A call that changes something. `parameters` is a hash of all that is asked for, alike for alike calls."""

    key: str
    method: str
    path: str
    parameters: str


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What came of a call: Stripe's id of the request and of the object, or its error."""

    state: CallState
    request_id: str | None = None
    object_id: str | None = None
    error: str | None = None


class Journal(Protocol):
    """One entry per idempotency key."""

    async def begin(self, call: StripeCall) -> None:
        """Note the call, durably, before it is sent; also each repeat of it.

        Raises PaymentRefused (`idempotency_error`) if the key stands for another call: a bug, found before it is sent.
        """

    async def settle(self, key: str, outcome: CallOutcome) -> None:
        """Note what came of it. What is confirmed once stays confirmed."""

    async def was_sent(self, key: str) -> bool:
        """Whether a call with that key has left before, whoever made it: then something may have come of it."""


class NoJournal:
    """Notes nothing: for a gateway without a database."""

    async def begin(self, call: StripeCall) -> None:
        """Nothing to note."""

    async def settle(self, key: str, outcome: CallOutcome) -> None:
        """Nothing to note."""

    async def was_sent(self, key: str) -> bool:
        """Nobody knows; the caller's `is_retry` decides."""
        return False
