"""Who we are to SignNow.

SignNow's docs know three ways: an API key, which does not expire; the password grant for the account that owns the
application; and, for any other user, a code that they bring back from SignNow's consent page. The last two give an
access token that lives for 30 days and a refresh token.
"""

from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpx


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key from SignNow's dashboard (Apps and Keys, API Keys): a bearer token that does not expire."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Application:
    """An application's client id and secret. They belong to one of SignNow's environments."""

    client_id: str
    client_secret: str = field(repr=False)

    @property
    def basic(self) -> httpx.BasicAuth:
        return httpx.BasicAuth(self.client_id, self.client_secret)


@dataclass(frozen=True, slots=True)
class PasswordGrant:
    """An application's client id and secret with the log-in of the account that owns the application."""

    client_id: str
    client_secret: str = field(repr=False)
    username: str
    password: str = field(repr=False)

    @property
    def application(self) -> Application:
        return Application(self.client_id, self.client_secret)


def consent_url(base_url: str, application: Application, *, redirect_uri: str, state: str) -> str:
    """SignNow's page on which a user lets the application act for them.

    It is a page of the web app, whose host is the API's with `app` for `api`; other hosts are taken as they are.
    """
    url = httpx.URL(base_url)
    host = "app" + url.host.removeprefix("api") if url.host.startswith("api") else url.host
    query = {
        "client_id": application.client_id,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "state": state,
    }
    return f"{url.copy_with(host=host, path='/authorize')}?{urlencode(query)}"
