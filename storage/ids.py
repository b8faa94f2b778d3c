"""Public ids: UUIDv7, so that rows of one moment lie together in the index."""

import secrets
import time
from uuid import UUID


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562): 48 bits of milliseconds, then 74 random bits."""
    random = secrets.randbits(74)
    value = (time.time_ns() // 1_000_000) << 80 | 7 << 76 | (random >> 62) << 64 | 2 << 62 | random & (1 << 62) - 1
    return UUID(int=value)
