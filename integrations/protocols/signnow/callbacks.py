"""Callbacks: subscriptions to them, what arrives, and SignNow's log of what it sent."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SignNowCallback:
    """A verified SignNow webhook. `key` is semantic, since SignNow sends no event id: the same fact, the same key.

    `body` is what may be kept of it: without the access token that SignNow sends to a subscription made without
    `delete_access_token`.
    """

    key: str
    event: str
    document_id: str | None
    invite_id: str | None
    occurred_at: datetime
    body: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SignNowSubscription:
    """What SignNow is asked to call for. The list gives the secret back in clear."""

    id: str
    event: str
    entity_id: str
    callback_url: str
    is_active: bool
    is_token_deleted: bool
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SignNowDelivery:
    """A line of SignNow's log of callbacks; `status` is what the receiver answered, 0 for no answer."""

    id: str
    callback_url: str
    status: int
    sent_at: datetime
    callback: SignNowCallback


class Callbacks(Protocol):
    """Subscriptions belong to a SignNow user: each account has its own set."""

    async def ensure_callbacks(self, callback_url: str, secret: str) -> int:
        """Make sure that SignNow calls `callback_url`, signed with `secret`, for all that we meter. Safe to repeat.

        Answers how many subscriptions were missing or wrong: SignNow drops those whose url refuses too often.
        """

    async def wrong_callbacks(self, callback_url: str, secret: str) -> tuple[str, ...]:
        """The events for which SignNow does not call `callback_url` as `ensure_callbacks` would have it."""

    async def subscriptions(self) -> tuple[SignNowSubscription, ...]:
        """All of the account's, whoever made them."""

    async def remove_callbacks(self, callback_url: str) -> None:
        """End all subscriptions to that url. Safe to repeat."""

    def deliveries(self, *, since: datetime) -> AsyncIterator[SignNowDelivery]:
        """What SignNow says it sent since then, newest first. How long it keeps its log is not documented."""
