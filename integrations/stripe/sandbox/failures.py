"""Stripe's error envelope: `{"error": {"type", "code", "param", "message"}}`."""

from typing import Any


class StripeFailure(Exception):
    """An answer that is not a success. `status` is the HTTP status, the rest goes into the envelope."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        decline_code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        details = {"type": type, "code": code, "param": param, "decline_code": decline_code, "message": message}
        self.body: dict[str, Any] = {"error": {name: value for name, value in details.items() if value is not None}}


def missing(kind: str, object_id: str, param: str) -> StripeFailure:
    """What Stripe answers about an id that it does not know: 404 in a path, 400 in a parameter."""
    return StripeFailure(
        f"No such {kind}: '{object_id}'",
        status=404 if param == "id" else 400,
        code="resource_missing",
        param=param,
    )


def declined() -> StripeFailure:
    """The answer to a payment that the card's bank refused."""
    return StripeFailure(
        "Your card was declined.",
        status=402,
        type="card_error",
        code="card_declined",
        decline_code="generic_decline",
    )
