"""Stripe's package over an httpx client of the caller's: every request passes here, at its turn and noted before."""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import orjson
import stripe

from integrations.protocols import UNKNOWN_ID, CallOutcome, CallState, Journal, StripeCall
from integrations.protocols.journal import NoJournal
from integrations.stripe.rates import RateLimiter


class HttpxClient(stripe.HTTPXClient):
    """Carries the package's requests over an httpx client of the caller's, e.g. one on `httpx.ASGITransport`.

    Whatever is not a GET stands in the journal before it leaves, under its idempotency key: ours, or the one that the
    package makes for a call without. The package repeats through here, so that each attempt is noted and waits its
    turn. Only httpx's own errors count as "no answer". The package's client takes every exception, a bug of ours
    included, for a lost connection.
    """

    def __init__(
        self,
        http: httpx.AsyncClient | None = None,
        *,
        journal: Journal | None = None,
        limiter: RateLimiter | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._http = http or httpx.AsyncClient(timeout=20)
        self._journal = journal or NoJournal()
        self._limiter = limiter or RateLimiter()

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        path = urlsplit(url).path
        _check_leads_on(path)
        await self._limiter.enter(method, path)
        if method.upper() == "GET":
            response = await self._send(method, url, headers, post_data)
        else:
            response = await self._send_noted(method, url, headers, post_data)
        retry_after = response.headers.get("retry-after", "")
        if response.status_code == 429 and retry_after.isdigit():
            self._limiter.back_off(method, path, float(retry_after))
        return response.content, response.status_code, response.headers

    async def _send_noted(self, method: str, url: str, headers: Mapping[str, str], post_data: Any) -> httpx.Response:
        # Stripe's docs: DELETE is idempotent by itself and takes no key.
        key = next((value for name, value in headers.items() if name.lower() == "idempotency-key"), str(uuid.uuid4()))
        asked = urlsplit(url)
        parameters = _hash(asked.query, _text(post_data))
        await self._journal.begin(StripeCall(key, method.upper(), asked.path, parameters))
        try:
            response = await self._send(method, url, headers, post_data)
        except stripe.APIConnectionError as error:
            await self._journal.settle(key, CallOutcome(CallState.UNKNOWN, error=str(error)))
            raise
        await self._journal.settle(key, _outcome(response))
        return response

    async def _send(self, method: str, url: str, headers: Mapping[str, str], post_data: Any) -> httpx.Response:
        try:
            return await self._http.request(method, url, headers=headers, content=post_data)
        except httpx.HTTPError as error:
            message = f"{type(error).__name__}: {error}"
            raise stripe.APIConnectionError(message, should_retry=True) from error  # type: ignore[no-untyped-call]

    async def close_async(self) -> None:
        await super().close_async()  # type: ignore[no-untyped-call]
        await self._http.aclose()


def _check_leads_on(path: str) -> None:
    """The package quotes ids, but not dots, and not what is empty: these would lead to another address. What it quotes
    may be read as a path by whatever stands before Stripe.
    """
    segments = path.removeprefix("/").split("/")
    if any(segment in ("", ".", "..") or "%2F" in segment.upper() for segment in segments):
        body = {"error": {"type": "invalid_request_error", "code": UNKNOWN_ID}}
        raise stripe.InvalidRequestError("Stripe has nothing with such an id", "id", http_status=404, json_body=body)  # type: ignore[no-untyped-call]


def _text(post_data: Any) -> str:
    return post_data.decode() if isinstance(post_data, bytes) else str(post_data or "")


def _hash(query: str, body: str) -> str:
    """The same for the same parameters in another order; a body that is no form (API v2) counts as it is."""
    form = sorted(parse_qsl(body, keep_blank_values=True)) or [(body, "")]
    return hashlib.sha256(orjson.dumps([sorted(parse_qsl(query)), form])).hexdigest()


def _outcome(response: httpx.Response) -> CallOutcome:
    """What an answer says of its call. 409: another request with this key is still running."""
    status, request_id = response.status_code, response.headers.get("request-id")
    body = _json(response.content)
    if 200 <= status < 300 and isinstance(body, dict):
        object_id = body.get("id")
        return CallOutcome(CallState.CONFIRMED, request_id, object_id if isinstance(object_id, str) else None)
    is_no = 400 <= status < 500 and status != 409
    state = CallState.REFUSED if is_no else CallState.UNKNOWN
    return CallOutcome(state, request_id, error=f"HTTP {status}: {_message(body)}")


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except ValueError:
        return None


def _message(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "no usable answer"
    return " ".join(str(error[name]) for name in ("code", "message") if error.get(name))
