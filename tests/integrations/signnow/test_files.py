"""Files: streamed both ways, refused where they are none, asked for again where they are not ready."""

import asyncio
import zipfile
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from pypdf import PdfReader
from starlette.applications import Starlette

from inkmeter.errors import SignNowRefused, UpstreamError, UpstreamTimeout
from integrations.protocols import Content, DownloadForm, FileStream, SignNow, TextTag
from integrations.signnow.auth import ApiKey, PasswordGrant
from integrations.signnow.client import SignNowClient
from integrations.signnow.downloads import MAX_TRIES
from integrations.signnow.sandbox import SandboxAccount
from integrations.signnow.uploads import CHUNK, upload_form
from tests.integrations.signnow.conftest import one_page

pytestmark = pytest.mark.anyio

LARGE = one_page(padding=3 * CHUNK + 17)
ACCOUNT = SandboxAccount()


class Repeatable:
    """Chunks that can be read as often as one likes."""

    def __init__(self, content: bytes, size: int = 1000) -> None:
        self.content, self.size, self.reads = content, size, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.reads += 1
        for start in range(0, len(self.content), self.size):
            yield self.content[start : start + self.size]


async def once(content: bytes) -> AsyncIterator[bytes]:
    async for chunk in Repeatable(content):
        yield chunk


async def upload(client: SignNow, content: Content, file_name: str = "op.pdf") -> str:
    folder_id = await client.ensure_folder("acme")
    return await client.upload_document(folder_id=folder_id, name="Lease", file_name=file_name, content=content)


async def original(client: SignNow, document_id: str) -> bytes:
    async with client.open_download(document_id, DownloadForm.ORIGINAL) as file:
        return b"".join([chunk async for chunk in file.chunks])


def in_memory(content: bytes, _: Path) -> Content:
    return content


def on_disk(content: bytes, folder: Path) -> Content:
    (folder / "file.pdf").write_bytes(content)
    return folder / "file.pdf"


def streamed(content: bytes, _: Path) -> Content:
    return FileStream(once(content), len(content))


@pytest.mark.parametrize("given", [in_memory, on_disk, streamed])
async def test_a_file_arrives_as_it_is_however_it_is_given(
    client: SignNow, tmp_path: Path, given: Callable[[bytes, Path], Content]
) -> None:
    assert await original(client, await upload(client, given(LARGE, tmp_path))) == LARGE


@pytest.mark.parametrize("name", ['Mietvertrag "Müller".pdf', "a;b=c.pdf", "line\r\nbreak.pdf"])
async def test_a_file_name_cannot_break_out_of_its_form(client: SignNow, lease: bytes, name: str) -> None:
    document = await client.document(await upload(client, lease, name))
    assert document.name == "Lease"
    assert document.file_name.endswith(".pdf")
    assert await original(client, document.id) == lease


async def test_a_form_is_never_whole_in_memory() -> None:
    form = await upload_form({"name": "n"}, "f.pdf", LARGE)
    chunks = [chunk async for chunk in form]
    assert max(map(len, chunks)) <= CHUNK
    assert sum(map(len, chunks)) == int(form.headers["Content-Length"])


@pytest.mark.parametrize("declared", [10, 10**6])
async def test_a_stream_of_another_size_than_declared_is_not_uploaded(
    client: SignNow, http: httpx.AsyncClient, lease: bytes, declared: int
) -> None:
    with pytest.raises(UpstreamError, match="nothing was uploaded") as failure:
        await upload(client, FileStream(once(lease), declared))
    assert not isinstance(failure.value, UpstreamTimeout)
    assert (await http.get("/user/documents")).json() == []


async def test_an_error_of_whoever_streams_is_theirs(client: SignNow, http: httpx.AsyncClient) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"%PDF-"
        raise ConnectionAbortedError("the browser went away")

    with pytest.raises(ConnectionAbortedError):
        await upload(client, FileStream(broken(), 1000))
    assert (await http.get("/user/documents")).json() == []


async def test_a_missing_file_is_refused(client: SignNow, tmp_path: Path) -> None:
    with pytest.raises(SignNowRefused, match="cannot be read"):
        await upload(client, tmp_path / "missing.pdf")


@pytest.mark.parametrize("tags", [False, True])
@pytest.mark.parametrize(("content", "why"), [(b"", "empty"), (b"<html></html>", "Invalid file type")])
async def test_what_is_no_pdf_is_refused(
    client: SignNow, http: httpx.AsyncClient, content: bytes, why: str, tags: bool
) -> None:
    tagged = client.upload_with_tags(file_name="a.pdf", content=content, tags=[TextTag("S1", "Tenant")])
    plain = upload(client, content)
    wanted, other = (tagged, plain) if tags else (plain, tagged)
    other.close()
    with pytest.raises(SignNowRefused, match=why):
        await wanted
    assert (await http.get("/user/documents")).json() == []


