"""GraphQL over HTTP: Strawberry's view, made to keep to the GraphQL-over-HTTP specification and to answer any body.

Queries and mutations come by POST. The answer is `application/graphql-response+json` (where a refused
document is 400) or, for older clients, `application/json` (where it is 200). Subscriptions come as
server-sent events or, if the view is also mounted as a WebSocketRoute, by the graphql-transport-ws protocol.
Every error is JSON with `extensions.code`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from starlette import exceptions
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry import Schema
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData, process_result
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult

from inkmeter.errors import Refused
from server.graphql_errors import log_unexpected

RESPONSE_JSON: Final = "application/graphql-response+json"
JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"

_PREFERENCE: Final = {
    RESPONSE_JSON: (3, RESPONSE_JSON),
    JSON: (2, JSON),
    "application/*": (1, JSON),
    "*/*": (1, JSON),
    EVENTS: (0, EVENTS),  # last: some clients name it in every request, and do not mean it
}
_CODES: Final = {
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_SERVER_ERROR",
    503: "TIMEOUT",
}

C = TypeVar("C")


@lru_cache(maxsize=256)
def negotiate(accept: str) -> str | None:
    """The media type in which to answer an Accept header; None if there is no acceptable one."""
    if not accept.strip():
        return JSON
    best, media = (0.0, -1), None
    for entry in accept.lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        preference, offered = _PREFERENCE.get(name, (-1, None))
        rank = _quality(parameters), preference
        if offered and rank[0] > 0 and rank > best:
            best, media = rank, offered
    return media


def _quality(parameters: Sequence[str]) -> float:
    text = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    try:
        return float(text)
    except ValueError:
        return 0.0


class TextWebSocket(ASGIWebSocketAdapter):
    """Sends JSON as text frames: graphql-ws clients do not read the binary ones that bytes would become."""

    async def send_json(self, message: Mapping[str, object]) -> None:
        try:
            await self.ws.send_text(orjson.dumps(message).decode())
        except WebSocketDisconnect as gone:
            raise WebSocketDisconnected from gone


class GraphQLView(GraphQL[C, None]):
    """The ASGI application behind `/graphql`.

    `get_context` makes the context of a request; it may raise a Refused (answered with 403 and its code) or
    Starlette's HTTPException (answered with its status). `graphql_ide="graphiql"` shows Strawberry's GraphiQL
    page, which loads its assets from a CDN, to browsers. A body above `max_body_bytes` is answered with 413,
    a request that takes longer than `seconds` is cancelled and answered with 503; neither is watched on a
    WebSocket.
    """

    websocket_adapter_class = TextWebSocket

    def __init__(
        self,
        schema: Schema,
        get_context: Callable[[HTTPConnection], Awaitable[C]],
        *,
        graphql_ide: Literal["graphiql"] | None = None,
        max_body_bytes: int = 1_000_000,
        seconds: float = 30.0,
        allowed_origins: Sequence[str] = (),
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=graphql_ide,
            allow_queries_via_get=False,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL),
            allowed_origins=allowed_origins,
        )
        self._make_context = get_context
        self.max_body_bytes = max_body_bytes
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await super().__call__(scope, receive, send)
        try:
            response = await self.respond(Request(scope, self._limited(receive)))
        except ClientDisconnect:
            return None
        response.headers.update({"cache-control": "no-store", "x-content-type-options": "nosniff"})
        return await response(scope, receive, send)

    async def respond(self, request: Request) -> Response:
        """Answer a request, whatever it is."""
        accept = request.headers.get("accept", "")
        media = negotiate(accept)
        if request.method == "GET" and self.graphql_ide and "text/html" in accept:
            return await self.render_graphql_ide(request)
        try:
            self._check_headers(request, media)
            async with asyncio.timeout(self.seconds):
                response = await self.run(request)
        except HTTPException as error:
            return _error(error.status_code, error.reason, media)
        except exceptions.HTTPException as error:
            return _error(error.status_code, error.detail, media, headers=error.headers)
        except Refused as refusal:
            return _error(403, refusal.message, media, code=refusal.code)
        except TimeoutError:
            return _error(503, f"The request took longer than {self.seconds:g} seconds", media)
        except ClientDisconnect:
            raise
        except Exception as error:
            reference = log_unexpected(error, request.url.path)
            return _error(500, "Internal error", media, reference=reference)
        if response.headers.get("content-type") == JSON and media == RESPONSE_JSON:
            response.headers["content-type"] = RESPONSE_JSON
            if getattr(request.state, "is_refused", False):
                response.status_code = 400
        return response

    def _check_headers(self, request: Request, media: str | None) -> None:
        if request.method != "POST":
            raise exceptions.HTTPException(405, "GraphQL is answered by POST", {"allow": "POST"})
        if media is None:
            raise HTTPException(406, f"Answers are {RESPONSE_JSON} or {JSON}")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise HTTPException(415, f"The body of a request is {JSON}")
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.max_body_bytes:
            raise self._too_large()

    def _limited(self, receive: Receive) -> Receive:
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body_bytes:
                raise self._too_large()
            return message

        return limited

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"A body has at most {self.max_body_bytes} bytes")

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> C:
        return await self._make_context(request)

    def parse_json(self, data: str | bytes) -> Any:
        parsed = super().parse_json(data)
        if not isinstance(parsed, (dict, list)):
            raise HTTPException(400, "The body is a JSON object")
        return parsed

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData | list[GraphQLRequestData]:
        asked = await super().parse_http_body(request)
        if isinstance(asked, GraphQLRequestData):
            if not isinstance(asked.operation_name, str | None):
                raise HTTPException(400, "`operationName` is a string or null")
            if negotiate(request.headers.get("accept", "")) != EVENTS:
                asked.protocol = "http"
        return asked

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        answer = process_result(result)
        if result.data is None and result.errors and all(error.path is None for error in result.errors):
            del answer["data"]  # nothing was executed
            request.state.is_refused = True
        return answer

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)


def _error(
    status: int,
    message: str,
    media: str | None,
    *,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
    **extensions: str,
) -> Response:
    known = code or _CODES.get(status, "BAD_REQUEST")
    body = {"errors": [{"message": message, "extensions": {"code": known, **extensions}}]}
    media_type = RESPONSE_JSON if media == RESPONSE_JSON else JSON
    return Response(orjson.dumps(body), status, headers, media_type)
