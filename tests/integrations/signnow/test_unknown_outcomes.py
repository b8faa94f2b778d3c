"""Each write against each fault: what certainly did not happen, what may have, and how it is looked for."""

import httpx
import pytest
from starlette.applications import Starlette

from inkmeter.errors import SignNowRefused, UpstreamError, UpstreamRateLimited, UpstreamTimeout
from integrations.protocols import SignNow
from integrations.signnow.auth import ApiKey
from integrations.signnow.client import SignNowClient
from integrations.signnow.sandbox import SandboxAccount
from tests.integrations.signnow.operations import OPERATIONS, Operation

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("operation", OPERATIONS, ids=str)]


class Counter(httpx.AsyncBaseTransport):
    """Counts the writes that pass by."""

    def __init__(self, app: Starlette) -> None:
        self._inner = httpx.ASGITransport(app)
        self.writes: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            self.writes.append(f"{request.method} {request.url.path}")
        return await self._inner.handle_async_request(request)


@pytest.fixture
def wire(sandbox: Starlette) -> Counter:
    return Counter(sandbox)


@pytest.fixture
def counted(wire: Counter) -> SignNow:
    http, key = httpx.AsyncClient(transport=wire), ApiKey(SandboxAccount().api_key)
    return SignNowClient(base_url="http://signnow.test", credentials=key, http=http, read_backoff=0)


async def plan(http: httpx.AsyncClient, operation: Operation, kind: str) -> None:
    fault = {"kind": kind, "path_prefix": operation.path, "method": operation.method}
    (await http.post("/_sandbox/faults", json=fault)).raise_for_status()


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "500", "503", "502_after"])
async def test_a_write_without_an_answer_is_sent_once_and_found_if_it_happened(
    operation: Operation, kind: str, client: SignNow, counted: SignNow, wire: Counter, http: httpx.AsyncClient
) -> None:
    subject = await operation.prepare(client, http)
    await plan(http, operation, kind)
    with pytest.raises(UpstreamTimeout):
        await operation.act(counted, subject)
    assert len(wire.writes) == 1
    assert await operation.happened(client, subject) == kind.endswith("after")


@pytest.mark.parametrize(
    ("kind", "error"),
    [("429", UpstreamRateLimited), ("invalid_token", UpstreamError), ("invalid_client", SignNowRefused)],
)
async def test_a_write_that_is_refused_did_not_happen(
    operation: Operation, kind: str, error: type[Exception], client: SignNow, counted: SignNow, http: httpx.AsyncClient
) -> None:
    subject = await operation.prepare(client, http)
    await plan(http, operation, kind)
    with pytest.raises(error) as refused:
        await operation.act(counted, subject)
    assert not isinstance(refused.value, UpstreamTimeout)
    assert not await operation.happened(client, subject)


async def test_without_a_fault_it_happens_in_one_write(
    operation: Operation, client: SignNow, counted: SignNow, wire: Counter, http: httpx.AsyncClient
) -> None:
    subject = await operation.prepare(client, http)
    await operation.act(counted, subject)
    assert len(wire.writes) == 1
    assert await operation.happened(client, subject)


async def test_without_a_connection_nothing_happens(
    operation: Operation, client: SignNow, http: httpx.AsyncClient
) -> None:
    subject = await operation.prepare(client, http)

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    transport, key = httpx.MockTransport(refuse), ApiKey("k")
    offline = SignNowClient(
        base_url="http://signnow.test", credentials=key, http=httpx.AsyncClient(transport=transport), read_backoff=0
    )
    with pytest.raises(UpstreamError) as failure:
        await operation.act(offline, subject)
    assert not isinstance(failure.value, UpstreamTimeout)
    assert not await operation.happened(client, subject)
