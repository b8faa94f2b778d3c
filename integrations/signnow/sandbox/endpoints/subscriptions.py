"""Event subscriptions, in both generations of SignNow's API, and the log of what was delivered."""

from typing import Any

import httpx
from starlette.responses import JSONResponse, Response

from integrations.signnow.sandbox.callbacks import Attempt, Subscription
from integrations.signnow.sandbox.calls import Call, basic, bearer
from integrations.signnow.sandbox.pages import page_of
from integrations.signnow.sandbox.refusals import not_found, refusal


async def create(call: Call) -> Response:
    return JSONResponse({"data": {"id": (await _subscribe(call, generation=2)).id}}, 201)


async def create_first_generation(call: Call) -> Response:
    """The older call answers no id: it has to be looked up in the list."""
    await _subscribe(call, generation=1)
    return JSONResponse({}, 201)


async def list_all(call: Call) -> Response:
    return JSONResponse(page_of([_shown(subscription) for subscription in _mine(call)], call))


async def show(call: Call) -> Response:
    return JSONResponse({"data": _shown(_one(call))})


async def change(call: Call) -> Response:
    subscription = _one(call)
    event, entity_id, attributes = _read(await call.json())
    subscription.event, subscription.entity_id, subscription.attributes = event, entity_id, attributes
    return Response(status_code=204)


async def delete(call: Call) -> Response:
    del call.world.callbacks.subscriptions[_one(call).id]
    return Response(status_code=204)


async def list_callbacks(call: Call) -> Response:
    """The delivery log of one subscription, or of all; the newest first."""
    wanted = call.request.path_params.get("subscription_id")
    log = [_logged(call, attempt) for attempt in _attempts(call, wanted)]
    return JSONResponse(page_of(log[::-1], call))


async def show_callback(call: Call) -> Response:
    for attempt in _attempts(call, call.request.path_params["subscription_id"]):
        if attempt.id == call.request.path_params["callback_id"]:
            return JSONResponse({"data": _logged(call, attempt)})
    raise not_found("the callback")


async def _subscribe(call: Call, generation: int) -> Subscription:
    event, entity_id, attributes = _read(await call.json())
    subscription = Subscription(event, entity_id, call.user.id, call.now, attributes, generation)
    call.world.callbacks.subscriptions[subscription.id] = subscription
    return subscription


def _read(body: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """The older generation's clients put `secret_key` beside the attributes instead of into them."""
    event, entity_id, attributes = body.get("event"), body.get("entity_id"), body.get("attributes")
    if not event or not entity_id or not isinstance(attributes, dict) or not _is_url(attributes.get("callback")):
        raise refusal("Invalid payload", 19001000)
    secret = attributes.get("secret_key") or body.get("secret_key")
    return str(event), str(entity_id), {**attributes, **({"secret_key": secret} if secret else {})}


def _is_url(value: object) -> bool:
    try:
        url = httpx.URL(str(value))
    except httpx.InvalidURL:
        return False
    return url.scheme in ("http", "https") and bool(url.host)


def _mine(call: Call) -> list[Subscription]:
    every = call.world.callbacks.subscriptions.values()
    return [subscription for subscription in every if subscription.owner_id == call.user.id]


def _one(call: Call) -> Subscription:
    wanted = call.request.path_params["subscription_id"]
    for subscription in _mine(call):
        if subscription.id == wanted:
            return subscription
    raise not_found("the event subscription")


def _attempts(call: Call, subscription_id: str | None) -> list[Attempt]:
    mine = [attempt for attempt in call.world.callbacks.attempts if attempt.subscription.owner_id == call.user.id]
    return [attempt for attempt in mine if subscription_id in (None, attempt.subscription.id)]


def _shown(subscription: Subscription) -> dict[str, Any]:
    """`callback` is asked for, `callback_url` answered; the secret comes back in clear, as it does from SignNow."""
    attributes = {key: value for key, value in subscription.attributes.items() if key != "callback"}
    return {
        "id": subscription.id,
        "entity_type": "user" if subscription.event.startswith("user.") else "document",
        "event": subscription.event,
        "entity_id": _short_id(subscription.entity_id),
        "entity_unique_id": subscription.entity_id,
        "request_method": "post",
        "action": "callback",
        "active": True,
        "json_attributes": {**attributes, "callback_url": subscription.attributes["callback"]},
        "application_name": "SignNow sandbox",
        "version": "2",
        "created": int(subscription.created_at.timestamp()),
        "event_count": subscription.event_count,
    }


def _logged(call: Call, attempt: Attempt) -> dict[str, Any]:
    subscription, meta = attempt.subscription, dict(attempt.body["meta"])
    if "access_token" in meta:
        meta["access_token"] = "********"  # noqa: S105 - a mask
    return {
        "id": attempt.id,
        "application_name": "SignNow sandbox",
        "entity_id": _short_id(subscription.entity_id),
        "event_subscription_id": subscription.id,
        "event_subscription_active": subscription.id in call.world.callbacks.subscriptions,
        "entity_type": "user" if subscription.event.startswith("user.") else "document",
        "event_name": subscription.event,
        "callback_url": attempt.url,
        "request_method": "post",
        "duration": (attempt.ended_at - attempt.started_at).total_seconds(),
        "request_start_time": int(attempt.started_at.timestamp()),
        "request_end_time": int(attempt.ended_at.timestamp()),
        "request_headers": attempt.headers,
        "request_content": {**attempt.body, "meta": meta},
        "response_content": attempt.answer,
        "response_status_code": attempt.status,
    }


def _short_id(entity_id: str) -> int:
    """SignNow's lists show the entity's id as a number beside the long one."""
    return int.from_bytes(entity_id.encode()[:4], "big")


_ONE = "/v2/event-subscriptions/{subscription_id}"

ROUTES = [
    bearer("GET", "/v2/event-subscriptions/callbacks", list_callbacks),
    bearer("GET", "/v2/event-subscriptions", list_all),
    bearer("POST", "/v2/event-subscriptions", create),
    bearer("GET", _ONE, show),
    bearer("PUT", _ONE, change),
    bearer("DELETE", _ONE, delete),
    bearer("GET", _ONE + "/callbacks", list_callbacks),
    bearer("GET", _ONE + "/callbacks/{callback_id}", show_callback),
    bearer("POST", "/api/v2/events", create_first_generation),
    basic("GET", "/api/v2/events", list_all),
    bearer("PUT", "/api/v2/events/{subscription_id}", change),
    basic("DELETE", "/api/v2/events/{subscription_id}", delete),
]
