"""Files on their way to and from SignNow, never whole in memory."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileStream:
    """A file that comes in chunks; `size` in bytes is told to SignNow beforehand.

    `chunks` is iterated once, and again only if SignNow refuses the token: what can be read once only then fails,
    and nothing was uploaded.
    """

    chunks: AsyncIterable[bytes]
    size: int


Content = bytes | Path | FileStream
"""What can be uploaded: bytes at hand, a file on this machine, or a stream."""


class DownloadForm(StrEnum):
    """How a document comes back: as a PDF with all that was filled in, as a zip of that, or as it was uploaded."""

    COLLAPSED = "collapsed"
    ZIP = "zip"
    ORIGINAL = "original"


@dataclass(frozen=True, slots=True)
class SignNowFile:
    """A file that is being downloaded; `size` where SignNow says it, `chunks` once."""

    name: str
    media_type: str
    size: int | None
    chunks: AsyncIterator[bytes]
