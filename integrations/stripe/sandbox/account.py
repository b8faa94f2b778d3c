"""One Stripe account: its books, what it remembers about idempotency keys, and the faults it was asked for."""

from dataclasses import dataclass
from typing import Final, Literal

import httpx

from inkmeter.clock import Clock
from integrations.stripe.sandbox.books import AfterRetries, Books, Card, Object
from integrations.stripe.sandbox.deliveries import Deliveries
from integrations.stripe.sandbox.events import add_webhook_endpoint
from integrations.stripe.sandbox.failures import StripeFailure

FaultKind = Literal["500", "500_remembered", "429", "409", "timeout_before", "timeout_after"]

KEYS_LAST_S: Final = 24 * 3_600
"""Stripe's docs: a key may be removed once it is at least 24 hours old."""


@dataclass(slots=True)
class Fault:
    """The next `times` requests that match are answered with `kind`."""

    kind: FaultKind
    times: int = 1
    method: str | None = None
    path_prefix: str = "/v1/"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered first to an idempotency key, and to which request."""

    request: tuple[str, tuple[tuple[str, str], ...]]
    status: int
    body: Object
    at: int


class Account:
    """Everything that `reset` makes anew."""

    def __init__(
        self,
        clock: Clock,
        *,
        api_key: str,
        webhook_url: str | None,
        webhook_secret: str,
        http: httpx.AsyncClient | None,
        default_card: Card,
        after_retries: AfterRetries,
    ) -> None:
        self.clock, self.api_key = clock, api_key
        self.deliveries = Deliveries(http, webhook_url, webhook_secret)
        self._webhook_url, self._webhook_secret = webhook_url, webhook_secret
        self._default_card, self._after_retries = default_card, after_retries
        self.reset()

    def reset(self) -> None:
        """Start with empty books; the webhook endpoint that the sandbox was started with stays."""
        self.deliveries.forget()
        self.faults: list[Fault] = []
        self._answers: dict[str, Answer] = {}
        self.books = Books(
            self.clock,
            lambda event: self.deliveries.enqueue(self.books, event),
            default_card=self._default_card,
            after_retries=self._after_retries,
            on_thin_event=lambda event: self.deliveries.enqueue_thin(self.books, event),
        )
        if self._webhook_url:
            add_webhook_endpoint(self.books, self._webhook_url, self._webhook_secret, ["*"])

    def take_fault(self, method: str, path: str) -> FaultKind | None:
        """The fault that this request meets, used up by it."""
        for fault in self.faults:
            if path.startswith(fault.path_prefix) and fault.method in (None, method):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault.kind
        return None

    def remembered(self, key: str, path: str, form: list[tuple[str, str]]) -> Answer | None:
        """The first answer to the key. Raises StripeFailure when the key was used for another request."""
        answer = self._answers.get(key)
        if answer is None or answer.at + KEYS_LAST_S < self.books.now():
            return None
        if answer.request[0] != path:
            reason = f"for the same endpoint they were first used for ('{answer.request[0]}', not '{path}')"
        elif answer.request[1] != tuple(form):
            reason = "with the same parameters they were first used with"
        else:
            return answer
        raise StripeFailure(
            f"Keys for idempotent requests can only be used {reason}. Try another key than '{key}'.",
            type="idempotency_error",
        )

    def remember(self, key: str, path: str, form: list[tuple[str, str]], status: int, body: Object) -> None:
        """Keep the answer of a request that was carried out, a failed one included."""
        self._answers[key] = Answer((path, tuple(form)), status, body, self.books.now())
