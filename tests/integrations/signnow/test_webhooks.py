"""Signatures against known answers, and what is let in."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkmeter.errors import WebhookRejected
from integrations.signnow.webhooks import sign, verify

DOCUMENT = "0000000000000000000000000000000000000001"
INVITE = "00000000000000000000000000000000000000aa"
COMPLETE = (
    b'{"meta":{"timestamp":1788517889,"event":"user.document.complete"},'
    b'"content":{"document_id":"0000000000000000000000000000000000000001"}}'
)


def callback(event: str, **content: str) -> bytes:
    return json.dumps({"meta": {"timestamp": 1788517889, "event": event}, "content": content}).encode()


def test_the_signature_is_base64_of_the_raw_digest() -> None:
    assert sign(COMPLETE, "whsec_test") == "b6gPAC+HxOYKC2SBKteh0iYZi8MNwcVXWXgcPLVwCx8="


def test_a_signed_callback_is_read() -> None:
    callback = verify(COMPLETE, "b6gPAC+HxOYKC2SBKteh0iYZi8MNwcVXWXgcPLVwCx8=", "whsec_test")
    assert callback.key == f"complete:{DOCUMENT}"
    assert callback.event == "user.document.complete"
    assert callback.document_id == DOCUMENT
    assert callback.invite_id is None
    assert callback.occurred_at == datetime.fromtimestamp(1788517889, UTC)


@pytest.mark.parametrize("signature", [None, "", "b6gPAC", "é", "\ud800", sign(COMPLETE, "another")])
def test_a_wrong_or_missing_signature_is_rejected(signature: str | None) -> None:
    with pytest.raises(WebhookRejected):
        verify(COMPLETE, signature, "whsec_test")


@pytest.mark.parametrize("secret", [None, ""])
def test_without_a_secret_the_door_is_closed(secret: str | None) -> None:
    with pytest.raises(WebhookRejected, match="closed"):
        verify(COMPLETE, sign(COMPLETE, ""), secret)


@given(st.binary(max_size=200), st.text(min_size=1, max_size=20))
def test_only_the_exact_bytes_pass(payload: bytes, secret: str) -> None:
    with pytest.raises(WebhookRejected, match="does not fit"):
        verify(payload + b" ", sign(payload, secret), secret)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"meta": []}',
        b'{"meta": {"event": "user.document.open"}}',
        b'{"meta": {"event": 7, "timestamp": 1}}',
        b'{"meta": {"event": "user.document.open", "timestamp": 1e300}}',
        b'{"meta": {"event": "user.document.open", "timestamp": 1}, "content": "text"}',
        b'{"meta": {"event": "user.document.open", "timestamp": 1}, "content": {"document_id": {}}}',
    ],
)
def test_a_signed_body_without_sense_is_rejected(payload: bytes) -> None:
    with pytest.raises(WebhookRejected, match="cannot be read"):
        verify(payload, sign(payload, "s"), "s")


@pytest.mark.parametrize("moment", [b"null", b"[]", b'"noon"', b"1e400", b"99999999999999"])
def test_a_time_that_is_none_is_named(moment: bytes) -> None:
    payload = b'{"meta": {"event": "user.document.open", "timestamp": ' + moment + b"}}"
    with pytest.raises(WebhookRejected, match="timestamp is not a number of seconds since 1970"):
        verify(payload, sign(payload, "s"), "s")


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ("user.document.fieldinvite.create", f"created:{INVITE}"),
        ("user.document.fieldinvite.sent", f"sent:{INVITE}"),
        ("user.document.fieldinvite.signed", f"signed:{INVITE}"),
        ("document.fieldinvite.signed", f"signed:{INVITE}"),
        ("user.document.freeform.signed", f"signed:{INVITE}"),
        ("document.complete", f"complete:{DOCUMENT}"),
    ],
)
def test_the_same_fact_has_the_same_key(event: str, key: str) -> None:
    payload = callback(event, document_id=DOCUMENT, invite_id=INVITE)
    other = callback(event, document_id=DOCUMENT, invite_id=INVITE, signer="ann@x.test")
    assert verify(payload, sign(payload, "s"), "s").key == key
    assert verify(other, sign(other, "s"), "s").key == key


def test_other_events_are_known_by_their_body() -> None:
    first, second = (callback("user.document.update", document_id=DOCUMENT, at=at) for at in "12")
    keys = [verify(body, sign(body, "s"), "s").key for body in (first, first, second)]
    assert keys[0] == keys[1] != keys[2]
    assert keys[0].startswith("user.document.update:")


def test_older_shapes_are_read_too() -> None:
    payload = json.dumps({"event": "document.complete", "timestamp": "5", "content": {"documentId": DOCUMENT}}).encode()
    callback = verify(payload, sign(payload, "s"), "s")
    assert (callback.key, callback.occurred_at.timestamp()) == (f"complete:{DOCUMENT}", 5)
