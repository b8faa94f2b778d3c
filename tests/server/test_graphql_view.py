"""The view over real HTTP: which bodies and headers get which status, media type and error code."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import strawberry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.routing import Route
from starlette.types import Message
from strawberry import relay

from inkmeter import errors
from schema.scalars import Json
from server.graphql import EVENTS, JSON, RESPONSE_JSON, GraphQLView, negotiate
from server.graphql_schema import build_schema

pytestmark = pytest.mark.anyio

GRAPHQL = {"accept": RESPONSE_JSON, "content-type": JSON}


@strawberry.type
class Query:
    node: relay.Node | None = relay.node()

    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"Hello, {name}!"

    @strawberry.field
    def caller(self, info: strawberry.Info[str, None]) -> str:
        return info.context

    @strawberry.field
    def refused(self) -> str | None:
        raise errors.TopUpRequired(meter="signatures", balance=0, requested=1)

    @strawberry.field
    def upstream(self) -> str | None:
        raise errors.UpstreamRateLimited("SignNow asks to slow down", retry_after=2)

    @strawberry.field
    def broken(self) -> str | None:
        raise RuntimeError("password=hunter2")

    @strawberry.field
    async def slow(self) -> str:
        await asyncio.sleep(30)
        return "late"

    @strawberry.field
    def config(self, value: Json) -> Json:
        return value


@strawberry.type
class Mutation:
    @strawberry.mutation
    def store(self, text: str) -> str:
        return text


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncGenerator[int, None]:
        for number in range(to):
            yield number
            await asyncio.sleep(0)

    @strawberry.subscription
    async def failing(self) -> AsyncGenerator[int, None]:
        yield 1
        raise RuntimeError("password=hunter2")


SCHEMA = build_schema(Query, Mutation, Subscription)


async def context(request: HTTPConnection) -> str:
    match request.headers.get("authorization"):
        case "expired":
            raise HTTPException(401, "This key has expired", {"www-authenticate": "Bearer"})
        case "wrong":
            raise errors.NotPermitted("This key may not use the API")
        case "crash":
            raise RuntimeError("password=hunter2")
        case known:
            return known or "nobody"


def client(**options: Any) -> httpx.AsyncClient:
    app = Starlette(routes=[Route("/graphql", GraphQLView(SCHEMA, context, **options))])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=GRAPHQL)


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as api:
        yield api


def code(response: httpx.Response) -> str:
    """The code of an answer's only error."""
    (error,) = response.json()["errors"]
    assert error["message"]
    found: str = error["extensions"]["code"]
    return found


async def test_a_query_is_answered(api: httpx.AsyncClient) -> None:
    query = "query($name: String!) { hello(name: $name) caller }"
    response = await api.post("/graphql", json={"query": query, "variables": {"name": "Ada"}})
    assert response.status_code == 200
    assert response.json() == {"data": {"hello": "Hello, Ada!", "caller": "nobody"}}
    assert response.headers["content-type"] == RESPONSE_JSON
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_context_is_made_of_the_request(api: httpx.AsyncClient) -> None:
    response = await api.post("/graphql", json={"query": "{ caller }"}, headers={"authorization": "ada"})
    assert response.json()["data"] == {"caller": "ada"}


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", JSON),
        ("*/*", JSON),
        (JSON, JSON),
        (RESPONSE_JSON, RESPONSE_JSON),
        ("application/json, application/graphql-response+json", RESPONSE_JSON),
        ("application/graphql-response+json;q=0.5, application/json", JSON),
        ("Application/JSON; charset=utf-8", JSON),
        ("text/event-stream", EVENTS),
        ("text/event-stream, application/json;q=0.5", EVENTS),
        # what urql names in every request
        (
            "application/graphql-response+json, application/graphql+json, application/json, text/event-stream,"
            " multipart/mixed",
            RESPONSE_JSON,
        ),
        ("application/json;q=0", None),
        ("application/json;q=nonsense", None),
        ("text/html", None),
    ],
)
async def test_the_media_type_is_negotiated(accept: str, media: str | None) -> None:
    assert negotiate(accept) == media


