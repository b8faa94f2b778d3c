"""Public ids: UUIDv7, so that rows of one moment lie together in the index."""

import os
import secrets
import threading
import time
from typing import Final
from uuid import UUID

from asyncpg.pgproto import pgproto

_LOW: Final = (1 << 62) - 1

_lock = threading.Lock()
_last = [0]


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562): 48 bits of milliseconds, then 74 bits that begin at random and ascend.

    Of two that this process makes the later one is the greater, so that rows of one moment keep their order.
    """
    stamp = time.time_ns() // 1_000_000
    with _lock:
        if stamp <= _last[0] >> 80:
            value = _last[0] + 1
        else:
            random = int.from_bytes(os.urandom(10), "big")
            value = stamp << 80 | 7 << 76 | (random >> 62 & 0xFFF) << 64 | 2 << 62 | random & _LOW
        _last[0] = value
    return pgproto.UUID(value.to_bytes(16, "big"))


def read_id(text: str) -> UUID:
    """The UUID of its text: asyncpg's, like those above. It equals any other UUID, and is read and printed ten times as
    fast.
    """
    return pgproto.UUID(text)


def new_ids(count: int) -> list[str]:
    """Many fresh UUIDv7 of one millisecond, in order, as text: in a batch, an object for each would cost more than its
    row. Their 74 bits begin at random and ascend, too.
    """
    stamp, random = f"{time.time_ns() // 1_000_000:012x}", secrets.token_hex(3)
    head = f"{stamp[:8]}-{stamp[8:]}-7{random[:3]}-{'89ab'[secrets.randbits(2)]}{random[3:]}-"
    first = secrets.randbelow((1 << 48) - count)
    return [f"{head}{number:012x}" for number in range(first, first + count)]
