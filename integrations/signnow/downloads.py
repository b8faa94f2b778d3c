"""Downloads, chunk by chunk; a file that is not ready is asked for again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message
from itertools import count
from typing import Any, Final

import httpx

from inkmeter.errors import UpstreamError
from integrations.protocols import DownloadForm, SignNowFile
from integrations.signnow.requests import Requests, at
from integrations.signnow.wire import chunks_of

MAX_TRIES: Final = 4
"""How often a file is asked for; users report that a document that was just completed may not be ready."""

_BEGINNINGS: Final = {DownloadForm.COLLAPSED: b"%PDF-", DownloadForm.ZIP: b"PK", DownloadForm.ORIGINAL: b""}


class Downloads(Requests):
    """Part of `integrations.protocols.SignNow`."""

    @asynccontextmanager
    async def open_download(
        self, document_id: str, form: DownloadForm = DownloadForm.COLLAPSED, *, with_history: bool = False
    ) -> AsyncIterator[SignNowFile]:
        """The file, chunk by chunk while the context is open."""
        params = {} if form is DownloadForm.ORIGINAL else {"type": str(form)}
        if with_history:
            params["with_history"] = "1"
        path = at("/document/{}/download", document_id)
        async with self._open("GET", path, _BEGINNINGS[form], params=params) as file:
            yield file

    @asynccontextmanager
    async def open_group_download(
        self, group_id: str, *, is_merged: bool, with_history: bool = False
    ) -> AsyncIterator[SignNowFile]:
        """All documents of a group. SignNow's words for `with_history` are its own: `no` and `after_each_document`
        are assumed.
        """
        kind = DownloadForm.COLLAPSED if is_merged else DownloadForm.ZIP
        body = {
            "type": "merged" if is_merged else "zip",
            "with_history": "after_each_document" if with_history else "no",
        }
        path = at("/documentgroup/{}/downloadall", group_id)
        async with self._open("POST", path, _BEGINNINGS[kind], json=body) as file:
            yield file

    async def download_signed(self, document_id: str) -> bytes:
        """The collapsed PDF whole: the document with all that was filled in."""
        async with self.open_download(document_id) as file:
            return b"".join([chunk async for chunk in file.chunks])

    async def create_download_link(self, document_id: str) -> str:
        """A link that gives the collapsed PDF once, to anyone who has it. A second one does no harm."""
        answer = await self._session.send("POST", at("/document/{}/download/link", document_id), json={})
        return str(self._value(answer, "link"))

    @asynccontextmanager
    async def _open(self, method: str, path: str, beginning: bytes, **content: Any) -> AsyncIterator[SignNowFile]:
        """A download is a read, whatever its method. What begins otherwise than it should is not ready."""
        for attempt in count(1):
            async with self._session.stream(method, path, **content) as answer:
                chunks = chunks_of(answer, call=f"{method} {path}")
                first = await _first(chunks, len(beginning))
                if first.startswith(beginning):
                    yield SignNowFile(_name(answer), _media_type(answer), _size(answer), _with(first, chunks))
                    return
            if attempt == MAX_TRIES:
                wanted = beginning.decode(errors="replace").strip("%-")
                raise UpstreamError(f"SignNow's answer to {path} is not a {wanted} file")
            wire = self._session.wire
            await wire.sleep(wire.read_backoff * 2**attempt)


async def _first(chunks: AsyncIterator[bytes], size: int) -> bytes:
    """At least so many bytes, where there are as many."""
    first = b""
    while len(first) < max(size, 1):
        chunk = await anext(chunks, None)
        if chunk is None:
            break
        first += chunk
    return first


async def _with(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in rest:
        yield chunk


def _name(answer: httpx.Response) -> str:
    header = Message()
    header["content-disposition"] = answer.headers.get("content-disposition", "")
    return header.get_filename() or "download"


def _media_type(answer: httpx.Response) -> str:
    return str(answer.headers.get("content-type", "application/octet-stream")).partition(";")[0]


def _size(answer: httpx.Response) -> int | None:
    """Where the body is compressed on its way the header tells another size than the file's."""
    length = answer.headers.get("content-length", "")
    return int(length) if length.isdecimal() and "content-encoding" not in answer.headers else None
