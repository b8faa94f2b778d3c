"""An open database, and a look at it from outside: through another connection only committed rows can be seen."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing

import asyncpg
import pytest

from storage.database import Database, open_database, sqlite_file

Look = Callable[[str], Awaitable[list[tuple[object, ...]]]]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as opened:
        yield opened


@pytest.fixture
async def look(database_url: str) -> Look:
    """Runs a query as another process would: `await look("SELECT ...")`."""
    file = sqlite_file(database_url)

    async def look(sql: str) -> list[tuple[object, ...]]:
        if file is not None:
            with closing(sqlite3.connect(file)) as outside:
                return list(outside.execute(sql))
        outside_pg = await asyncpg.connect(database_url)
        try:
            return [tuple(found) for found in await outside_pg.fetch(sql)]
        finally:
            await outside_pg.close()

    return look
