"""Webhooks as mutations: the same door as the HTTP routes."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import relay

from schema.refusals import UserError


@strawberry.enum(description="Who sent a delivery.")
class WebhookSource(Enum):
    STRIPE = strawberry.enum_value("STRIPE", description="Stripe.")
    SIGNNOW = strawberry.enum_value("SIGNNOW", description="SignNow.")


@strawberry.enum(description="What became of a delivery.")
class WebhookState(Enum):
    RECEIVED = strawberry.enum_value("RECEIVED", description="It is stored, and will be applied.")
    APPLIED = strawberry.enum_value("APPLIED", description="What it told of is taken over.")
    IGNORED = strawberry.enum_value("IGNORED", description="It does not concern us; `note` says why.")
    FOREIGN = strawberry.enum_value(
        "FOREIGN",
        description="It tells of a SignNow document that did not come through Inkmeter, and counts for nobody.",
    )
    FAILED = strawberry.enum_value("FAILED", description="Given up after many attempts; `replayWebhook` tries again.")


StateFilter = Annotated[WebhookState | None, strawberry.argument(description="Only those in this state.")]
SourceFilter = Annotated[WebhookSource | None, strawberry.argument(description="Only those of this sender.")]


@strawberry.type(description="A delivery of Stripe or SignNow, stored once.")
class WebhookEvent:
    id: relay.GlobalID = strawberry.field(description="For `replayWebhook`.")
    source: WebhookSource = strawberry.field(description="Who sent it.")
    key: str = strawberry.field(description="What makes it one: Stripe's id of the event, SignNow's fact.")
    type: str = strawberry.field(description="What it tells, in the sender's word.")
    api_version: str | None = strawberry.field(description="Of Stripe's API, in which its body is written.")
    state: WebhookState = strawberry.field(description="What became of it.")
    note: str | None = strawberry.field(description="Why it was ignored, or is foreign.")
    attempts: int = strawberry.field(description="How often it was tried, since it was last replayed.")
    last_error: str | None = strawberry.field(description="What went wrong last.")
    received_at: datetime = strawberry.field(description="When it came.")
    applied_at: datetime | None = strawberry.field(description="When it was applied or ignored.")


@strawberry.input(description="A delivery to apply again.")
class ReplayWebhookInput:
    event_id: relay.GlobalID = strawberry.field(description="Which.")


@strawberry.type(description="What became of `replayWebhook`.")
class ReplayWebhookPayload:
    event: WebhookEvent | None = strawberry.field(default=None, description="It is applied again after this answer.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="How far to look back for events that did not arrive.")
class CatchUpStripeInput:
    since: datetime | None = strawberry.field(
        default=None, description="From when on; 30 days, which is as far as Stripe goes, if missing."
    )


@strawberry.type(description="What became of `catchUpStripe`.")
class CatchUpStripePayload:
    listed: int | None = strawberry.field(default=None, description="Events that Stripe could not deliver.")
    new: int | None = strawberry.field(default=None, description="Those of them that were not stored here.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="A delivery, exactly as it was sent.")
class ReceiveWebhookInput:
    payload: str = strawberry.field(description="The raw body, byte for byte.")
    signature: str = strawberry.field(description="The header `Stripe-Signature` or `X-SignNow-Signature`.")


@strawberry.type(description="A delivery that was verified and stored. It is applied after this answer.")
class WebhookReceipt:
    event_id: relay.GlobalID = strawberry.field(description="Under which it is stored.")
    is_duplicate: bool = strawberry.field(description="Whether it was stored before; then nothing more happens.")


@strawberry.type(description="What became of a delivery.")
class ReceiveWebhookPayload:
    receipt: WebhookReceipt | None = strawberry.field(default=None, description="That it was stored.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was rejected.")
