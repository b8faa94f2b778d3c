"""Tokens: fetched when needed, renewed once and by one task, never shown."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from starlette.applications import Starlette

from inkmeter.clock import FrozenClock
from inkmeter.errors import SignNowRefused, UpstreamError, UpstreamTimeout
from integrations.signnow.auth import ApiKey, PasswordGrant
from integrations.signnow.client import SignNowClient
from integrations.signnow.sandbox import SandboxAccount
from integrations.signnow.sandbox.accounts import TOKEN_LIFETIME

pytestmark = pytest.mark.anyio

ACCOUNT = SandboxAccount()
GRANT = PasswordGrant(ACCOUNT.client_id, ACCOUNT.client_secret, ACCOUNT.email, ACCOUNT.password)


class Recorder(httpx.AsyncBaseTransport):
    """Notes which paths, and which grants, pass by."""

    def __init__(self, app: Starlette) -> None:
        self._inner = httpx.ASGITransport(app)
        self.paths: list[str] = []
        self.grants: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        if request.url.path == "/oauth2/token":
            form = httpx.QueryParams((await request.aread()).decode())
            self.grants.append(form["grant_type"])
        await asyncio.sleep(0)  # in process nothing else would let other tasks in between
        return await self._inner.handle_async_request(request)


@pytest.fixture
def wire(sandbox: Starlette) -> Recorder:
    return Recorder(sandbox)


def connected(wire: Recorder, credentials: ApiKey | PasswordGrant = GRANT) -> SignNowClient:
    http = httpx.AsyncClient(transport=wire)
    return SignNowClient(base_url="http://signnow.test/", credentials=credentials, http=http, read_backoff=0)


def test_secrets_are_not_shown() -> None:
    shown = repr(GRANT) + repr(ApiKey("sk-1234"))
    assert ACCOUNT.client_secret not in shown
    assert ACCOUNT.password not in shown
    assert "sk-1234" not in shown


async def test_a_password_is_exchanged_once_for_many_calls(wire: Recorder) -> None:
    client = connected(wire)
    await asyncio.gather(*(client.counters() for _ in range(5)))
    assert wire.grants == ["password"]
    assert wire.paths.count("/user") == 5


async def test_an_expired_token_is_refreshed_by_one_task(wire: Recorder, clock: FrozenClock) -> None:
    client = connected(wire)
    await client.counters()
    clock.travel_to(clock.now() + TOKEN_LIFETIME + timedelta(seconds=1))
    await asyncio.gather(*(client.counters() for _ in range(5)))
    assert wire.grants == ["password", "refresh_token"]


async def test_the_password_is_used_again_when_the_refresh_token_is_refused(
    wire: Recorder, http: httpx.AsyncClient
) -> None:
    client = connected(wire)
    await client.counters()
    await http.post("/_sandbox/reset")  # the sandbox forgets every token
    await client.counters()
    assert wire.grants == ["password", "refresh_token", "password"]


async def test_a_token_that_is_refused_twice_is_no_answer(wire: Recorder, http: httpx.AsyncClient) -> None:
    await http.post("/_sandbox/faults", json={"kind": "invalid_token", "path_prefix": "/user", "times": 2})
    with pytest.raises(UpstreamError, match="does not take the token"):
        await connected(wire).counters()
    assert wire.paths.count("/user") == 2


async def test_an_api_key_is_never_exchanged(wire: Recorder) -> None:
    with pytest.raises(UpstreamError, match="does not take the token"):
        await connected(wire, ApiKey("wrong")).counters()
    assert wire.paths == ["/user"]


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        (PasswordGrant("other-environment", "secret", ACCOUNT.email, ACCOUNT.password), "invalid_client"),
        (PasswordGrant(ACCOUNT.client_id, ACCOUNT.client_secret, ACCOUNT.email, "wrong"), "Invalid credentials."),
    ],
)
async def test_wrong_credentials_are_refused_with_signnows_word(
    wire: Recorder, credentials: PasswordGrant, code: str
) -> None:
    with pytest.raises(SignNowRefused) as refused:
        await connected(wire, credentials).counters()
    assert refused.value.upstream_code == code


@pytest.mark.parametrize("kind", ["500", "timeout_before", "timeout_after"])
async def test_a_write_that_got_no_token_certainly_did_not_happen(
    wire: Recorder, http: httpx.AsyncClient, kind: str
) -> None:
    await http.post("/_sandbox/faults", json={"kind": kind, "path_prefix": "/oauth2", "times": 3})
    with pytest.raises(UpstreamError) as failure:
        await connected(wire).create_signing_link("0" * 40)
    assert not isinstance(failure.value, UpstreamTimeout)
    assert wire.paths == ["/oauth2/token"] * 3