async def test_the_sandbox_refuses_an_empty_file_too(http: httpx.AsyncClient) -> None:
    answer = await http.post("/document", files={"file": ("a.pdf", b"", "application/pdf")})
    assert answer.status_code == 400
    cut = await http.post(
        "/document", content=b"--x\r\nnonsense", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert cut.json()["errors"][0]["message"] == "the form cannot be read"


async def test_fifty_megabytes_pass(client: SignNow) -> None:
    chunk, count = b"x" * (1024 * 1024), 50

    async def large() -> AsyncIterator[bytes]:
        yield b"%PDF-1.4\n"
        for _ in range(count):
            yield chunk

    document_id = await upload(client, FileStream(large(), count * len(chunk) + 9))
    async with client.open_download(document_id, DownloadForm.ORIGINAL) as file:
        assert file.size == count * len(chunk) + 9
        assert sum([len(part) async for part in file.chunks]) == file.size


async def test_a_url_is_fetched(client: SignNow, lease: bytes) -> None:
    document_id = await client.upload_from_url(url="https://operator.test/lease.pdf", name="From afar")
    folder_id = await client.ensure_folder("acme")
    await client.move_document(document_id, folder_id)
    document = await client.document(document_id)
    assert (document.name, document.file_name, document.folder_id) == ("From afar", "lease.pdf", folder_id)
    with pytest.raises(SignNowRefused, match="cannot be fetched"):
        await client.upload_from_url(url="https://operator.test/nothing.pdf", name="x")


async def test_tags_make_fields(client: SignNow, lease: bytes) -> None:
    tags = [TextTag("S1", "Tenant"), TextTag("T1", "Landlord", type="text", is_required=False)]
    document_id = await client.upload_with_tags(file_name="op.pdf", content=lease, tags=tags)
    assert list((await client.document(document_id)).roles) == ["Tenant", "Landlord"]


async def test_a_refused_token_costs_one_more_reading_of_the_file(
    sandbox: Starlette, http: httpx.AsyncClient, lease: bytes
) -> None:
    grant = PasswordGrant(ACCOUNT.client_id, ACCOUNT.client_secret, ACCOUNT.email, ACCOUNT.password)
    connection = httpx.AsyncClient(transport=httpx.ASGITransport(sandbox))
    client = SignNowClient(base_url="http://signnow.test", credentials=grant, http=connection, read_backoff=0)
    fault = {"kind": "invalid_token", "path_prefix": "/document", "method": "POST"}
    await http.post("/_sandbox/faults", json=fault)
    source = Repeatable(lease)
    document_id = await upload(client, FileStream(source, len(lease)))
    assert await original(client, document_id) == lease


@pytest.mark.parametrize("form", [DownloadForm.COLLAPSED, DownloadForm.ZIP])
async def test_downloads_come_with_their_name_and_history(client: SignNow, lease: bytes, form: DownloadForm) -> None:
    document_id = await upload(client, lease)
    async with client.open_download(document_id, form, with_history=True) as file:
        content = b"".join([chunk async for chunk in file.chunks])
    assert file.size == len(content)
    if form is DownloadForm.ZIP:
        assert (file.name, file.media_type) == ("Lease.zip", "application/zip")
        with zipfile.ZipFile(BytesIO(content)) as archive:
            content = archive.read("Lease.pdf")
    else:
        assert (file.name, file.media_type) == ("Lease.pdf", "application/pdf")
    metadata = PdfReader(BytesIO(content), strict=True).metadata
    assert metadata is not None
    assert "document_uploaded" in str(metadata["/Keywords"])


async def test_a_file_that_is_not_ready_is_asked_for_again(
    client: SignNow, http: httpx.AsyncClient, lease: bytes
) -> None:
    document_id = await upload(client, lease)
    fault = {"kind": "not_ready", "path_prefix": f"/document/{document_id}/download", "times": MAX_TRIES - 1}
    await http.post("/_sandbox/faults", json=fault)
    assert (await client.download_signed(document_id)).startswith(lease)
    await http.post("/_sandbox/faults", json={**fault, "times": MAX_TRIES})
    with pytest.raises(UpstreamError, match="not a PDF"):
        await client.download_signed(document_id)


@pytest.mark.parametrize("kind", ["500", "503", "timeout_before", "timeout_after"])
async def test_a_download_survives_two_failures(
    client: SignNow, http: httpx.AsyncClient, lease: bytes, kind: str
) -> None:
    document_id = await upload(client, lease)
    fault = {"kind": kind, "path_prefix": f"/document/{document_id}/download", "times": 2}
    await http.post("/_sandbox/faults", json=fault)
    assert (await client.download_signed(document_id)).startswith(lease)


async def test_a_download_that_breaks_off_says_so() -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"%PDF-1.4"
        raise httpx.ReadError("reset")

    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=breaking())))
    client = SignNowClient(base_url="http://signnow.test", credentials=ApiKey("k"), http=http, read_backoff=0)
    with pytest.raises(UpstreamError) as failure:
        await client.download_signed("0" * 40)
    assert not isinstance(failure.value, UpstreamTimeout)


async def test_who_stops_reading_lets_go_of_the_connection(server_url: str) -> None:
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(30, pool=5)) as http:
        client = SignNowClient(base_url=server_url, credentials=ApiKey(ACCOUNT.api_key), http=http)
        document_id = await upload(client, LARGE)
        for _ in range(3):
            async with client.open_download(document_id) as file:
                assert (await anext(file.chunks)).startswith(b"%PDF-")
        await asyncio.gather(*(client.document(document_id) for _ in range(3)))


async def test_a_link_gives_the_file_once(client: SignNow, http: httpx.AsyncClient, lease: bytes) -> None:
    link = await client.create_download_link(await upload(client, lease))
    assert (await http.get(link, headers={"Authorization": ""})).content.startswith(lease)
    assert (await http.get(link)).status_code == 404
