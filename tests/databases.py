"""Databases of one's own, gone afterwards."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg


@contextlib.asynccontextmanager
async def own_database(server: str | None, **settings: int) -> AsyncIterator[str]:
    """The URL of an empty database on a PostgreSQL server, which must allow it, or of a SQLite file without one.

    `settings` are the server's, for that database alone.
    """
    if server is None:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'own.sqlite3'}"
        return
    name = f"inkmeter_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(server)
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
        for setting, value in settings.items():
            await admin.execute(f'ALTER DATABASE "{name}" SET {setting} = {value}')
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()
