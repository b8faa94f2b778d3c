"""Accounts of others: consent, tokens that others keep, renewal between tasks and processes, an end."""

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette

from inkmeter.clock import FrozenClock
from inkmeter.errors import Conflict, SignNowNotConnected, SignNowRefused, UpstreamError
from integrations.protocols import SignNowAccount, SignNowTokens
from integrations.signnow import client
from integrations.signnow.auth import ApiKey, Application, PasswordGrant, consent_url
from integrations.signnow.client import SignNowClient
from integrations.signnow.sandbox import SandboxAccount
from integrations.signnow.sandbox.accounts import TOKEN_LIFETIME, id_of
from integrations.signnow.tokens import MemoryTokens

pytestmark = pytest.mark.anyio

ACCOUNT = SandboxAccount()
APPLICATION = Application(ACCOUNT.client_id, ACCOUNT.client_secret)
BACK = "https://operator.test/connected"


class Wire(httpx.AsyncBaseTransport):
    """Notes the grants that pass by."""

    def __init__(self, app: Starlette) -> None:
        self._inner = httpx.ASGITransport(app)
        self.grants: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth2/token":
            self.grants.append(httpx.QueryParams((await request.aread()).decode())["grant_type"])
        await asyncio.sleep(0)  # in process nothing else would let other tasks in between
        return await self._inner.handle_async_request(request)


@pytest.fixture
def wire(sandbox: Starlette) -> Wire:
    return Wire(sandbox)


@pytest.fixture
def store() -> MemoryTokens:
    return MemoryTokens()


def process(wire: Wire, store: MemoryTokens, application: Application | None = APPLICATION) -> SignNowClient:
    """A client of its own with a store that it shares, as in another process."""
    return SignNowClient(
        base_url="http://signnow.test",
        credentials=ApiKey(ACCOUNT.api_key),
        application=application,
        tokens=store,
        http=httpx.AsyncClient(transport=wire),
        read_backoff=0,
    )


@pytest.fixture
async def connected(wire: Wire, store: MemoryTokens, http: httpx.AsyncClient) -> SignNowClient:
    """The operator's client, to which the user of tenant acme has consented on SignNow's page."""
    operator = process(wire, store)
    await operator.create_user(email="acme@x.test", password="pw", first_name="A", last_name="C")
    page = operator.consent_url(redirect_uri=BACK, state="s1")
    sent_back = await http.post(page, data={"email": "acme@x.test"}, headers={"Authorization": ""})
    query = parse_qs(urlsplit(sent_back.headers["location"]).query)
    assert query["state"] == ["s1"]
    account = await operator.connect("acme", query["code"][0])
    assert account.email == "acme@x.test"
    return operator


async def test_an_identity_has_documents_of_its_own(connected: SignNowClient, lease: bytes) -> None:
    theirs = connected.for_identity("acme")
    folder_id = await theirs.ensure_folder("signed")
    document_id = await theirs.upload_document(folder_id=folder_id, name="L", file_name="l.pdf", content=lease)
    assert (await theirs.document(document_id)).owner == "acme@x.test"
    assert (await connected.account()).email == ACCOUNT.email
    with pytest.raises(SignNowRefused) as refused:
        await connected.document(document_id)
    assert refused.value.upstream_code == "65582"
    with pytest.raises(SignNowRefused):
        await connected.upload_document(folder_id=folder_id, name="L", file_name="l.pdf", content=lease)


async def test_a_code_works_once(connected: SignNowClient, http: httpx.AsyncClient) -> None:
    code = (await http.post("/_sandbox/consent", json={"email": "acme@x.test"})).json()["code"]
    await connected.connect("acme", code)
    with pytest.raises(SignNowRefused):
        await connected.connect("acme", code)


async def test_many_callers_renew_once(connected: SignNowClient, wire: Wire, clock: FrozenClock) -> None:
    clock.travel_to(clock.now() + TOKEN_LIFETIME + timedelta(seconds=1))
    await asyncio.gather(*(connected.for_identity("acme").counters() for _ in range(20)))
    assert wire.grants == ["authorization_code", "refresh_token"]


async def test_another_process_uses_what_the_first_one_renewed(
    connected: SignNowClient, wire: Wire, store: MemoryTokens, clock: FrozenClock
) -> None:
    other = process(wire, store)
    await other.for_identity("acme").counters()
    clock.travel_to(clock.now() + TOKEN_LIFETIME + timedelta(seconds=1))
    await connected.for_identity("acme").counters()
    await other.for_identity("acme").counters()
    assert wire.grants == ["authorization_code", "refresh_token"]


async def test_a_refresh_that_another_process_was_faster_with_is_no_end(
    connected: SignNowClient, wire: Wire, store: MemoryTokens, clock: FrozenClock
) -> None:
    stale = await store.load("acme")
    clock.travel_to(clock.now() + TOKEN_LIFETIME + timedelta(seconds=1))
    await connected.for_identity("acme").counters()
    renewed = await store.load("acme")

    assert stale
    assert renewed

    class Late(MemoryTokens):
        """Shows the old tokens until they were refused and their refresh was, as to a process that was a bit slower."""

        def __init__(self) -> None:
            self.shown = [stale, stale, renewed]

        async def load(self, identity: str) -> SignNowTokens | None:
            return self.shown.pop(0)

    await process(wire, Late()).for_identity("acme").counters()
    assert wire.grants == ["authorization_code", "refresh_token", "refresh_token"]


