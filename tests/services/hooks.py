"""Deliveries of Stripe that are made by hand: signed, and about whatever a test likes."""

import hashlib
import hmac
import json
import time
from typing import Any

from services import timetable
from storage.webhooks import WebhookEvent
from tests.services.steps import Json
from tests.world import SECRET, World


async def post_event(world: World, body: Json) -> int:
    """Send a body, signed now, to the route; its status."""
    payload = json.dumps(body).encode()
    at = int(time.time())
    digest = hmac.new(SECRET.encode(), f"{at}.".encode() + payload, hashlib.sha256).hexdigest()
    headers = {"stripe-signature": f"t={at},v1={digest}"}
    return (await world.http.post("/webhooks/stripe", content=payload, headers=headers)).status_code


async def deliver(world: World, event_id: str, kind: str, object_id: str, **object_: Any) -> WebhookEvent:
    """Send an event about an object, apply what is due, and answer how it is stored."""
    about = {"id": object_id, "object": kind.split(".")[0], **object_}
    body = {"id": event_id, "object": "event", "type": kind, "created": 1_795_334_799, "data": {"object": about}}
    assert await post_event(world, body) == 200
    await timetable.run_due_work(world.platform)
    return await WebhookEvent.get(key=event_id)
