"""An import in a process that is killed before one of its commits."""

from io import BytesIO
from pathlib import Path

import orjson

from server.importing import Format, Source, import_usage
from tests.crash.killing import Killer
from tests.crash.places import Place

LINES = b"\n".join(
    orjson.dumps({"meter": "api_calls", "quantity": 1, "idempotencyKey": f"line-{n}", "tenant": "acme"})
    for n in range(50)
)


async def import_and_die(place: Place, killed_before: int, note: Path) -> None:
    """Import the lines above in batches of ten."""
    killer = Killer(killed_before, note)
    killer.watch()
    async with place.platform() as platform:
        killer.is_armed = True
        source = Source(BytesIO(LINES), Format.NDJSON)
        await import_usage(platform, source, None, batch=10, refuse=lambda _: None)
        killer.is_armed = False
