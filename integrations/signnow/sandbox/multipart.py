"""Forms as browsers and HTTP clients send them, with the standard library alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import HeaderParser
from io import BytesIO
from urllib.parse import parse_qsl

from starlette.requests import Request

from integrations.signnow.sandbox.refusals import refusal


@dataclass(frozen=True, slots=True)
class Upload:
    file_name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Form:
    """A form's texts and files by name; of a repeated name the last one counts."""

    texts: Mapping[str, str]
    files: Mapping[str, Upload]


async def read_form(request: Request) -> Form:
    """The form in a request, urlencoded or multipart. Refuses a body that is neither."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        try:
            return Form(dict(parse_qsl((await request.body()).decode(), keep_blank_values=True)), {})
        except UnicodeDecodeError:
            raise refusal("the form cannot be read") from None
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str):
        raise refusal("the form has no boundary")
    parts = _Parts(b"\r\n--" + boundary.encode())
    async for chunk in request.stream():
        parts.feed(chunk)
    return parts.form()


@dataclass(slots=True)
class _Part:
    """`head` is None until its end was seen; the closing delimiter's part never has one."""

    begin: bytearray = field(default_factory=bytearray)
    head: bytes | None = None
    body: BytesIO = field(default_factory=BytesIO)

    def write(self, data: bytes | bytearray) -> None:
        if self.head is not None:
            self.body.write(data)
            return
        self.begin += data
        head, gap, rest = self.begin.partition(b"\r\n\r\n")
        if gap:
            self.head = bytes(head.removeprefix(b"\r\n"))
            self.body.write(rest)


class _Parts:
    """Takes a multipart body apart while it arrives, so that a large file is in memory once."""

    def __init__(self, delimiter: bytes) -> None:
        self._delimiter = delimiter
        self._window = bytearray(b"\r\n")  # the first delimiter has no line before it
        self._parts: list[_Part] = []

    def feed(self, chunk: bytes) -> None:
        self._window += chunk
        while (found := self._window.find(self._delimiter)) >= 0:
            self._pass_on(found)
            del self._window[: len(self._delimiter)]
            self._parts.append(_Part())
        self._pass_on(max(len(self._window) - len(self._delimiter), 0))

    def form(self) -> Form:
        self._pass_on(len(self._window))
        texts: dict[str, str] = {}
        files: dict[str, Upload] = {}
        for part in self._parts:
            if part.head is None and part.begin.startswith(b"--"):  # the closing delimiter; then comes padding
                return Form(texts, files)
            _read_part(part, texts, files)
        raise refusal("the form breaks off")

    def _pass_on(self, size: int) -> None:
        if self._parts and size:
            self._parts[-1].write(self._window[:size])
        del self._window[:size]


def _read_part(part: _Part, texts: dict[str, str], files: dict[str, Upload]) -> None:
    headers = HeaderParser().parsestr((part.head or b"").decode(errors="replace"))
    name = headers.get_param("name", header="content-disposition")
    file_name = headers.get_filename()
    if not isinstance(name, str):
        raise refusal("the form cannot be read")
    if file_name is None:
        texts[name] = part.body.getvalue().decode(errors="replace")
    else:
        files[name] = Upload(file_name, part.body.getvalue())