@pytest.mark.parametrize("media", [JSON, RESPONSE_JSON])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query($n: String!) { hello(name: $n) }"}, "BAD_USER_INPUT"),
        ({"query": "query($n: String!) { hello(name: $n) }", "variables": {"n": 5}}, "BAD_USER_INPUT"),
        ({"query": "{ config(value: [1]) }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query($v: JSON!) { config(value: $v) }", "variables": {"v": [1]}}, "BAD_USER_INPUT"),
        ({"query": "query A { hello } query B { caller }"}, "BAD_USER_INPUT"),
        ({"query": 'mutation { store(text: "\\u0000") }'}, "GRAPHQL_VALIDATION_FAILED"),
        (
            {"query": "mutation($t: String!) { store(text: $t) }", "variables": {"t": "a\0b"}},
            "BAD_USER_INPUT",
        ),
    ],
)
async def test_a_refused_document_is_400_in_the_new_media_type_and_200_in_the_old(
    api: httpx.AsyncClient, media: str, body: dict[str, Any], expected: str
) -> None:
    response = await api.post("/graphql", json=body, headers={"accept": media})
    assert response.status_code == (400 if media == RESPONSE_JSON else 200)
    assert response.headers["content-type"] == media
    assert code(response) == expected
    assert response.json().keys() == {"errors"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"1",
        b'"x"',
        b"null",
        b"true",
        b"[]",
        b'[{"query":"{ hello }"}]',
        b"{",
        b"\xff\xfe",
        b'{"query":"\xff"}',
        b'{"query":"\\ud800"}',
        b"{}",
        b'{"query":null}',
        b'{"query":5}',
        b'{"query":""}',
        b'{"query":"{ hello }","variables":5}',
        b'{"query":"{ hello }","variables":[]}',
        b'{"query":"{ hello }","extensions":"x"}',
        b'{"query":"{ hello }","operationName":5}',
        b'{"query":"{ hello }","operationName":{}}',
        b'{"query":"query A { hello }","operationName":"B"}',
        b"[" * 5000,
        b'{"query":' + b"[" * 900 + b"]" * 900 + b"}",
    ],
)
@pytest.mark.parametrize("media", [JSON, RESPONSE_JSON])
async def test_a_body_that_is_no_request_is_400(api: httpx.AsyncClient, body: bytes, media: str) -> None:
    response = await api.post("/graphql", content=body, headers={"accept": media})
    assert response.status_code == 400
    assert response.headers["content-type"] == media
    assert code(response) == "BAD_REQUEST"
    assert response.json().keys() == {"errors"}


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=9) | st.integers(-(2**63), 2**64 - 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "query": json_values | st.sampled_from(["{ hello }", "query($v: JSON!) { config(value: $v) }"]),
        "variables": json_values | st.fixed_dictionaries({"v": json_values}),
        "operationName": json_values,
        "extensions": json_values,
    },
)


@given(st.binary(max_size=60) | (requests | json_values).map(orjson.dumps))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_body_is_a_500(body: bytes) -> None:
    async def post() -> httpx.Response:
        async with client() as api:
            return await api.post("/graphql", content=body)

    response = asyncio.run(post())
    assert response.status_code in (200, 400)
    for error in response.json().get("errors", []):
        assert error["extensions"]["code"] != "INTERNAL_SERVER_ERROR"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_405(api: httpx.AsyncClient, method: str) -> None:
    response = await api.request(method, "/graphql", params={"query": "{ hello }"})
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert method == "HEAD" or code(response) == "METHOD_NOT_ALLOWED"


async def test_an_answer_that_nobody_accepts_is_406(api: httpx.AsyncClient) -> None:
    response = await api.post("/graphql", json={"query": "{ hello }"}, headers={"accept": "text/html"})
    assert response.status_code == 406
    assert response.headers["content-type"] == JSON
    assert code(response) == "NOT_ACCEPTABLE"


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"]
)
async def test_a_body_in_another_media_type_is_415(api: httpx.AsyncClient, content_type: str) -> None:
    response = await api.post("/graphql", content=b'{"query":"{ hello }"}', headers={"content-type": content_type})
    assert response.status_code == 415
    assert code(response) == "UNSUPPORTED_MEDIA_TYPE"


