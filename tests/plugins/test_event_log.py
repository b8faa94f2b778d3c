import json
import logging
from datetime import UTC, datetime

import pytest

from inkmeter import InvoicePaid, Money, UsageRecorded
from plugins.manager import load_plugins

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def test_an_event_is_one_line_of_json(caplog: pytest.LogCaptureFixture) -> None:
    plugins = load_plugins()
    with caplog.at_level(logging.INFO, "inkmeter.events"):
        await plugins.publish(UsageRecorded("t-1", NOON, "downloads", 2, 1))
        await plugins.publish(InvoicePaid("t-1", NOON, "i-1", Money(1250, "USD")))
    assert [json.loads(record.getMessage()) for record in caplog.records if record.name == "inkmeter.events"] == [
        {
            "event": "UsageRecorded",
            "tenant_id": "t-1",
            "occurred_at": "2026-01-01T12:00:00+00:00",
            "meter": "downloads",
            "quantity": 2,
            "events": 1,
        },
        {
            "event": "InvoicePaid",
            "tenant_id": "t-1",
            "occurred_at": "2026-01-01T12:00:00+00:00",
            "invoice_id": "i-1",
            "total": {"minor": 1250, "currency": "USD"},
        },
    ]


async def test_it_is_silent_below_info(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "inkmeter.events"):
        await load_plugins().publish(UsageRecorded("t-1", NOON, "downloads", 2, 1))
    assert not caplog.records
