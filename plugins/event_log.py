"""Writes every event to the log as one line of JSON, for those who collect their logs anyway."""

import dataclasses
import json
import logging
from datetime import datetime

from inkmeter import Event, hookimpl

log = logging.getLogger("inkmeter.events")


@hookimpl
def on_event(event: Event) -> None:
    """Log at INFO, e.g. {"event": "UsageRecorded", "tenant_id": "…", "meter": "downloads", "quantity": 1,
    …}.
    """
    if log.isEnabledFor(logging.INFO):
        log.info(json.dumps({"event": type(event).__name__, **dataclasses.asdict(event)}, default=_shown))


def _shown(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
