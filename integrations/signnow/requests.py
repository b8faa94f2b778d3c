"""What every part of the client needs: reads, writes and pages."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from inkmeter.errors import SignNowRefused
from integrations.protocols import NOT_FOUND
from integrations.signnow import errors
from integrations.signnow.objects import objects
from integrations.signnow.session import Session

PAGE_SIZE: Final = 100
"""The most documents that a page of a folder holds (SignNow's docs)."""


class Requests:
    """Calls as one account. A write is sent once; what it did not answer is looked for, never repeated."""

    _session: Session

    async def _read(self, path: str, **content: Any) -> dict[str, Any]:
        answer = await self._session.send("GET", path, **content)
        with errors.reading(path):
            return dict(answer.json())

    async def _create(self, path: str, body: Mapping[str, Any]) -> str:
        """POST, and answer the new id; without one nobody knows what was made."""
        return str(self._value(await self._session.send("POST", path, json=body), "id"))

    def _value(self, answer: httpx.Response, key: str) -> Any:
        """A value of a write's answer, at its top or in `data`."""
        with errors.reading(f"the new {key}", is_read=False):
            body = answer.json()
            return body[key] if key in body else body["data"][key]

    async def _pages(self, path: str, **params: str | int) -> AsyncIterator[Mapping[str, Any]]:
        """The entries of one of SignNow's newer lists, over all its pages."""
        page, last = 1, 1
        while page <= last:
            answer = await self._read(path, params={**params, "page": page})
            with errors.reading(path):
                entries = list(objects(answer["data"]))
                last = int(answer.get("meta", {}).get("pagination", {}).get("total_pages", 1))
            for entry in entries:
                yield entry
            page += 1


def without_nothing(**values: object) -> dict[str, object]:
    """A JSON body without what is not given."""
    return {key: value for key, value in values.items() if value is not None}


def at(path: str, *ids: str) -> str:
    """The path with ids in it. Whatever an id is, it leads nowhere else; one that quoting does not hold is unknown."""
    if any(id_ in ("", ".", "..") for id_ in ids):
        raise SignNowRefused("SignNow has nothing with such an id", upstream_code=NOT_FOUND)
    return path.format(*(quote(id_, safe="") for id_ in ids))
