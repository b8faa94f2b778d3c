"""How many statements go to the database, on either kind."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from tortoise.connection import get_connection


@contextlib.contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are sent meanwhile, outside of transactions, in order."""
    sent: list[str] = []
    kind: Any = type(get_connection("default"))

    def noting(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def noted(client: Any, query: str, *values: Any) -> Any:
            sent.append(query)
            return await call(client, query, *values)

        return noted

    with pytest.MonkeyPatch.context() as patch:
        for name in ("execute_query", "execute_query_dict"):
            patch.setattr(kind, name, noting(getattr(kind, name)))
        yield sent
