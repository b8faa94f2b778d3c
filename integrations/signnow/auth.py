"""Who we are to SignNow, and calls made as that: one access token, renewed by one task at a time.

SignNow's docs know two ways for a server's own account: an API key, which does not expire, and the password
grant, whose access token lives for 30 days and comes with a refresh token.
"""

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import httpx

from inkmeter.errors import SignNowRefused
from integrations.signnow import errors

MAX_READ_RETRIES: Final = 2


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key from SignNow's dashboard (Apps and Keys, API Keys): a bearer token that does not expire."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PasswordGrant:
    """An application's client id and secret with the log-in of the account that owns the application."""

    client_id: str
    client_secret: str = field(repr=False)
    username: str
    password: str = field(repr=False)


class Session:
    """Sends calls as one account. Raises only `SignNowRefused` and the `UpstreamError` family.

    A read is repeated up to two times when the connection or SignNow fails; anything else is sent once. A
    call that is refused for its token was not carried out, so it is sent again, once, with a new token.
    """

    def __init__(
        self,
        base_url: str,
        credentials: ApiKey | PasswordGrant,
        http: httpx.AsyncClient,
        *,
        read_backoff: float,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        self._http = http
        self._read_backoff = read_backoff
        self._renewing = asyncio.Lock()
        self._bearer: str | None = None
        self._refresh_token: str | None = None

    async def send(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Send a call and answer SignNow's success. `content` is httpx's: json, params, data, files."""
        account = self._credentials
        if isinstance(account, ApiKey):
            return await self._send_as(account.token, method, path, content)
        bearer = self._bearer or await self._renew(account, refused=None)
        try:
            return await self._send_as(bearer, method, path, content)
        except SignNowRefused as refusal:
            if refusal.upstream_code != errors.INVALID_TOKEN:
                raise
        return await self._send_as(await self._renew(account, refused=bearer), method, path, content)

    async def _send_as(self, bearer: str, method: str, path: str, content: dict[str, Any]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {bearer}", "Accept": "application/json"}
        return await self._exchange(method, path, is_read=method == "GET", headers=headers, **content)

    async def _renew(self, account: PasswordGrant, *, refused: str | None) -> str:
        """A token other than the refused one. Tasks that wait meanwhile share what the first of them got."""
        async with self._renewing:
            if self._bearer is None or self._bearer == refused:
                self._bearer = await self._refresh(account) or await self._log_in(account)
            return self._bearer

    async def _refresh(self, account: PasswordGrant) -> str | None:
        token, self._refresh_token = self._refresh_token, None
        if token is None:
            return None
        try:
            return await self._grant(account, grant_type="refresh_token", refresh_token=token)
        except SignNowRefused:
            return None  # how long refresh tokens live is not documented; the password still opens the door

    async def _log_in(self, account: PasswordGrant) -> str:
        return await self._grant(
            account, grant_type="password", username=account.username, password=account.password, scope="*"
        )

    async def _grant(self, account: PasswordGrant, **form: str) -> str:
        client = httpx.BasicAuth(account.client_id, account.client_secret)
        # A token is nothing that is billed: the call may be repeated, and its failure leaves nothing unknown.
        answer = await self._exchange("POST", "/oauth2/token", is_read=True, data=form, auth=client)
        with errors.reading("the access token"):
            tokens = answer.json()
            self._refresh_token = tokens.get("refresh_token")
            return str(tokens["access_token"])

    async def _exchange(self, method: str, path: str, *, is_read: bool, **content: Any) -> httpx.Response:
        for attempt in count():
            cause = None
            try:
                answer = await self._http.request(method, self._base_url + path, **content)
                failure = errors.from_answer(answer, is_read=is_read)
                if failure is None:
                    return answer
                is_passing = answer.is_server_error
            except httpx.RequestError as error:
                failure, cause = errors.from_transport(error, call=f"{method} {path}", is_read=is_read), error
                is_passing = True
            if not (is_read and is_passing and attempt < MAX_READ_RETRIES):
                raise failure from cause
            await asyncio.sleep(self._read_backoff * 2**attempt)
        raise AssertionError("count() does not end")
