"""`/_sandbox/`: what signers, the clock and a bad network do. None of it is SignNow's."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from inkmeter.clock import Clock
from integrations.signnow.sandbox.accounts import id_of
from integrations.signnow.sandbox.calls import read_json
from integrations.signnow.sandbox.documents import Document
from integrations.signnow.sandbox.faults import Fault, Kind
from integrations.signnow.sandbox.refusals import refusal
from integrations.signnow.sandbox.world import World


@runtime_checkable
class _Travelling(Clock, Protocol):
    def travel_to(self, moment: datetime) -> None: ...


async def sign(request: Request) -> Response:
    """`{"email"}` signs: the next in turn are invited, the last one completes the document."""
    world, document, body = await _act(request)
    invite_id = world.sign(document, str(body.get("email", "")), _base_url(request))
    return JSONResponse({"invite_id": invite_id, "is_completed": document.is_completed})


async def decline(request: Request) -> Response:
    """`{"email", "reason"?}` declines."""
    world, document, body = await _act(request)
    reason = str(body.get("reason") or "no reason given")
    return JSONResponse({"invite_id": world.decline(document, str(body.get("email", "")), reason, _base_url(request))})


async def show_clock(request: Request) -> Response:
    return JSONResponse({"now": _world(request).clock.now().isoformat()})


async def travel(request: Request) -> Response:
    """`{"now": ISO 8601}` makes that moment the present, where the clock can travel."""
    clock = _world(request).clock
    if not isinstance(clock, _Travelling):
        raise refusal("this clock does not travel", status=409)
    moment = _moment((await read_json(request)).get("now"))
    if moment is None:
        raise refusal("now is missing")
    clock.travel_to(moment)
    _world(request).let_invites_expire(_base_url(request))
    return await show_clock(request)


async def plan_fault(request: Request) -> Response:
    """`{"kind", "times"?, "path_prefix"?, "method"?}` lets the next calls that fit fail."""
    body = await read_json(request)
    try:
        kind = Kind(str(body.get("kind")))
        fault = Fault(kind, int(body.get("times", 1)), str(body.get("path_prefix") or "/"), body.get("method"))
    except (ValueError, TypeError):
        raise refusal(f"kind is one of {', '.join(Kind)}; times is a number") from None
    _world(request).faults.planned.append(fault)
    return Response(status_code=204)


async def plan_mischief(request: Request) -> Response:
    """`{"duplicate"?, "reorder"?, "early"?, "drop"?}` is what the network does to callbacks from now on."""
    body, mischief = await read_json(request), _world(request).callbacks.mischief
    mischief.is_duplicating = bool(body.get("duplicate", mischief.is_duplicating))
    mischief.is_reordering = bool(body.get("reorder", mischief.is_reordering))
    mischief.is_early = bool(body.get("early", mischief.is_early))
    try:
        mischief.drop = int(body.get("drop", mischief.drop))
    except (ValueError, TypeError):
        raise refusal("drop is a number") from None
    return Response(status_code=204)


async def turn_knobs(request: Request) -> Response:
    """Any of the knobs, see `Knobs`; answers all of them."""
    world = _world(request)
    world.knobs = world.knobs.turned(await read_json(request))
    return JSONResponse(asdict(world.knobs))


async def list_links(request: Request) -> Response:
    """What stands in the signers' mails: a link to the signing page for each invite that is pending."""
    world, document, _ = await _act(request)
    pending = [sent.email for sent in document.field_invites if sent.status == "pending"]
    pending += [sent.email for sent in document.free_form_invites if sent.status == "pending"]
    url = _base_url(request)
    return JSONResponse([{"email": e, "link": world.signing_link(document, e, None, url)} for e in pending])


async def accept(request: Request) -> Response:
    """`{"organization_id", "email"}` accepts the invite to join, and leaves every other organization."""
    body, world = await read_json(request), _world(request)
    email, joined = str(body.get("email")), world.organizations.get(str(body.get("organization_id")))
    if joined is None or email not in joined.members:
        raise refusal("there is no such invite", status=404)
    for organization in world.organizations.values():
        if organization.owner_id != id_of(email):
            organization.members.pop(email, None)
    joined.members[email] = "active"
    return Response(status_code=204)


async def flush(request: Request) -> Response:
    """Wait until each callback so far was attempted; with `{"final": true}`, until none will be repeated."""
    is_final = bool((await read_json(request)).get("final"))
    await _world(request).callbacks.flush(is_final=is_final)
    return Response(status_code=204)


async def consent(request: Request) -> Response:
    """`{"email"}` agrees, as on SignNow's page, that the application acts for that user: an authorization code."""
    email = str((await read_json(request)).get("email", ""))
    return JSONResponse({"code": _world(request).accounts.consent(email)})


async def show_books(request: Request) -> Response:
    """The ledger, with `?since=` and `?until=` for a period."""
    query = request.query_params
    return JSONResponse(_world(request).books.summary(_moment(query.get("since")), _moment(query.get("until"))))


async def reset(request: Request) -> Response:
    await _world(request).reset()
    return Response(status_code=204)


def _world(request: Request) -> World:
    world: World = request.app.state.world
    return world


def _base_url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


async def _act(request: Request) -> tuple[World, Document, dict[str, Any]]:
    world, document_id = _world(request), request.path_params["document_id"]
    if document_id not in world.documents:
        raise refusal("there is no such document", status=404)
    return world, world.documents[document_id], await read_json(request)


def _moment(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise refusal(f"{value!r} is not a moment in ISO 8601") from None
    if moment.tzinfo is None:
        raise refusal("a moment needs its offset from UTC, such as +00:00")
    return moment


ROUTES = [
    Route("/_sandbox/documents/{document_id}/sign", sign, methods=["POST"]),
    Route("/_sandbox/documents/{document_id}/decline", decline, methods=["POST"]),
    Route("/_sandbox/documents/{document_id}/links", list_links, methods=["GET"]),
    Route("/_sandbox/organizations/accept", accept, methods=["POST"]),
    Route("/_sandbox/knobs", turn_knobs, methods=["POST"]),
    Route("/_sandbox/clock", show_clock, methods=["GET"]),
    Route("/_sandbox/clock", travel, methods=["POST"]),
    Route("/_sandbox/faults", plan_fault, methods=["POST"]),
    Route("/_sandbox/webhooks", plan_mischief, methods=["POST"]),
    Route("/_sandbox/flush", flush, methods=["POST"]),
    Route("/_sandbox/consent", consent, methods=["POST"]),
    Route("/_sandbox/books", show_books, methods=["GET"]),
    Route("/_sandbox/reset", reset, methods=["POST"]),
]
