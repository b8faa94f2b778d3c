"""Webhooks: only what is authentic, recent and readable comes in."""

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkmeter.errors import WebhookRejected
from integrations.stripe.webhooks import verify

SECRET = "whsec_test"
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "invoice.paid",
    "api_version": "2026-10-28.endive",
    "created": 1_795_334_799,
    "data": {"object": {"id": "in_1", "object": "invoice", "status": "paid"}},
}
PAYLOAD = json.dumps(EVENT).encode()


def sign(payload: bytes, secret: str = SECRET, at: float | None = None) -> str:
    """The header after Stripe's docs: HMAC-SHA256 over the time, a dot and the body."""
    signed_at = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{signed_at}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={signed_at},v1={digest}"


def test_an_authentic_event_says_what_it_is_about() -> None:
    event = verify(PAYLOAD, sign(PAYLOAD), [SECRET])
    assert (event.id, event.type, event.api_version) == ("evt_1", "invoice.paid", "2026-10-28.endive")
    assert (event.object_type, event.object_id) == ("invoice", "in_1")
    assert event.created_at == datetime.fromtimestamp(1_795_334_799, UTC)


def test_a_known_vector_is_accepted() -> None:
    """Computed with `openssl dgst -sha256 -hmac`, so that the helper above is not its own judge."""
    body = b'{"id":"evt_1","object":"event","type":"a.b","created":1,"data":{"object":{"object":"x"}}}'
    digest = "31f7ea9b7bb29967d54a4e430b67f090a390908e989000b813a7b12471e692f3"
    event = verify(body, f"t=1700000000,v1={digest}", [SECRET], tolerance_s=10**10)
    assert (event.object_type, event.object_id, event.api_version) == ("x", None, None)


def test_either_secret_will_do_while_one_is_rolled() -> None:
    assert verify(PAYLOAD, sign(PAYLOAD, "whsec_new"), [SECRET, "whsec_new"]).id == "evt_1"
    both = f"{sign(PAYLOAD, 'whsec_old')},{sign(PAYLOAD).partition(',')[2]}"
    assert verify(PAYLOAD, both, [SECRET]).id == "evt_1"


@pytest.mark.parametrize("secrets", [[], [""], ["  "]])
def test_without_a_secret_nothing_is_trusted(secrets: list[str]) -> None:
    with pytest.raises(WebhookRejected, match="no webhook secret"):
        verify(PAYLOAD, sign(PAYLOAD, ""), secrets)


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "nonsense",
        "t=,v1=",
        "v1=00",
        "t=1,v1=é",
        f"t={int(time.time())}",
        sign(PAYLOAD, "whsec_other"),
        sign(PAYLOAD + b" "),
        sign(PAYLOAD).replace("v1=", "v0="),
    ],
    ids=["none", "empty", "words", "blank", "no time", "not ascii", "time alone", "secret", "payload", "scheme"],
)
def test_a_wrong_signature_is_rejected(signature: str | None) -> None:
    with pytest.raises(WebhookRejected, match="signature"):
        verify(PAYLOAD, signature, [SECRET])


@pytest.mark.parametrize("seconds", [-301, -86_400, 310, 86_400])
def test_a_time_outside_the_tolerance_is_rejected(seconds: int) -> None:
    with pytest.raises(WebhookRejected, match="too long ago, or in the future"):
        verify(PAYLOAD, sign(PAYLOAD, at=time.time() + seconds), [SECRET])


def test_the_tolerance_can_be_chosen_and_zero_does_not_switch_it_off() -> None:
    assert verify(PAYLOAD, sign(PAYLOAD, at=time.time() - 1000), [SECRET], tolerance_s=2000).id == "evt_1"
    with pytest.raises(WebhookRejected):
        verify(PAYLOAD, sign(PAYLOAD, at=time.time() - 1000), [SECRET], tolerance_s=0)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        json.dumps({**EVENT, "object": "v2.core.event", "data": {}}).encode(),
        json.dumps({"object": "v2.core.event", "id": "evt_2", "type": "x", "created": "yesterday"}).encode(),
        json.dumps({"object": "v2.core.event", "id": "", "type": "x", "created": "2026-03-10T09:00:00Z"}).encode(),
        json.dumps({**EVENT, "id": ""}).encode(),
        json.dumps({**EVENT, "id": 7}).encode(),
        json.dumps({name: value for name, value in EVENT.items() if name != "id"}).encode(),
        json.dumps({**EVENT, "created": "yesterday"}).encode(),
        json.dumps({**EVENT, "created": 10**20}).encode(),
        json.dumps({**EVENT, "data": {}}).encode(),
        json.dumps({**EVENT, "data": {"object": {"id": "in_1"}}}).encode(),
    ],
)
def test_a_signed_body_that_is_no_event_is_rejected(payload: bytes) -> None:
    with pytest.raises(WebhookRejected):
        verify(payload, sign(payload), [SECRET])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
def test_no_json_makes_anything_but_a_rejection(value: object) -> None:
    payload = json.dumps({**EVENT, "data": value}).encode()
    with pytest.raises(WebhookRejected):
        verify(payload, sign(payload), [SECRET])


@given(st.text(max_size=30))
def test_no_header_makes_anything_but_a_rejection(header: str) -> None:
    with pytest.raises(WebhookRejected):
        verify(PAYLOAD, header, [SECRET])
