"""Forms as browsers and HTTP clients send them, with the standard library alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import HeaderParser
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
    content_type, body = request.headers.get("content-type", ""), await request.body()
    if not content_type.lower().startswith("multipart/form-data"):
        try:
            return Form(dict(parse_qsl(body.decode(), keep_blank_values=True)), {})
        except UnicodeDecodeError:
            raise refusal("the form cannot be read") from None
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str):
        raise refusal("the form has no boundary")
    return _read_parts((b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:])


def _read_parts(parts: list[bytes]) -> Form:
    texts: dict[str, str] = {}
    files: dict[str, Upload] = {}
    for part in parts:
        if part.startswith(b"--"):  # the closing delimiter; what follows is padding
            break
        head, gap, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = HeaderParser().parsestr(head.decode(errors="replace"))
        name = headers.get_param("name", header="content-disposition")
        file_name = headers.get_filename()
        if not gap or not isinstance(name, str):
            raise refusal("the form cannot be read")
        if file_name is None:
            texts[name] = content.decode(errors="replace")
        else:
            files[name] = Upload(file_name, content)
    return Form(texts, files)
