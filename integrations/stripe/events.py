"""Stripe's own list of events, for what no webhook has brought."""

from collections.abc import Sequence
from datetime import datetime

import orjson

from integrations.protocols import MissedEvent
from integrations.stripe.errors import inkmeter_errors
from integrations.stripe.requests import Requests
from integrations.stripe.webhooks import read_event


class Events(Requests):
    """Promised by `integrations.protocols.Stripe`."""

    async def missed_events(self, since: datetime, after: str | None) -> Sequence[MissedEvent]:
        """Stripe's docs: the list goes back 30 days; `delivery_success=false` also finds what is still being sent."""
        with inkmeter_errors():
            page = await self._v1.events.list_async(
                params={
                    "delivery_success": False,
                    "created": {"gte": int(since.timestamp())},
                    "limit": 100,
                    **({"starting_after": after} if after else {}),
                }
            )
        listed = [event.to_dict(for_json=True) for event in page.data]
        return [MissedEvent(read_event(event), orjson.dumps(event).decode()) for event in listed]
