"""Sockets that answers leave at once."""

import asyncio
import socket

import pytest

from server.serving import listen

pytestmark = pytest.mark.anyio


async def test_small_answers_do_not_wait_for_a_confirmation() -> None:
    """Else a header and a body that are written apart take 40 ms, until the other side confirms the header."""
    delays: asyncio.Queue[int] = asyncio.Queue()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        delays.put_nowait(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = listen("127.0.0.1", 0)
    async with await asyncio.start_server(answer, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        assert await delays.get() == 1
        writer.close()
        await writer.wait_closed()
