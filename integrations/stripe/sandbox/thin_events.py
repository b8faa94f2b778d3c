"""Thin events: they name what has happened, and the rest is fetched from `/v2/core/events`."""

import secrets
from typing import Final

from integrations.stripe.sandbox.books import Books, Object, moment
from integrations.stripe.sandbox.failures import missing
from integrations.stripe.sandbox.forms import Params

MOST_SAMPLES: Final = 5
"""Errors that a report names one by one; the others are only counted. Stripe says "sample" without a number."""


def report_errors(books: Books, meter_id: str | None, code: str, identifiers: list[str]) -> None:
    """Tell that events were not counted: of one meter, or of none that there is."""
    samples = [
        {"error_message": code.replace("_", " "), "request": {"identifier": identifier}}
        for identifier in identifiers[:MOST_SAMPLES]
    ]
    now = moment(books.now()).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    related = {"id": meter_id, "type": "billing.meter", "url": f"/v1/billing/meters/{meter_id}"}
    event: Object = {
        "id": f"evt_{secrets.token_hex(12)}",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered" if meter_id else "v1.billing.meter.no_meter_found",
        "created": now,
        "livemode": False,
        "context": None,
        "reason": None,
        "related_object": related if meter_id else None,
        "data": {
            "developer_message_summary": f"There are {len(identifiers)} invalid events",
            "reason": {
                "error_count": len(identifiers),
                "error_types": [{"code": code, "error_count": len(identifiers), "sample_errors": samples}],
            },
            "validation_start": now,
            "validation_end": now,
        },
    }
    if meter_id is None:
        del event["related_object"]
    books.thin_events[event["id"]] = event
    books.on_thin_event({name: value for name, value in event.items() if name != "data"})


def retrieve_event(books: Books, params: Params, event_id: str) -> Object:
    if event_id not in books.thin_events:
        raise missing("event", event_id, "id")
    return books.thin_events[event_id]
