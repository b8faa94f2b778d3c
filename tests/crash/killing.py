"""Killing a process, with SIGKILL, right before its n-th step.

A step is a moment at which something changes outside the process: a statement that makes rows permanent, or a request
that SignNow or Stripe acts on. Between two steps nothing can be seen from outside, so being killed before each step in
turn is being killed everywhere: before a call is after T1, before the COMMIT of T2 is after the call, and so on.
"""

import os
import re
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from asyncpg.connection import Connection

_WRITE = re.compile(
    r'(?:WITH\b.*?\b)?(COMMIT|INSERT INTO "?\w+|UPDATE "?\w+(?="? SET)|DELETE FROM "?\w+)', re.IGNORECASE | re.DOTALL
)


class Killer:
    """Counts the steps of this process once it is armed, and kills it before the n-th; writes down where that was."""

    def __init__(self, before_step: int, note: Path) -> None:
        self._before_step, self._note = before_step, note
        self._steps = 0
        self.is_armed = False

    def watch(self) -> None:
        """Put itself into everything through which this process acts. There is no way back: the process is a victim."""
        _wrap_sqlite(self._statement)
        _wrap_asyncpg(self._statement)
        _wrap_httpx(self._request)

    def _statement(self, sql: str, is_in_transaction: bool) -> None:
        found = _WRITE.match(sql.lstrip())
        if found is not None and (found[1].upper() == "COMMIT" or not is_in_transaction):
            self._step(found[1].replace('"', ""))

    def _request(self, request: httpx.Request) -> None:
        if request.method != "GET" or request.url.path.endswith("/download"):
            self._step(f"{request.method} {re.sub('[0-9a-f]{32,}|(?<=_)[0-9A-Za-z]{14,}', '…', request.url.path)}")

    def _step(self, name: str) -> None:
        if not self.is_armed:
            return
        self._steps += 1
        if self._steps == self._before_step:
            self._note.write_text(name)
            os.kill(os.getpid(), signal.SIGKILL)


def _wrap_sqlite(before: Callable[[str, bool], None]) -> None:
    original = sqlite3.connect

    def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = original(*args, **kwargs)
        connection.set_trace_callback(lambda sql: before(sql, connection.in_transaction))
        return connection

    sqlite3.connect = connect  # type: ignore[assignment]


def _wrap_asyncpg(before: Callable[[str, bool], None]) -> None:
    connections: Any = Connection
    execute, execute_one, execute_many = connections.execute, connections._execute, connections._executemany

    async def watched(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        if not args:  # with arguments it comes again, by the next
            before(query, self.is_in_transaction())
        return await execute(self, query, *args, **kwargs)

    async def watched_one(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        before(query, self.is_in_transaction())
        return await execute_one(self, query, *args, **kwargs)

    async def watched_many(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        before(query, self.is_in_transaction())
        return await execute_many(self, query, *args, **kwargs)

    connections.execute, connections._execute, connections._executemany = watched, watched_one, watched_many


def _wrap_httpx(before: Callable[[httpx.Request], None]) -> None:
    clients: Any = httpx.AsyncClient
    send = clients.send

    async def watched(self: Any, request: httpx.Request, **kwargs: Any) -> httpx.Response:
        before(request)
        response: httpx.Response = await send(self, request, **kwargs)
        return response

    clients.send = watched
