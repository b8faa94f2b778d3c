"""Stripe's webhooks: authentic, recent and readable, or rejected."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import stripe

from inkmeter.clock import SystemClock
from inkmeter.errors import WebhookRejected
from integrations.protocols import StripeEvent


def verify(payload: bytes, signature: str | None, secrets: Sequence[str], *, tolerance_s: int = 300) -> StripeEvent:
    """Check the `Stripe-Signature` header over the body exactly as it was sent, and say what it is about.

    Any of the `secrets` (whsec_…) may have signed it, so that a secret can be rolled, and that thin events may come
    from a destination of their own; with none, every delivery is rejected. The header's time may differ from the
    machine's by `tolerance_s` seconds in either direction. Raises WebhookRejected.
    """
    event = _signed_event(payload, signature, [secret for secret in secrets if secret.strip()])
    signed_at = _signed_at(signature or "")
    if abs(SystemClock().now().timestamp() - signed_at) > tolerance_s:
        raise WebhookRejected("the webhook was signed too long ago, or in the future")
    return read_event(event)


def _signed_event(payload: bytes, signature: str | None, secrets: Sequence[str]) -> Any:
    if not secrets:
        raise WebhookRejected("no webhook secret is configured, so nothing can be trusted")
    if signature is not None and not signature.isascii():  # the package cannot compare such strings
        raise WebhookRejected("the webhook's signature is not ASCII")
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise WebhookRejected("the webhook's body is not UTF-8") from None
    for secret in secrets:
        try:
            # Without the package's tolerance, which looks only into the past: the caller checks both directions.
            stripe.WebhookSignature.verify_header(text, signature, secret, tolerance=0)
        except stripe.SignatureVerificationError:
            continue
        try:
            return orjson.loads(text)
        except ValueError:
            raise WebhookRejected("the webhook's body is not JSON") from None
    raise WebhookRejected("the webhook's signature fits none of the configured secrets")


def _signed_at(signature: str) -> int:
    """The header's time; the package has read the same first `t=` before, so it is there and is a number."""
    return next(int(part.split("=", 2)[1]) for part in signature.split(",") if part.startswith("t="))


def read_event(event: Any) -> StripeEvent:
    """What an event is about, in the shape of any API version: of API v1 with its object, or thin. Raises
    WebhookRejected.
    """
    match event:
        case {
            "id": str(event_id),
            "type": str(kind),
            "created": int(created),
            "data": {"object": {"object": str(object_type), **rest}},
        } if event_id and kind:
            # What is paid is looked at as a whole.
            object_id = rest.get("invoice" if object_type == "invoice_payment" else "id")
            api_version = event.get("api_version")
            return StripeEvent(
                id=event_id,
                type=kind,
                api_version=api_version if isinstance(api_version, str) else None,
                object_type=object_type,
                object_id=object_id if isinstance(object_id, str) else None,
                created_at=_moment(created),
            )
        case {"object": "v2.core.event", "id": str(event_id), "type": str(kind), "created": str(created)} if (
            event_id and kind
        ):
            return _thin_event(event_id, kind, created, event.get("related_object"))
    raise WebhookRejected("the webhook's body lacks an event's id, type, time or object")


def _thin_event(event_id: str, kind: str, created: str, related: object) -> StripeEvent:
    match related:
        case {"id": str(object_id), "type": str(object_type)}:
            pass
        case _:
            object_id, object_type = event_id, "v2.core.event"
    try:
        created_at = datetime.fromisoformat(created).astimezone(UTC)
    except (ValueError, OverflowError):
        raise WebhookRejected("the event's time is not a time") from None
    return StripeEvent(event_id, kind, None, object_type, object_id, created_at)


def _moment(timestamp: int) -> datetime:
    try:
        return datetime.fromtimestamp(timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        raise WebhookRejected("the event's time is out of range") from None
