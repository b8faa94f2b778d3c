"""Event subscriptions, and SignNow's log of what it sent.

SignNow has two generations of them over one store; the newer, `/v2/event-subscriptions`, answers the new id and is
called with a user's token, so that it works with an API key, too. What the older one made is listed, mended and ended
here like any other.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from inkmeter.errors import WebhookRejected
from integrations.protocols import SignNowDelivery, SignNowSubscription
from integrations.signnow import errors, webhooks
from integrations.signnow.accounts import Accounts
from integrations.signnow.objects import flag, moment
from integrations.signnow.requests import at

CALLBACK_EVENTS: Final = (
    "user.document.create",
    "user.document.fieldinvite.signed",
    "user.document.fieldinvite.decline",
    "user.document.freeform.signed",
    "user.document.complete",
)
"""What SignNow is asked to call us for: the facts that are metered, and a decline, after which none comes."""

_PATH: Final = "/v2/event-subscriptions"


class Subscriptions(Accounts):
    """Part of `integrations.protocols.SignNow`."""

    async def ensure_callbacks(self, callback_url: str, secret: str) -> int:
        """Make sure that SignNow calls `callback_url` for all `CALLBACK_EVENTS`, signed with `secret`.

        One subscription per event; those of other urls are left alone.
        """
        missing, present = await self._wrong(callback_url, secret)
        if not missing and not present:
            return 0
        account = await self.account()
        attributes = {
            "callback": callback_url,
            "secret_key": secret,
            "delete_access_token": True,  # or every callback carries a token that opens the account
            "use_tls_12": True,
            "docid_queryparam": False,
            "include_metadata": False,
            "retry_count": 10,
        }
        for event in (*missing, *present):
            body = {"event": event, "entity_id": account.user_id, "action": "callback", "attributes": attributes}
            if event in present:
                await self._session.send("PUT", at(_PATH + "/{}", present[event]), json=body)
            else:
                await self._session.send("POST", _PATH, json=body)
        return len(missing) + len(present)

    async def wrong_callbacks(self, callback_url: str, secret: str) -> tuple[str, ...]:
        """The events of `CALLBACK_EVENTS` for which nothing, or something else, is subscribed."""
        missing, present = await self._wrong(callback_url, secret)
        return (*missing, *present)

    async def _wrong(self, callback_url: str, secret: str) -> tuple[list[str], dict[str, str]]:
        """Events without a subscription, and those with a wrong one, whose id they come with."""
        existing = {s.event: s for s in await self.subscriptions() if s.callback_url == callback_url and s.is_active}
        missing = [event for event in CALLBACK_EVENTS if event not in existing]
        known = (existing[event] for event in CALLBACK_EVENTS if event in existing)
        return missing, {s.event: s.id for s in known if s.secret != secret or not s.is_token_deleted}

    async def subscriptions(self) -> tuple[SignNowSubscription, ...]:
        """All of the account's, whoever made them."""
        listed = [entry async for entry in self._pages(_PATH)]
        with errors.reading("the event subscriptions"):
            return tuple(_subscription(entry) for entry in listed)

    async def remove_callbacks(self, callback_url: str) -> None:
        """End all subscriptions to that url."""
        for subscription in await self.subscriptions():
            if subscription.callback_url == callback_url:
                await self._session.send("DELETE", at(_PATH + "/{}", subscription.id))

    async def deliveries(self, *, since: datetime) -> AsyncIterator[SignNowDelivery]:
        """What SignNow says it sent since then. Entries that cannot be read tell nothing and are left out."""
        async for entry in self._pages(_PATH + "/callbacks"):
            with errors.reading("the log of callbacks"):
                sent_at = moment(entry["request_start_time"])
                if sent_at < since.replace(microsecond=0):
                    return
                try:
                    callback = webhooks.read(orjson.dumps(entry.get("request_content")))
                except WebhookRejected:
                    continue
                delivery = SignNowDelivery(
                    id=str(entry["id"]),
                    callback_url=str(entry.get("callback_url") or ""),
                    status=int(entry.get("response_status_code") or 0),
                    sent_at=sent_at,
                    callback=callback,
                )
            yield delivery


def _subscription(entry: Mapping[str, Any]) -> SignNowSubscription:
    attributes = entry.get("json_attributes")
    attributes = attributes if isinstance(attributes, Mapping) else {}
    secret = attributes.get("secret_key")
    return SignNowSubscription(
        id=str(entry["id"]),
        event=str(entry.get("event")),
        entity_id=str(entry.get("entity_unique_id") or entry.get("entity_id") or ""),
        callback_url=str(attributes.get("callback_url") or ""),
        is_active=flag(entry.get("active", True)),
        is_token_deleted=flag(attributes.get("delete_access_token")),
        secret=str(secret) if secret else None,
    )
