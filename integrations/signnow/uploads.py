"""A form with a file in it, sent chunk by chunk: the file is never whole in memory, however large."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inkmeter.errors import SignNowRefused, UpstreamError
from integrations.protocols import Content, FileStream

CHUNK: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class UploadForm:
    """What httpx sends as `content`: texts first, the file last. Iterated anew for each attempt.

    Its length is told beforehand, so that a file that breaks off is one that SignNow never takes for whole.
    """

    headers: dict[str, str]
    _head: bytes
    _file: FileStream
    _tail: bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._head
        sent = 0
        async for chunk in self._file.chunks:
            sent += len(chunk)
            if sent > self._file.size:
                break
            yield chunk
        if sent != self._file.size:
            raise UpstreamError(
                f"the file has not the {self._file.size} bytes that it should have; nothing was uploaded"
            )
        yield self._tail


async def upload_form(texts: Mapping[str, str], file_name: str, content: Content) -> UploadForm:
    """A form with those texts and the file. Raises SignNowRefused for an empty file or one that cannot be read."""
    file = await _stream(content)
    if file.size == 0:
        raise SignNowRefused("the file is empty")
    boundary = secrets.token_hex(16)
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in texts.items()
    )
    head += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_quoted(file_name)}"\r\n'
        "Content-Type: application/pdf\r\n\r\n"
    )
    start, end = head.encode(), f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(start) + file.size + len(end)),
    }
    return UploadForm(headers, start, file, end)


def _quoted(file_name: str) -> str:
    """As browsers write it (the WHATWG's form encoding)."""
    return file_name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


async def _stream(content: Content) -> FileStream:
    match content:
        case bytes():
            return FileStream(_Bytes(content), len(content))
        case Path():
            try:
                return FileStream(_OnDisk(content), (await asyncio.to_thread(content.stat)).st_size)
            except OSError as error:
                raise SignNowRefused(f"the file cannot be read: {error}") from error
        case FileStream():
            return content


@dataclass(frozen=True, slots=True)
class _Bytes:
    content: bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), CHUNK):
            yield self.content[start : start + CHUNK]


@dataclass(frozen=True, slots=True)
class _OnDisk:
    path: Path

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            file = await asyncio.to_thread(self.path.open, "rb")
            with file:
                while chunk := await asyncio.to_thread(file.read, CHUNK):
                    yield chunk
        except OSError as error:
            raise UpstreamError(f"the file cannot be read: {error}; nothing was uploaded") from error
