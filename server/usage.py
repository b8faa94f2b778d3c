"""Usage in bulk: `POST /usage` with one JSON object per line, the same door as the mutation `recordUsage`.

    {"meter": "api_calls", "quantity": 3, "idempotencyKey": "call-1", "properties": {"region": "eu"}}

For producers that send thousands a second: a typed GraphQL list costs up to twice the CPU per event.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from inkmeter.errors import InvalidInput, NotFound, Problem, Refused
from inkmeter.usage import read_quantity
from schema.connections import uuid_of
from schema.scalars import read_moment
from services import keys, tenants, usage
from services.platform import Platform
from services.tenants import Tenant
from services.usage import MAX_BULK_EVENTS, NewEvent, RecordStatus

STATUS = {"NOT_FOUND": 404, "INVALID_INPUT": 400}
"""HTTP's word for a refusal of the whole request; 409 for the others."""


def usage_route(get_platform: Callable[[], Platform]) -> Callable[[Request], Awaitable[Response]]:
    """The handler of `POST /usage`; with an operator's key the query names the tenant: `?tenantId=…`."""

    async def receive(request: Request) -> Response:
        viewer = await keys.find_viewer(keys.bearer(request.headers.get("authorization")))
        if viewer is None:
            return refusal_response("UNAUTHENTICATED", "Send a valid API key: `Authorization: Bearer ink_…`", 401)
        try:
            tenant = await named_tenant(viewer.tenant_id, request.query_params.get("tenantId"))
            answer = await record_lines(get_platform(), tenant, await request.body())
        except Refused as refusal:
            return refusal_response(refusal.code, refusal.message, STATUS.get(refusal.code, 409))
        return JSONResponse(answer)

    return receive


async def named_tenant(own: int | None, named: str | None) -> Tenant:
    """The tenant that a query names, or the key's own. Raises InvalidInput and NotFound."""
    if own is None and named is None:
        raise InvalidInput([Problem(("tenantId",), "is needed with an operator's key: ?tenantId=…")])
    wanted: UUID | None = uuid_of(named, "Tenant", path=("tenantId",)) if named is not None else None
    if own is None and wanted is not None:
        return await tenants.find_tenant(wanted)
    tenant = await tenants.get_tenant(own or 0)
    if wanted not in (None, tenant.public_id):
        raise NotFound("There is no such Tenant", path=("tenantId",))
    return tenant


async def record_lines(platform: Platform, tenant: Tenant, body: bytes) -> dict[str, Any]:
    """Record the lines of a body and answer how many were recorded, known and refused, and why each was.

    Raises InvalidInput for more than MAX_BULK_EVENTS lines, and what `record_usage` raises.
    """
    refused: list[dict[str, Any]] = []
    events: list[NewEvent] = []
    numbers: list[int] = []
    lines = [(number, line) for number, line in enumerate(body.split(b"\n"), start=1) if line.strip()]
    if not 1 <= len(lines) <= MAX_BULK_EVENTS:
        raise InvalidInput([Problem((), f"the body needs 1 to {MAX_BULK_EVENTS} lines, not {len(lines)}")])
    for number, line in lines:
        try:
            events.append(read_event(read_line(line)))
            numbers.append(number)
        except ValueError as error:
            refused.append({"line": number, "idempotencyKey": None, "code": "INVALID_INPUT", "message": str(error)})
    results = await usage.record_usage(platform, tenant, events, most=MAX_BULK_EVENTS) if events else []
    for number, (key, _, refusal) in zip(numbers, results, strict=True):
        if refusal is not None:
            refused.append({"line": number, "idempotencyKey": key, "code": refusal.code, "message": refusal.message})
    statuses = [result.status for result in results]
    return {
        "recorded": statuses.count(RecordStatus.RECORDED),
        "duplicates": statuses.count(RecordStatus.DUPLICATE),
        "refused": sorted(refused, key=lambda entry: int(entry["line"])),
    }


FIELDS = frozenset({"meter", "quantity", "idempotencyKey", "occurredAt", "properties"})
"""What a line may say."""


def read_line(line: bytes) -> dict[str, Any]:
    """One line of NDJSON. Raises ValueError that says what is wrong with it."""
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(entry, dict):
        raise ValueError("is not a JSON object")
    return entry


def read_event(entry: Mapping[str, Any]) -> NewEvent:
    """The event that a line's object tells. Raises ValueError that says what is wrong with it."""
    if not FIELDS.issuperset(entry):
        raise ValueError(f"has unknown fields: {', '.join(sorted(entry.keys() - FIELDS))}")
    meter, key, properties = entry.get("meter"), entry.get("idempotencyKey"), entry.get("properties")
    if not isinstance(meter, str) or not isinstance(key, str):
        raise ValueError("needs meter and idempotencyKey as strings")
    if properties is not None and not isinstance(properties, dict):
        raise ValueError("properties are a JSON object")
    return NewEvent(meter, read_quantity(entry.get("quantity", 1)), key, _moment(entry.get("occurredAt")), properties)


def _moment(text: object) -> datetime | None:
    if text is None:
        return None
    try:
        return read_moment(text)
    except ValueError as error:
        raise ValueError(f"occurredAt {error}") from None


def refusal_response(code: str, message: str, status: int) -> Response:
    """A refusal of the whole request."""
    return JSONResponse({"error": message, "code": code}, status)