async def test_a_charset_may_be_named(api: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    response = await api.post("/graphql", content='{"query":"{ hello(name: \\"Zoë\\") }"}'.encode(), headers=headers)
    assert response.json() == {"data": {"hello": "Hello, Zoë!"}}


async def test_too_large_a_body_is_413_whether_it_says_so_or_not() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    async with client(max_body_bytes=1000) as api:
        declared = await api.post("/graphql", content=b" " * 1001)
        chunked = await api.post("/graphql", content=chunks())
        fits = await api.post("/graphql", content=b'{"query":"{ hello }"}'.ljust(1000))
    for response in (declared, chunked):
        assert response.status_code == 413
        assert code(response) == "PAYLOAD_TOO_LARGE"
    assert fits.status_code == 200


async def test_a_slow_request_is_cancelled_and_503() -> None:
    async with client(seconds=0.05) as api:
        response = await api.post("/graphql", json={"query": "{ slow }"})
    assert response.status_code == 503
    assert code(response) == "TIMEOUT"


@pytest.mark.parametrize(
    ("key", "status", "expected"), [("expired", 401, "UNAUTHENTICATED"), ("wrong", 403, "NOT_PERMITTED")]
)
async def test_a_context_may_refuse(api: httpx.AsyncClient, key: str, status: int, expected: str) -> None:
    response = await api.post("/graphql", json={"query": "{ hello }"}, headers={"authorization": key})
    assert response.status_code == status
    assert code(response) == expected
    assert ("www-authenticate" in response.headers) == (status == 401)


async def test_a_crash_outside_of_the_schema_is_masked(
    api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await api.post("/graphql", json={"query": "{ hello }"}, headers={"authorization": "crash"})
    assert response.status_code == 500
    assert "hunter2" not in response.text
    assert code(response) == "INTERNAL_SERVER_ERROR"
    assert response.json()["errors"][0]["extensions"]["reference"] in caplog.text


async def test_refusals_and_upstream_errors_keep_their_code_and_words(
    api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    response = await api.post("/graphql", json={"query": "{ hello refused upstream }"})
    assert response.status_code == 200
    body = response.json()
    assert body["data"] == {"hello": "Hello, world!", "refused": None, "upstream": None}
    shown = {error["path"][0]: (error["extensions"]["code"], error["message"]) for error in body["errors"]}
    assert shown == {
        "refused": ("TOP_UP_REQUIRED", "1 signatures are needed, 0 credits are left. Buy a top-up."),
        "upstream": ("UPSTREAM_RATE_LIMITED", "SignNow asks to slow down"),
    }
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_unexpected_exceptions_are_masked_behind_a_reference_that_the_log_knows(
    api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await api.post("/graphql", json={"query": "{ hello broken }"})
    body = response.json()
    assert body["data"] == {"hello": "Hello, world!", "broken": None}
    (error,) = body["errors"]
    assert error["message"] == "Internal error"
    assert error["path"] == ["broken"]
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert "hunter2" not in response.text
    (record,) = caplog.records
    assert error["extensions"]["reference"] in record.getMessage()
    assert record.exc_info is not None
    assert "hunter2" in str(record.exc_info[1])


@pytest.mark.parametrize("identity", ["x", "Tm90aGluZzox", "U3RyaW5nOjE=", "UXVlcnk6MQ=="])
async def test_a_wrong_global_id_is_the_callers_mistake(api: httpx.AsyncClient, identity: str) -> None:
    query = "query($id: ID!) { node(id: $id) { id } }"
    response = await api.post("/graphql", json={"query": query, "variables": {"id": identity}})
    assert code(response) == "BAD_USER_INPUT"


async def test_nothing_suggests_names(api: httpx.AsyncClient) -> None:
    for query in ("{ helo }", "{ hello(nam: 1) }", "query($x: Strin) { hello(name: $x) }"):
        response = await api.post("/graphql", json={"query": query})
        assert response.status_code == 400
        assert "Did you mean" not in response.text


async def test_graphiql_is_shown_to_browsers_only_if_asked_for(api: httpx.AsyncClient) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    assert (await api.get("/graphql", headers=browser)).status_code == 405
    async with client(graphql_ide="graphiql") as with_ide:
        page = await with_ide.get("/graphql", headers=browser)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert (await with_ide.get("/graphql", params={"query": "{ hello }"})).status_code == 405


async def test_a_subscription_comes_as_server_sent_events(api: httpx.AsyncClient) -> None:
    query = {"query": "subscription { count(to: 3) }"}
    response = await api.post("/graphql", json=query, headers={"accept": EVENTS})
    assert response.headers["content-type"].startswith(EVENTS)
    frames = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    assert [orjson.loads(frame)["data"]["count"] for frame in frames] == [0, 1, 2]
    assert "event: complete" in response.text


async def test_errors_of_a_stream_are_masked_too(api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    query = {"query": "subscription { failing }"}
    response = await api.post("/graphql", json=query, headers={"accept": EVENTS})
    assert "hunter2" not in response.text
    assert "INTERNAL_SERVER_ERROR" in response.text
    assert "hunter2" in caplog.text
    refused = await api.post("/graphql", json={"query": "{ nothing }"}, headers={"accept": EVENTS})
    assert "GRAPHQL_VALIDATION_FAILED" in refused.text


async def test_a_subscription_by_json_is_400(api: httpx.AsyncClient) -> None:
    response = await api.post("/graphql", json={"query": "subscription { count(to: 3) }"})
    assert response.status_code == 400
    assert code(response) == "BAD_REQUEST"


class Socket:
    """The other end of a WebSocket, without a network."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self.received: asyncio.Queue[Message] = asyncio.Queue()
        self.sent.put_nowait({"type": "websocket.connect"})

    async def serve(self, view: GraphQLView[str]) -> None:
        scope = {"type": "websocket", "path": "/", "headers": [], "subprotocols": ["graphql-transport-ws"]}
        await view(scope, self.sent.get, self.received.put)

    def say(self, **message: object) -> None:
        self.sent.put_nowait({"type": "websocket.receive", "text": orjson.dumps(message).decode()})

    async def hear(self) -> Any:
        return orjson.loads((await self.received.get())["text"])


async def test_the_websocket_protocol_speaks_text() -> None:
    socket = Socket()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(socket.serve(GraphQLView(SCHEMA, context)))
        assert (await socket.received.get())["type"] == "websocket.accept"
        socket.say(type="connection_init")
        assert await socket.hear() == {"type": "connection_ack"}
        socket.say(id="1", type="subscribe", payload={"query": "subscription { count(to: 1) }"})
        assert await socket.hear() == {"id": "1", "type": "next", "payload": {"data": {"count": 0}}}
        assert await socket.hear() == {"id": "1", "type": "complete"}
        socket.say(id="2", type="subscribe", payload={"query": "{ nothing }"})
        message = await socket.hear()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}
        socket.sent.put_nowait({"type": "websocket.disconnect", "code": 1000})
