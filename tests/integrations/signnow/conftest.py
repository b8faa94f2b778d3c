"""A sandbox, our client against it, and an operator's end that receives its callbacks. All in process, over HTTP."""

import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inkmeter.clock import FrozenClock, SystemClock
from inkmeter.errors import WebhookRejected
from integrations.protocols import SignNow, SignNowCallback
from integrations.signnow.auth import ApiKey
from integrations.signnow.client import SignNowClient
from integrations.signnow.sandbox import SandboxAccount, create_app
from integrations.signnow.webhooks import SIGNATURE_HEADER, verify


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 10, 1, 12, tzinfo=UTC))


@pytest.fixture
def secret() -> str:
    return "whsec_test"


@pytest.fixture
def received() -> list[SignNowCallback]:
    """The callbacks that arrived and were authentic, in the order of their arrival."""
    return []


@pytest.fixture
def bodies() -> list[bytes]:
    """The raw bodies of everything that arrived."""
    return []


@pytest.fixture
def answers() -> list[int]:
    """What the receiver answers to the next callbacks, first to last; then 200."""
    return []


@pytest.fixture
def receiver(received: list[SignNowCallback], bodies: list[bytes], answers: list[int], secret: str) -> Starlette:
    """An operator's end: verifies, keeps, answers."""

    async def receive(request: Request) -> Response:
        body = await request.body()
        bodies.append(body)
        if answers:
            return Response(status_code=answers.pop(0))
        try:
            received.append(verify(body, request.headers.get(SIGNATURE_HEADER), secret))
        except WebhookRejected as error:
            return Response(error.message, 403)
        return Response()

    async def give_lease(_: Request) -> Response:
        return Response(one_page(), media_type="application/pdf")

    return Starlette(
        routes=[
            Route("/hooks/signnow", receive, methods=["POST"]),
            Route("/lease.pdf", give_lease, methods=["GET"]),
            Route("/lease", give_lease, methods=["GET"]),
        ]
    )


@pytest.fixture
def callback_url() -> str:
    return "https://operator.test/hooks/signnow"


@pytest.fixture
async def sandbox(clock: FrozenClock, receiver: Starlette) -> AsyncIterator[Starlette]:
    async with AsyncExitStack() as stack:
        outgoing = await stack.enter_async_context(httpx.AsyncClient(transport=httpx.ASGITransport(receiver)))
        app = create_app(clock=clock, http=outgoing, time_scale=0)
        yield app
        await app.state.world.callbacks.stop()


@pytest.fixture
async def http(sandbox: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """A bare connection to the sandbox, as its owner."""
    headers = {"Authorization": f"Bearer {SandboxAccount().api_key}"}
    transport = httpx.ASGITransport(sandbox)
    async with httpx.AsyncClient(transport=transport, base_url="http://signnow.test", headers=headers) as connection:
        yield connection


@pytest.fixture
async def client(sandbox: Starlette) -> AsyncIterator[SignNow]:
    transport = httpx.ASGITransport(sandbox)
    async with httpx.AsyncClient(transport=transport) as connection:
        yield SignNowClient(
            base_url="http://signnow.test",
            credentials=ApiKey(SandboxAccount().api_key),
            http=connection,
            read_backoff=0,
        )


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    """A sandbox behind uvicorn, in a thread, on a free port."""
    config = uvicorn.Config(create_app(clock=SystemClock()), ws="none", lifespan="on", log_config=None)
    server = uvicorn.Server(config)
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def lease() -> bytes:
    """A one-page PDF."""
    return one_page()


def one_page(padding: int = 0) -> bytes:
    """A PDF of one page, with that many bytes of a comment in it."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] >>",
    ]
    file, table = b"%PDF-1.4\n" + (b"%" + b"x" * padding + b"\n" if padding else b""), b"0000000000 65535 f \n"
    for number, content in enumerate(objects, 1):
        table += b"%010d 00000 n \n" % len(file)
        file += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    trailer = b"trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(file)
    return file + b"xref\n0 4\n" + table + trailer
