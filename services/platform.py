"""What every use case is given: the clock, the plugins, SignNow, Stripe and the operator's terms."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from inkmeter.clock import Clock
from inkmeter.money import Money
from integrations.protocols import SignNow, SignNowCallback, Stripe, StripeEvent
from plugins.manager import Plugins
from services.inbox import Inbox
from services.metering import Metering
from services.turns import Turns
from storage.tenants import Isolation


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Where SignNow shall call us, and the secret it signs with."""

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator decided once for all tenants."""

    invite_cost: Money
    """What SignNow charges the operator for one signature invite, before the first row of the cost table."""
    grace: timedelta = timedelta(days=7)
    """How long a tenant whose payment failed may go on, in whole days, where its plan says nothing."""
    close_delay: timedelta = timedelta(hours=1)
    """How long after its end a period waits for late usage before it is closed by itself."""
    automatic_tax: bool = False
    """Whether Stripe adds taxes to what tenants owe."""
    settle_delay: timedelta = timedelta(minutes=2)
    """How old an operation without an answer must be before SignNow is asked what became of it."""
    isolation: Isolation = Isolation.SHARED_ACCOUNT
    """Whose SignNow account new tenants sign through, where nothing is said."""
    max_pdf_bytes: int = 50 * 1024 * 1024
    """The largest PDF that is uploaded."""
    charges_again: bool = False
    """Whether SignNow charges an invite again that is sent again or given to another signer; it does not say."""
    is_signnow_live: bool = True
    """Whether the SignNow application is in live mode: invites in development mode are charged nothing."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Made once at start; passed to every use case as its first argument."""

    clock: Clock
    plugins: Plugins
    signnow: SignNow
    stripe: Stripe
    verify_signnow: Callable[[bytes, str | None], SignNowCallback]
    """Checks a delivery's signature over its raw bytes. Raises WebhookRejected."""
    verify_stripe: Callable[[bytes, str | None], StripeEvent]
    terms: Terms
    metering: Metering
    """Everything that reserves or counts goes through it."""
    callbacks: Callbacks | None = None
    """None where SignNow cannot reach us: then nothing is subscribed."""
    inbox: Inbox = field(default_factory=Inbox)
    """Deliveries of webhooks are stored through it."""
    turns: Turns = field(default_factory=Turns)
    """Deliveries about one object are applied through it."""
    work_waits: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a job was added, so that a worker in this process need not wait for its next look."""
