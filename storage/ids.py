"""Public ids: UUIDv7, so that rows of one moment lie together in the index."""

import secrets
import time
from uuid import UUID


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562): 48 bits of milliseconds, then 74 random bits."""
    random = secrets.randbits(74)
    value = (time.time_ns() // 1_000_000) << 80 | 7 << 76 | (random >> 62) << 64 | 2 << 62 | random & (1 << 62) - 1
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
