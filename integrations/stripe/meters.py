"""Billing meters at Stripe, and what is reported to them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import stripe

from integrations.protocols import FailedReports, StripeMeter
from integrations.stripe.objects import Json, moment_of
from integrations.stripe.requests import Requests

CUSTOMER, VALUE = "stripe_customer_id", "value"


class Meters(Requests):
    """Promised by `integrations.protocols.Stripe`."""

    _v2: stripe.V2Services

    async def ensure_meter(self, *, key: str, event_name: str, display_name: str) -> StripeMeter:
        """Meters carry no metadata: theirs is the event's name, of which Stripe has one meter."""
        meter = await self.find_meter(event_name)
        if meter is not None:
            return meter
        made = await self._one(
            self._v1.billing.meters.create_async(
                params={
                    "event_name": event_name,
                    "display_name": display_name,
                    "default_aggregation": {"formula": "sum"},
                    "customer_mapping": {"type": "by_id", "event_payload_key": CUSTOMER},
                    "value_settings": {"event_payload_key": VALUE},
                },
                options={"idempotency_key": key},
            )
        )
        return _meter_of(made)

    async def find_meter(self, event_name: str) -> StripeMeter | None:
        found = await self._all(self._v1.billing.meters.list_async(params={"limit": 100}))
        return next((_meter_of(meter) for meter in found if meter["event_name"] == event_name), None)

    async def reactivate_meter(self, meter_id: str) -> None:
        await self._one(self._v1.billing.meters.reactivate_async(meter_id))

    async def report_usage(
        self, *, identifier: str, event_name: str, customer_id: str, value: int, at: datetime
    ) -> None:
        await self._one(
            self._v1.billing.meter_events.create_async(
                params={
                    "event_name": event_name,
                    "identifier": identifier,
                    "timestamp": int(at.timestamp()),
                    "payload": {CUSTOMER: customer_id, VALUE: str(value)},
                },
                options={"idempotency_key": identifier},
            )
        )

    async def cancel_report(self, *, identifier: str, event_name: str) -> None:
        await self._one(
            self._v1.billing.meter_event_adjustments.create_async(
                params={"event_name": event_name, "type": "cancel", "cancel": {"identifier": identifier}},
                options={"idempotency_key": f"{identifier}:cancel"},
            )
        )

    async def reported_usage(
        self, *, meter_id: str, customer_id: str, start: datetime, end: datetime, by_day: bool = False
    ) -> Mapping[datetime, Decimal]:
        """The package reads values as floats; whole numbers up to 2^53 are exact in them."""
        params: Any = {"customer": customer_id, "limit": 100}
        params |= {"start_time": int(start.timestamp()), "end_time": int(end.timestamp())}
        if by_day:
            params["value_grouping_window"] = "day"
        summaries = await self._all(self._v1.billing.meters.event_summaries.list_async(meter_id, params=params))
        return {moment_of(s["start_time"]): Decimal(str(s["aggregated_value"])) for s in summaries}

    async def failed_reports(self, event_id: str) -> FailedReports:
        """Stripe names some of the failed events and counts the others."""
        event = await self._one(self._v2.core.events.retrieve_async(event_id))
        reason = (event.get("data") or {}).get("reason") or {}
        found = [
            (str(sample["request"]["identifier"]), str(kind["code"]))
            for kind in reason.get("error_types") or []
            for sample in kind.get("sample_errors") or []
            if sample.get("request")
        ]
        return FailedReports(dict(found), int(reason.get("error_count") or len(found)))


def _meter_of(data: Json) -> StripeMeter:
    return StripeMeter(
        id=data["id"],
        event_name=data["event_name"],
        is_active=data["status"] == "active",
        formula=data["default_aggregation"]["formula"],
        payload_keys=(data["customer_mapping"]["event_payload_key"], data["value_settings"]["event_payload_key"]),
    )
