"""Meters, built in and the operator's."""

from services.measures import MeterBook
from services.platform import Platform
from storage.meters import read_meters


async def refresh(platform: Platform) -> MeterBook:
    """Read the operator's meters again: another process may have made one."""
    platform.metering.meters = MeterBook(await read_meters())
    return platform.metering.meters


async def find_meters(platform: Platform, *codes: str) -> MeterBook:
    """A book in which these codes stand, if there are such meters at all. Meters never change, so it is read again
    only for a code that is new.
    """
    book = platform.metering.meters
    return book if all(code in book for code in codes) else await refresh(platform)
