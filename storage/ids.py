"""Public ids: UUIDv7, so that rows of one moment lie together in the index."""

import os
import secrets
import threading
import time
from typing import Final
from uuid import UUID

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
    return UUID(int=value)


def new_ids(count: int) -> list[str]:
    """Many fresh UUIDv7 of one millisecond, in order, as text: in a batch, an object for each would cost more than its
    row.
    """
    stamp = f"{time.time_ns() // 1_000_000:012x}"
    random = secrets.token_hex(10 * count)
    ids = []
    for start in range(0, 20 * count, 20):
        part = random[start : start + 20]
        variant = "89ab"[int(part[3], 16) & 3]
        ids.append(f"{stamp[:8]}-{stamp[8:]}-7{part[:3]}-{variant}{part[4:7]}-{part[7:19]}")
    ids.sort()
    return ids