async def test_a_token_revoked_in_mid_flow_asks_for_consent(
    connected: SignNowClient, store: MemoryTokens, http: httpx.AsyncClient, sandbox: Starlette
) -> None:
    tokens = await store.load("acme")
    assert tokens is not None
    await http.post("/oauth2/terminate", json={}, headers={"Authorization": f"Bearer {tokens.access}"})
    with pytest.raises(SignNowNotConnected, match="consent"):
        await connected.for_identity("acme").counters()
    assert await store.load("acme") is None, "what SignNow has refused for good is forgotten"
    assert (await connected.counters()).documents == 0  # the operator's own account goes on


async def test_an_identity_that_is_not_connected_is_refused_without_a_call(wire: Wire, store: MemoryTokens) -> None:
    with pytest.raises(SignNowNotConnected):
        await process(wire, store).for_identity("nobody").counters()
    assert wire.grants == []


async def test_disconnecting_ends_the_token_and_may_be_repeated(
    connected: SignNowClient, store: MemoryTokens, http: httpx.AsyncClient
) -> None:
    tokens = await store.load("acme")
    assert tokens is not None
    await connected.disconnect("acme")
    await connected.disconnect("acme")
    assert await store.load("acme") is None
    answer = await http.get("/user", headers={"Authorization": f"Bearer {tokens.access}"})
    assert answer.json()["error"] == "invalid_token"
    with pytest.raises(SignNowNotConnected):
        await connected.for_identity("acme").counters()


async def test_what_was_disconnected_elsewhere_is_not_brought_back(
    connected: SignNowClient, wire: Wire, store: MemoryTokens
) -> None:
    """This process still has both tokens in memory; the refresh token works."""
    await connected.for_identity("acme").counters()
    await process(wire, store).disconnect("acme")
    with pytest.raises(SignNowNotConnected):
        await connected.for_identity("acme").counters()
    assert await store.load("acme") is None
    assert "refresh_token" not in wire.grants


async def test_a_user_who_is_not_admitted_changes_nothing(
    connected: SignNowClient, store: MemoryTokens, http: httpx.AsyncClient, sandbox: Starlette
) -> None:
    await connected.create_user(email="bolt@x.test", password="pw", first_name="B", last_name="O")
    code = (await http.post("/_sandbox/consent", json={"email": "bolt@x.test"})).json()["code"]
    kept = await store.load("acme")

    async def admit(account: SignNowAccount) -> None:
        assert account.email == "bolt@x.test"
        raise Conflict("somebody else")

    with pytest.raises(Conflict):
        await connected.connect("acme", code, admit)
    assert await store.load("acme") == kept
    tokens = sandbox.state.world.accounts.tokens.values()
    assert [token for token in tokens if token.user_id == id_of("bolt@x.test")] == [], "the token was ended"
    assert (await connected.for_identity("acme").account()).email == "acme@x.test"


async def test_more_identities_than_are_remembered(
    connected: SignNowClient, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_IDENTITIES", 2)
    for other in ("b", "c", "d"):
        with pytest.raises(SignNowNotConnected):
            await connected.for_identity(other).counters()
    assert len(connected._accounts.sessions) == len(connected._accounts.brokers) == 2
    assert (await connected.for_identity("acme").account()).email == "acme@x.test"


async def test_a_wrong_environment_is_explained(wire: Wire, store: MemoryTokens) -> None:
    stranger = process(wire, store, Application("from-api-eval", "secret"))
    for call in (
        stranger.connect("acme", "code"),
        stranger.create_user(email="a@x.test", password="p", first_name="", last_name=""),
    ):
        with pytest.raises(SignNowRefused, match="one environment") as refused:
            await call
        assert refused.value.upstream_code == "invalid_client"


async def test_an_api_key_alone_is_no_application(wire: Wire, store: MemoryTokens) -> None:
    keyed = process(wire, store, None)
    with pytest.raises(SignNowRefused, match="client id"):
        keyed.consent_url(redirect_uri=BACK, state="s")
    with pytest.raises(SignNowRefused, match="client id"):
        await keyed.create_user(email="a@x.test", password="p", first_name="", last_name="")


async def test_the_password_grants_tokens_are_kept_too(wire: Wire, store: MemoryTokens) -> None:
    grant = PasswordGrant(ACCOUNT.client_id, ACCOUNT.client_secret, ACCOUNT.email, ACCOUNT.password)

    def restarted() -> SignNowClient:
        http = httpx.AsyncClient(transport=wire)
        return SignNowClient(base_url="http://signnow.test", credentials=grant, tokens=store, http=http, read_backoff=0)

    await restarted().counters()
    await restarted().counters()
    assert wire.grants == ["password"]


@pytest.mark.parametrize("kind", ["500", "503", "timeout_before"])
async def test_a_token_that_cannot_be_renewed_now_is_no_refusal(
    connected: SignNowClient, http: httpx.AsyncClient, clock: FrozenClock, store: MemoryTokens, kind: str
) -> None:
    clock.travel_to(clock.now() + TOKEN_LIFETIME + timedelta(seconds=1))
    await http.post("/_sandbox/faults", json={"kind": kind, "path_prefix": "/oauth2", "times": 3})
    with pytest.raises(UpstreamError):
        await connected.for_identity("acme").counters()
    await connected.for_identity("acme").counters()


def test_the_consent_page_is_the_web_apps() -> None:
    pages = {
        base: consent_url(base, APPLICATION, redirect_uri=BACK, state="s").partition("?")[0]
        for base in ("https://api.signnow.com", "https://api-eval.signnow.com", "http://127.0.0.1:8001")
    }
    assert pages == {
        "https://api.signnow.com": "https://app.signnow.com/authorize",
        "https://api-eval.signnow.com": "https://app-eval.signnow.com/authorize",
        "http://127.0.0.1:8001": "http://127.0.0.1:8001/authorize",
    }


def test_tokens_are_not_shown() -> None:
    assert "abc" not in repr(SignNowTokens("abc", "abc"))
