"""What SignNow's answers mean to us: a refusal, a failure that changed nothing, or an outcome nobody knows.

SignNow answers with one of four error bodies, nearly always as HTTP 400, an expired token included:

    {"error": "invalid_token", "code": 1537}                          who you are
    {"errors": [{"code": 65582, "message": "…"}]}                     what you asked for
    {"404": "Unable to find a route to match the URI: …"}             no such path, or an id of another shape
    {"error": [{"code": "HY000", "message": "Internal Api Error"}]}   their own trouble
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx

from inkmeter.errors import InkmeterError, SignNowRefused, UpstreamError, UpstreamRateLimited, UpstreamTimeout

INVALID_TOKEN: Final = "invalid_token"  # noqa: S105 - SignNow's word for an error, not a secret

_HINTS: Final = {
    "invalid_client": "the client id and secret are not known here; they belong to one environment, "
    "either api.signnow.com or api-eval.signnow.com",
}

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


def from_transport(error: httpx.RequestError, *, call: str, is_read: bool) -> UpstreamError:
    """Say what a call without an answer means. A read changes nothing, so its outcome is never unknown."""
    what = f"SignNow did not answer {call}: {type(error).__name__}"
    return _failure(what, is_read=is_read or isinstance(error, _NEVER_SENT))


def from_answer(response: httpx.Response, *, is_read: bool) -> InkmeterError:
    """The error that an answer other than a success stands for."""
    call = f"{response.request.method} {response.request.url.path}"
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return UpstreamRateLimited(f"SignNow asks to slow down at {call}", retry_after=retry_after(response))
    if response.is_client_error:
        return _refusal(response)
    return _failure(f"SignNow answered {call} with HTTP {response.status_code}", is_read=is_read)


@contextmanager
def reading(what: str, *, is_read: bool = True) -> Iterator[None]:
    """Turn what goes wrong while an answer is taken apart into an upstream failure."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        raise _failure(f"SignNow's answer, {what}, cannot be read: {error!r}", is_read=is_read) from error


def _failure(what: str, *, is_read: bool) -> UpstreamError:
    return UpstreamError(what) if is_read else UpstreamTimeout(f"{what}; it may have happened")


def _refusal(response: httpx.Response) -> SignNowRefused:
    code, message = _code_and_message(response)
    if code is None:
        return SignNowRefused(f"SignNow refused with HTTP {response.status_code}", upstream_code=None)
    hint = f" ({_HINTS[code]})" if code in _HINTS else ""
    return SignNowRefused(f"SignNow refused: {message}{hint}", upstream_code=code)


def _code_and_message(response: httpx.Response) -> tuple[str | None, str]:
    try:
        body: Any = response.json()
    except ValueError:
        return None, ""
    if not isinstance(body, Mapping):
        return None, ""
    if isinstance(error := body.get("error"), str):
        return error, error
    for listed in (body.get("errors"), body.get("error")):
        if isinstance(listed, list) and listed and isinstance(listed[0], Mapping):
            return str(listed[0].get("code")), str(listed[0].get("message"))
    if "404" in body:
        return "404", str(body["404"])
    return None, ""


def retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait, where SignNow says so."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
