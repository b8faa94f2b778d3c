"""What the client makes of trouble: what certainly did not happen, and what nobody knows."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from inkmeter.errors import UpstreamError, UpstreamRateLimited, UpstreamTimeout
from integrations.protocols import SignatureField, SignNow
from integrations.signnow.auth import ApiKey
from integrations.signnow.client import SignNowClient

pytestmark = pytest.mark.anyio


async def plan(http: httpx.AsyncClient, kind: str, path_prefix: str, *, times: int = 1, method: str = "POST") -> None:
    fault = {"kind": kind, "path_prefix": path_prefix, "times": times, "method": method}
    (await http.post("/_sandbox/faults", json=fault)).raise_for_status()


async def totals(http: httpx.AsyncClient) -> dict[str, int]:
    counts: dict[str, int] = (await http.get("/_sandbox/books")).json()["totals"]
    return counts


@pytest.fixture
async def folder_id(client: SignNow) -> str:
    return await client.ensure_folder("acme")


@pytest.fixture
async def document_id(client: SignNow, folder_id: str, lease: bytes) -> str:
    return await client.upload_document(folder_id=folder_id, name="Lease", file_name="op.pdf", content=lease)


@pytest.mark.parametrize(("kind", "uploads"), [("timeout_before", 0), ("timeout_after", 1), ("500", 0)])
async def test_an_upload_without_an_answer_may_have_happened_and_is_sent_once(
    client: SignNow, http: httpx.AsyncClient, folder_id: str, lease: bytes, kind: str, uploads: int
) -> None:
    await plan(http, kind, "/document")
    with pytest.raises(UpstreamTimeout):
        await client.upload_document(folder_id=folder_id, name="Lease", file_name="op-1.pdf", content=lease)
    assert (await totals(http))["uploads"] == uploads
    found = await client.find_document(folder_id=folder_id, file_name="op-1.pdf")
    assert (found is not None) == bool(uploads)


@pytest.mark.parametrize(("kind", "charged"), [("timeout_before", 0), ("timeout_after", 1), ("500", 0)])
async def test_an_invite_without_an_answer_is_settled_by_reading_the_document(
    client: SignNow, http: httpx.AsyncClient, document_id: str, kind: str, charged: int
) -> None:
    await plan(http, kind, f"/document/{document_id}/invite")
    with pytest.raises(UpstreamTimeout):
        await client.send_free_form_invite(document_id, email="ann@x.test", subject=None, message=None)
    assert (await totals(http))["invites_charged"] == charged
    assert (await client.document(document_id)).is_invited == bool(charged)


async def test_fields_that_were_not_answered_may_be_placed(
    client: SignNow, http: httpx.AsyncClient, document_id: str
) -> None:
    await plan(http, "timeout_after", "/document/", method="PUT")
    with pytest.raises(UpstreamTimeout):
        await client.place_fields(document_id, [SignatureField("Tenant", 0, 1, 1, 10, 10)])
    assert list((await client.document(document_id)).roles) == ["Tenant"]


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "500"])
async def test_a_read_survives_two_failures(
    client: SignNow, http: httpx.AsyncClient, document_id: str, kind: str
) -> None:
    await plan(http, kind, f"/document/{document_id}", times=2, method="GET")
    assert (await client.document(document_id)).id == document_id


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "500"])
async def test_a_read_gives_up_after_three_and_leaves_nothing_unknown(
    client: SignNow, http: httpx.AsyncClient, document_id: str, kind: str
) -> None:
    await plan(http, kind, f"/document/{document_id}", times=3, method="GET")
    with pytest.raises(UpstreamError) as failure:
        await client.document(document_id)
    assert not isinstance(failure.value, UpstreamTimeout)
    assert (await client.document(document_id)).id == document_id  # the fourth attempt is somebody else's


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_rate_limit_says_how_long_to_wait_and_nothing_happens(
    client: SignNow, http: httpx.AsyncClient, document_id: str, method: str
) -> None:
    await plan(http, "429", f"/document/{document_id}", method=method)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "GET": lambda: client.document(document_id),
        "POST": lambda: client.send_free_form_invite(document_id, email="a@x.test", subject=None, message=None),
    }
    with pytest.raises(UpstreamRateLimited) as limited:
        await calls[method]()
    assert limited.value.retry_after == 1
    assert (await totals(http))["invites_charged"] == 0


def failing(error: Exception) -> SignNowClient:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    http = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return SignNowClient(base_url="http://signnow.test", credentials=ApiKey("k"), http=http, read_backoff=0)


@pytest.mark.parametrize(
    ("error", "is_unknown"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("nobody there"), False),
        (httpx.PoolTimeout("all busy"), False),
        (httpx.ReadTimeout("no answer"), True),
        (httpx.WriteTimeout("half sent"), True),
        (httpx.ReadError("reset"), True),
        (httpx.WriteError("reset"), True),
        (httpx.RemoteProtocolError("closed in the middle"), True),
    ],
)
async def test_only_what_was_never_sent_certainly_did_not_happen(error: Exception, is_unknown: bool) -> None:
    with pytest.raises(UpstreamError) as failure:
        await failing(error).upload_document(folder_id="f", name="n", file_name="n.pdf", content=b"%PDF-")
    assert isinstance(failure.value, UpstreamTimeout) == is_unknown
    assert failure.value.__cause__ is error


async def test_a_redirect_is_not_a_yes() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(302, headers={"location": "https://elsewhere.test"}))
    http = httpx.AsyncClient(transport=transport)
    client = SignNowClient(base_url="http://signnow.test", credentials=ApiKey("k"), http=http, read_backoff=0)
    with pytest.raises(UpstreamError):
        await client.download_signed("0" * 40)
