"""SignNow's callbacks: signing them as SignNow does, and letting in only what is signed with our secret.

The header holds base64 of the raw HMAC-SHA256 digest (not of its hex form) over the raw body. Nothing in it
says when: a delivery can be replayed for ever, so the semantic key is what makes it count once.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from inkmeter.errors import WebhookRejected
from integrations.protocols import SignNowCallback

SIGNATURE_HEADER: Final = "x-signnow-signature"

_FACTS: Final = {
    "document.fieldinvite.create": "created",
    "document.fieldinvite.sent": "sent",
    "document.fieldinvite.signed": "signed",
    "document.fieldinvite.decline": "declined",
    "document.freeform.create": "created",
    "document.freeform.signed": "signed",
}
"""Events that can be true only once of an invite."""

_ONCE: Final = {
    "document.create": "created-document",
    "document.complete": "complete",
    "document.delete": "deleted-document",
    "document_group.create": "created-group",
    "document_group.complete": "complete-group",
    "document_group.delete": "deleted-group",
}
"""Events that can be true only once of a document or a group."""


def sign(payload: bytes, secret: str) -> str:
    """The signature that SignNow sends with this body."""
    return base64.b64encode(hmac.digest(secret.encode(), payload, hashlib.sha256)).decode()


def verify(payload: bytes, signature: str | None, secret: str | None) -> SignNowCallback:
    """Check a callback's signature and read it. Raises WebhookRejected, also where there is no secret."""
    if not secret:
        raise WebhookRejected("SignNow callbacks are closed: no secret is configured")
    if not signature:
        raise WebhookRejected(f"the callback has no {SIGNATURE_HEADER}")
    if not hmac.compare_digest(signature.encode(errors="replace"), sign(payload, secret).encode()):
        raise WebhookRejected("the callback's signature does not fit its body")
    return read(payload)


def without_token(payload: bytes) -> bytes:
    """The body without an access token. One that carries none, or is no JSON, stays as it is, to the byte."""
    try:
        body = json.loads(payload)
    except ValueError:
        return payload
    meta = body.get("meta") if isinstance(body, dict) else None
    if not isinstance(meta, dict) or "access_token" not in meta:
        return payload
    del meta["access_token"]
    return json.dumps(body, separators=(",", ":")).encode()


def read(payload: bytes) -> SignNowCallback:
    """Read a callback whose origin is certain. Raises WebhookRejected."""
    try:
        return _read(payload)
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise WebhookRejected(f"the callback cannot be read: {error}") from None


def _read(payload: bytes) -> SignNowCallback:
    body = _mapping(json.loads(payload), "the body")
    meta, content = _mapping(body.get("meta") or {}, "meta"), _mapping(body.get("content") or {}, "content")
    event = _text(meta, "event") or _text(body, "event")
    if event is None:
        raise ValueError("no event")
    document_id = _text(content, "document_id") or _text(content, "documentId")
    group_id = _text(content, "document_group_id") or _text(content, "documentGroupId")
    invite_id = _text(content, "invite_id") or _text(content, "inviteId")
    return SignNowCallback(
        key=_key(event, document_id or group_id, invite_id, meta, content),
        event=event,
        document_id=document_id,
        invite_id=invite_id,
        occurred_at=_moment(meta.get("timestamp", body.get("timestamp"))),
        body=without_token(payload),
    )


def _key(
    event: str, about: str | None, invite_id: str | None, meta: Mapping[str, Any], content: Mapping[str, Any]
) -> str:
    """Facts have names. Other events are known by what they say and when, and not by the body as it was sent: two
    subscriptions, and SignNow's log of callbacks, have one fact in several bodies.
    """
    subject = event.removeprefix("user.")
    if subject in _ONCE and about:
        return f"{_ONCE[subject]}:{about}"
    if subject in _FACTS and invite_id:
        return f"{_FACTS[subject]}:{invite_id}"
    said = json.dumps([subject, meta.get("timestamp"), meta.get("initiator_id"), content], sort_keys=True)
    return f"{event}:{hashlib.sha256(said.encode()).hexdigest()}"


def _moment(seconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        raise ValueError("timestamp is not a number of seconds since 1970") from None


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is not an object")
    return value


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{key} is not a string")
    return value or None
